#include "segments.h"

/*
 * The way into ring 3 is to return to it, from a trap that never was: push what
 * a trap out of ring 3 would have pushed (SS, ESP, EFLAGS, CS, EIP) and IRET.
 * DS, ES and FS are given ring 3 selectors; GS keeps the kernel's.
 */
    .text
    .globl user_enter
user_enter:
    movl %esp, %ebp
    movl $USER_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs

    pushl %eax          /* SS */
    pushl 8(%ebp)       /* ESP */
    pushl 12(%ebp)      /* EFLAGS */
    pushl $USER_CODE    /* CS */
    pushl 4(%ebp)       /* EIP */

    movl 16(%ebp), %ecx
    movl 20(%ebp), %edx
    xorl %eax, %eax
    xorl %ebx, %ebx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    iretl
