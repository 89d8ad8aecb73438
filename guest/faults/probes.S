/*
 * Probes: small functions, most of which trap. faults.h declares them; each
 * takes one argument on the stack. The label NAME_at is the instruction that is
 * to trap, so that the address the processor reports can be held against it;
 * NAME_after is the one behind it, which a trap (as opposed to a fault) reports.
 */
#include "segments.h"

#define TRAP_FLAG 0x100

/* A label that C can see. */
.macro LABEL name
    .globl \name
\name:
.endm

    .text

/* Divide 1 by 0. */
LABEL probe_divide
    movl $1, %eax
    xorl %edx, %edx
    xorl %ecx, %ecx
LABEL probe_divide_at
    divl %ecx
    ret

/* Divide 2^32 by 1: the quotient has no room. */
LABEL probe_divide_large
    xorl %eax, %eax
    movl $1, %edx
    movl $1, %ecx
LABEL probe_divide_large_at
    divl %ecx
    ret

/* Divide -2^31 by -1: signed, the quotient has no room either. */
LABEL probe_divide_signed
    movl $0x80000000, %eax
    cltd
    movl $-1, %ecx
LABEL probe_divide_signed_at
    idivl %ecx
    ret

LABEL probe_undefined
    ud2
    ret

/* The three instructions that ask for a trap, and so report the next address. */
LABEL probe_breakpoint
    int3
LABEL probe_breakpoint_after
    ret

LABEL probe_int
    int $0x40
LABEL probe_int_after
    ret

/* 127 + argument in 8 bits overflows for 1, and does not for 0. */
LABEL probe_into
    movb $127, %al
    addb 4(%esp), %al
    into
LABEL probe_into_after
    ret

/* The argument against the bounds 10 to 20. */
LABEL probe_bound
    movl 4(%esp), %eax
LABEL probe_bound_at
    boundl %eax, bounds
    ret

/* An FPU instruction; C switches the FPU off first. */
LABEL probe_fpu
LABEL probe_fpu_at
    fldz
    ret

/* Load a selector into DS, then into SS. */
LABEL probe_load_ds
    movl 4(%esp), %eax
LABEL probe_load_ds_at
    movl %eax, %ds
    ret

LABEL probe_load_ss
    movl 4(%esp), %eax
LABEL probe_load_ss_at
    movl %eax, %ss
    ret

/* Jump to a segment that holds no code. */
LABEL probe_jump_data
LABEL probe_jump_data_at
    ljmp $KERNEL_DATA, $1f
1:  ret

/* Vectors whose gate is not present, or beyond the table's limit. */
LABEL probe_int_absent
LABEL probe_int_absent_at
    int $0x41
    ret

LABEL probe_int_beyond
LABEL probe_int_beyond_at
    int $0xff
    ret

/*
 * Trace: set the trap flag, run a few instructions, clear it. The first trap
 * comes behind the first instruction after POPF; the last behind the POPF that
 * clears the flag, since the flag was set when it began.
 */
LABEL probe_trace
    pushfl
    orl $TRAP_FLAG, (%esp)
    popfl
    nop
LABEL trace_1
    jmp trace_2
    ud2
LABEL trace_2
    pushfl
LABEL trace_3
    andl $~TRAP_FLAG, (%esp)
LABEL trace_4
    popfl
LABEL trace_5
    ret

/* Read, write, or run what is at the address given. */
LABEL probe_read
    movl 4(%esp), %ecx
LABEL probe_read_at
    movl (%ecx), %eax
    ret

LABEL probe_write
    movl 4(%esp), %ecx
LABEL probe_write_at
    movl $0x600d600d, (%ecx)
    ret

LABEL probe_fetch
    movl 4(%esp), %ecx
    jmp *%ecx

/* Copy 16 words upwards from the address given to one a page and 32 bytes on. */
LABEL probe_copy
    pushl %esi
    pushl %edi
    movl 12(%esp), %esi
    leal 4096 + 32(%esi), %edi
    movl $16, %ecx
LABEL probe_copy_at
    rep movsl
    popl %edi
    popl %esi
    ret

/*
 * Push with the stack pointer at the address given. If that page is not there,
 * neither is it when the processor wants to push the page fault's frame. Whoever
 * repairs that goes on at the second label; EDX knows where the stack was.
 */
LABEL probe_push
    movl %esp, %edx
    movl 4(%esp), %esp
LABEL probe_push_at
    pushl %eax
LABEL probe_push_after
    movl %edx, %esp
    ret

/*
 * An interrupt is already asking. STI holds it off for one instruction more, so
 * the frame must show the address behind the INC.
 */
LABEL probe_shadow
    sti
    incl %eax
LABEL probe_shadow_after
    nop
    nop
    cli
    ret

/* As above, but that one instruction closes the window again. */
LABEL probe_no_window
    sti
    cli
    nop
    nop
    ret

/*
 * The target of ring 3's call gate, with one word copied from its stack to
 * ours: above the return address and CS. Double it; go back and drop the word
 * from both stacks.
 */
LABEL call_gate_target
    movl 8(%esp), %eax
    addl %eax, %eax
    movl %cs, %edx
    lretl $4

/*
 * The task that a double fault switches to. It begins with its error code
 * pushed on its own stack and its registers as C set them. IRET with NT set goes
 * back to the interrupted task; the next double fault goes on behind the IRET,
 * hence the jump.
 */
LABEL double_fault_entry
    call double_fault_task
    addl $4, %esp
    iretl
    jmp double_fault_entry

    .section .rodata
    .balign 4
bounds:
    .long 10, 20
