#include "strings.h"

/*
 * string_run(registers, operation): load EAX, ECX, EDX, ESI, EDI and EFLAGS from
 * six words, run the operation, store them there again. The direction flag is
 * cleared behind it, as C wants it.
 */
    .text
    .globl string_run
string_run:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl 20(%esp), %ebx
    movl 24(%esp), %ebp
    movl (%ebx), %eax
    movl 4(%ebx), %ecx
    movl 8(%ebx), %edx
    movl 12(%ebx), %esi
    movl 16(%ebx), %edi
    pushl 20(%ebx)
    popfl
    call *%ebp
    pushfl
    cld
    popl 20(%ebx)
    movl %eax, (%ebx)
    movl %ecx, 4(%ebx)
    movl %edx, 8(%ebx)
    movl %esi, 12(%ebx)
    movl %edi, 16(%ebx)
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

    .globl string_stos_addr16
string_stos_addr16:
    addr16 rep stosw
    ret

/*
 * For each instruction: itself as a function, its name, and its entry in the
 * table (struct string_operation).
 */
.macro OPERATION kind:req, repeat:req, width:req, instruction:vararg
    .text
7:  \instruction
    ret
    .section .rodata.string_names, "a"
8:  .asciz "\instruction"
    .section .rodata.string_operations, "a"
    .long 8b, 7b, \kind, \repeat, \width
.endm

.macro WIDTHS kind:req, repeat:req, instruction:vararg
    OPERATION \kind, \repeat, 1, \instruction\()b
    OPERATION \kind, \repeat, 2, \instruction\()w
    OPERATION \kind, \repeat, 4, \instruction\()l
.endm

    .section .rodata.string_operations, "a"
    .balign 4
    .globl string_operations
string_operations:
    WIDTHS KIND_MOVS, REPEAT_NOT, movs
    WIDTHS KIND_MOVS, REPEAT_ECX, rep movs
    WIDTHS KIND_STOS, REPEAT_NOT, stos
    WIDTHS KIND_STOS, REPEAT_ECX, rep stos
    WIDTHS KIND_LODS, REPEAT_NOT, lods
    WIDTHS KIND_LODS, REPEAT_ECX, rep lods
    WIDTHS KIND_CMPS, REPEAT_NOT, cmps
    WIDTHS KIND_CMPS, REPEAT_EQUAL, repe cmps
    WIDTHS KIND_CMPS, REPEAT_UNEQUAL, repne cmps
    WIDTHS KIND_SCAS, REPEAT_NOT, scas
    WIDTHS KIND_SCAS, REPEAT_EQUAL, repe scas
    WIDTHS KIND_SCAS, REPEAT_UNEQUAL, repne scas
    WIDTHS KIND_INS, REPEAT_ECX, rep ins
    WIDTHS KIND_OUTS, REPEAT_ECX, rep outs

    .section .rodata.string_operations, "a"
    .globl string_operations_end
string_operations_end:
