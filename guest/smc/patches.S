/*
 * Code that changes itself. It lies in the section .patch, in pages apart from
 * all other code, so that only what is meant to be slow is. rewrite.c and
 * spaces.c call it. Opcodes used as data: NOP is 0x90, INC EDX is 0x42.
 */
    .section .patch, "ax"
    .balign 4096

/*
 * patch_next(value): write the operand of the very next instruction. Returns
 * the value if the processor runs what was written, an older one if it runs what
 * it had fetched before. The operand of MOVL $imm32, %eax begins at byte 1.
 */
    .globl patch_next
patch_next:
    movl 4(%esp), %ecx
    movl %ecx, 1f + 1
1:  movl $0, %eax
    ret

/*
 * patch_next_by_stos(opcode): fill the four bytes behind a REP STOSB by it.
 * Returns 4 for the opcode of INC EDX, 0 for that of NOP.
 */
    .globl patch_next_by_stos
patch_next_by_stos:
    pushl %edi
    movl 8(%esp), %eax
    xorl %edx, %edx
    movl $1f, %edi
    movl $4, %ecx
    rep stosb
1:  .fill 4, 1, 0x90
    movl %edx, %eax
    popl %edi
    ret

/*
 * patch_next_by_push(opcodes): the same, but the four bytes are the top of the
 * stack for a moment, and a PUSH overwrites them. Interrupts must be off.
 */
    .globl patch_next_by_push
patch_next_by_push:
    movl 4(%esp), %eax
    xorl %edx, %edx
    movl %esp, %ecx
    movl $1f + 4, %esp
    pushl %eax
1:  .fill 4, 1, 0x90
    movl %ecx, %esp
    movl %edx, %eax
    ret

/*
 * patch_loop(count): a loop that increments the operand of its own ADD each
 * time round, and so adds up 0 + 1 + ... + (count - 1). ADD has its long form,
 * with the operand at byte 1, because the first operand fits no shorter one.
 */
    .globl patch_loop
patch_loop:
    movl 4(%esp), %ecx
    xorl %eax, %eax
    movl %eax, 1f + 1
1:  addl $0x11111111, %eax
    incl 1b + 1
    loop 1b
    ret

/*
 * patch_way_out(count): a loop without an end, until it overwrites its own jump
 * by two NOPs. Returns how often it went round, and puts the jump back.
 */
    .globl patch_way_out
patch_way_out:
    movl 4(%esp), %ecx
    xorl %eax, %eax
    movw 2f, %dx
1:  incl %eax
    cmpl %ecx, %eax
    jne 2f
    movw $0x9090, 2f
2:  jmp 1b
    movw %dx, 2b
    ret

/*
 * count_beside(count): no code is changed here, but a word is that lies between
 * the instructions that change it. Returns what the word has come to.
 */
    .globl count_beside
count_beside:
    movl 4(%esp), %ecx
    movl $0, 2f
1:  incl 2f
    jmp 3f
2:  .long 0
3:  loop 1b
    movl 2b, %eax
    ret

/*
 * Two functions to be copied elsewhere first, hence without absolute addresses.
 *
 * alias_code(where, value): write the operand of the next instruction, through
 * whatever address leads there. Returns the value if that is what it then runs.
 */
    .globl alias_code, alias_code_operand, alias_code_end
alias_code:
    movl 4(%esp), %ecx
    movl 8(%esp), %edx
    movl %edx, (%ecx)
    movl $0, %eax
alias_code_operand = . - 4
    ret
alias_code_end:

/* calling_code(callee): call it, then return what the operand says. */
    .globl calling_code, calling_code_operand, calling_code_end
calling_code:
    call *4(%esp)
    movl $0, %eax
calling_code_operand = . - 4
    ret
calling_code_end:
