/*
 * What runs in ring 3: position-independent snippets in pages of their own,
 * which rings.c maps for ring 3 at USER_CODE_ADDRESS. ECX and EDX are given to
 * each. One that comes to its end says so by system call 0, with EBX as result.
 */
#define SYSTEM_CALL 0x80
#define CALL_LEAVE 0
#define CALL_ADD 1
#define CALL_PUT 2

/* A label that C can see. */
.macro LABEL name
    .globl \name
\name:
.endm

.macro LEAVE
    movl $CALL_LEAVE, %eax
    int $SYSTEM_CALL
.endm

    .section .user, "ax"
    .balign 4096

/* Leave at once. */
LABEL user_leave
    LEAVE
LABEL user_leave_after

/* Ask the kernel for ECX + EDX. */
LABEL user_add
    movl $CALL_ADD, %eax
    int $SYSTEM_CALL
    movl %eax, %ebx
    LEAVE

/* Print a line, a system call for each byte. ECX is where we are mapped. */
LABEL user_greet
    leal greeting - user_greet(%ecx), %esi
1:  lodsb
    testb %al, %al
    jz 2f
    movzbl %al, %edx
    movl $CALL_PUT, %eax
    int $SYSTEM_CALL
    jmp 1b
2:  LEAVE
greeting:
    .asciz "ring 3 says hello\n"

/* What GS holds, which user_enter() left with the kernel's selector. */
LABEL user_read_gs
    movl %gs, %ebx
    LEAVE

/* Memory at ECX: read, write, run. */
LABEL user_read
    movl (%ecx), %ebx
    LEAVE

LABEL user_write
    movl $0x600d600d, (%ecx)
    LEAVE

LABEL user_fetch
    jmp *%ecx

/* Push EDX, fetch it back, with the stack where user_enter() put it. */
LABEL user_push
    pushl %edx
    popl %ebx
    LEAVE

/* What only ring 0 may do. */
LABEL user_hlt
    hlt
    LEAVE

LABEL user_cli
    cli
    LEAVE

LABEL user_clts
    clts
    LEAVE

LABEL user_read_cr0
    movl %cr0, %ebx
    LEAVE

LABEL user_load_cr3
    movl %ecx, %cr3
    LEAVE

LABEL user_lidt
    lidt (%esp)
    LEAVE

LABEL user_invlpg
    invlpg (%ecx)
    LEAVE

LABEL user_rdmsr
    rdmsr
    LEAVE

/* A vector whose gate is for ring 0. */
LABEL user_int
    int $0x40
    LEAVE

LABEL user_breakpoint
    int3
LABEL user_breakpoint_after
    LEAVE

LABEL user_load_kernel_data
    movl $0x10, %eax
LABEL user_load_kernel_data_at
    movl %eax, %ds
    LEAVE

/* Try to change EFLAGS: EBX is what it is after POPF with EDX. */
LABEL user_popf
    pushl %edx
    popfl
    pushfl
    popl %ebx
    LEAVE

/* Turn the interrupt flag off and on by the instructions for it. */
LABEL user_cli_sti
    cli
    pushfl
    popl %ebx
    sti
    LEAVE

/* Ports: the number is in DX. */
LABEL user_in8
    inb %dx, %al
    movzbl %al, %ebx
    LEAVE

LABEL user_in16
    inw %dx, %ax
    movzwl %ax, %ebx
    LEAVE

LABEL user_in32
    inl %dx, %eax
    movl %eax, %ebx
    LEAVE

LABEL user_out8
    outb %al, %dx
    LEAVE

LABEL user_outs
    leal -4(%esp), %esi
    movl $4, %ecx
LABEL user_outs_at
    rep outsb
    LEAVE

/* Through call gate 0x30 with EDX as its one parameter. */
LABEL user_call_gate
    pushl %edx
    lcall $0x33, $0
    movl %eax, %ebx
    LEAVE

/* Wait until the word at ECX is not zero. */
LABEL user_wait
1:  movl (%ecx), %ebx
    testl %ebx, %ebx
    jz 1b
    LEAVE

LABEL user_end
