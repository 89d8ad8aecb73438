/*
 * What runs in ring 3: position-independent snippets in pages of their own,
 * which rings.c maps for ring 3 at USER_CODE_ADDRESS. ECX and EDX are given to
 * each. One that comes to its end says so by system call 0, with EBX as result.
 */
#define SYSTEM_CALL 0x80
#define CALL_LEAVE 0
#define CALL_ADD 1
#define CALL_PUT 2

.macro SNIPPET name
    .globl \name
\name:
.endm

.macro MARK name
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
SNIPPET user_leave
    LEAVE
MARK user_leave_after

/* Ask the kernel for ECX + EDX. */
SNIPPET user_add
    movl $CALL_ADD, %eax
    int $SYSTEM_CALL
    movl %eax, %ebx
    LEAVE

/* Print a line, a system call for each byte. ECX is where we are mapped. */
SNIPPET user_greet
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
SNIPPET user_read_gs
    movl %gs, %ebx
    LEAVE

/* Memory at ECX: read, write, run. */
SNIPPET user_read
    movl (%ecx), %ebx
    LEAVE

SNIPPET user_write
    movl $0x600d600d, (%ecx)
    LEAVE

SNIPPET user_fetch
    jmp *%ecx

/* Push EDX, fetch it back, with the stack where user_enter() put it. */
SNIPPET user_push
    pushl %edx
    popl %ebx
    LEAVE

/* What only ring 0 may do. */
SNIPPET user_hlt
    hlt
    LEAVE

SNIPPET user_cli
    cli
    LEAVE

SNIPPET user_clts
    clts
    LEAVE

SNIPPET user_read_cr0
    movl %cr0, %ebx
    LEAVE

SNIPPET user_load_cr3
    movl %ecx, %cr3
    LEAVE

SNIPPET user_lidt
    lidt (%esp)
    LEAVE

SNIPPET user_invlpg
    invlpg (%ecx)
    LEAVE

SNIPPET user_rdmsr
    rdmsr
    LEAVE

/* A vector whose gate is for ring 0. */
SNIPPET user_int
    int $0x40
    LEAVE

SNIPPET user_breakpoint
    int3
MARK user_breakpoint_after
    LEAVE

SNIPPET user_load_kernel_data
    movl $0x10, %eax
MARK user_load_kernel_data_at
    movl %eax, %ds
    LEAVE

/* Try to change EFLAGS: EBX is what it is after POPF with EDX. */
SNIPPET user_popf
    pushl %edx
    popfl
    pushfl
    popl %ebx
    LEAVE

/* Turn the interrupt flag off and on by the instructions for it. */
SNIPPET user_cli_sti
    cli
    pushfl
    popl %ebx
    sti
    LEAVE

/* Ports: the number is in DX. */
SNIPPET user_in8
    inb %dx, %al
    movzbl %al, %ebx
    LEAVE

SNIPPET user_in16
    inw %dx, %ax
    movzwl %ax, %ebx
    LEAVE

SNIPPET user_in32
    inl %dx, %eax
    movl %eax, %ebx
    LEAVE

SNIPPET user_out8
    outb %al, %dx
    LEAVE

SNIPPET user_outs
    leal -4(%esp), %esi
    movl $4, %ecx
MARK user_outs_at
    rep outsb
    LEAVE

/* Through call gate 0x30 with EDX as its one parameter. */
SNIPPET user_call_gate
    pushl %edx
    lcall $0x33, $0
    movl %eax, %ebx
    LEAVE

/* Wait until the word at ECX is not zero. */
SNIPPET user_wait
1:  movl (%ecx), %ebx
    testl %ebx, %ebx
    jz 1b
    LEAVE

    .globl user_end
user_end:
