#include "segments.h"

#define VECTORS 256
#define STUB_BYTES 16

/*
 * One stub a vector, 16 bytes apart so that traps.c can compute where each is.
 * The processor pushes an error code for some exceptions only (Intel SDM
 * vol. 3A table 6-1: 8, 10 to 14, 17 and 21); the others push a zero instead, so
 * that all frames look alike. Then the vector's number, and on to the rest.
 */
    .text
    .balign STUB_BYTES
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept VECTORS
    .balign STUB_BYTES
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
    .else
    pushl $0
    .endif
    pushl $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

/*
 * Complete the frame (struct trap_frame in traps.h), call C with its address,
 * and go back the same way. The trap may have come from ring 3 with any segment
 * registers and with the direction flag set, and C relies on both.
 */
trap_common:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $KERNEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp
    call trap_dispatch
    addl $4, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp       /* vector and error code */
    iretl
