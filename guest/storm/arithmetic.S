/*
 * Arithmetic: a table of instructions on EAX, ECX and EDX, and the way to run
 * one with those registers and the flags given. Which flags an instruction
 * leaves undefined is in its page of the Intel SDM, vol. 2; those are not to be
 * looked at, so each entry has the mask of the others.
 */
#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define OF 0x800
#define ALL (CF | PF | AF | ZF | SF | OF)

/*
 * arithmetic_run(registers, operation): load EAX, ECX, EDX and the arithmetic
 * flags from four words, run the operation, store them there again. The other
 * flags stay as they are, the interrupt flag above all.
 */
    .text
    .globl arithmetic_run
arithmetic_run:
    pushl %ebx
    pushl %esi
    movl 12(%esp), %ebx
    movl 16(%esp), %esi
    pushfl
    andl $~ALL, (%esp)
    movl 12(%ebx), %eax
    orl %eax, (%esp)
    movl (%ebx), %eax
    movl 4(%ebx), %ecx
    movl 8(%ebx), %edx
    popfl
    call *%esi
    pushfl
    movl %eax, (%ebx)
    movl %ecx, 4(%ebx)
    movl %edx, 8(%ebx)
    popl %eax
    andl $ALL, %eax
    movl %eax, 12(%ebx)
    popl %esi
    popl %ebx
    ret

/* Four that need a register in range first. */
.macro bsf_of_some
    orl $0x10000, %ecx
    bsfl %ecx, %eax
.endm

.macro bsr_of_some
    orl $0x10000, %ecx
    bsrl %ecx, %eax
.endm

.macro div_with_room
    xorl %edx, %edx
    orl $1, %ecx
    divl %ecx
.endm

.macro idiv_with_room
    movsbl %ah, %eax
    cltd
    andl $0x7fff, %ecx
    incl %ecx
    idivl %ecx
.endm

/* An instruction as a function, and its entry in the table. */
.macro OPERATION flags:req, instructions:vararg
    .text
7:  \instructions
    ret
    .section .rodata.arithmetic, "a"
    .long 7b, \flags
.endm

    .section .rodata.arithmetic, "a"
    .balign 4
    .globl arithmetic_operations
arithmetic_operations:
    /* Sums and differences. */
    OPERATION ALL, addl %ecx, %eax
    OPERATION ALL, adcl %ecx, %eax
    OPERATION ALL, subl %ecx, %eax
    OPERATION ALL, sbbl %ecx, %eax
    OPERATION ALL, cmpl %ecx, %eax
    OPERATION ALL, negl %eax
    OPERATION ALL, incl %edx
    OPERATION ALL, decl %edx
    OPERATION ALL, adcb %cl, %ah
    OPERATION ALL, sbbw %cx, %dx
    OPERATION ALL, xaddl %ecx, %eax
    OPERATION ALL, cmpxchgl %ecx, %edx
    OPERATION ALL, leal 5(%eax, %ecx, 4), %edx

    /* Bits. */
    OPERATION (ALL - AF), andl %ecx, %eax
    OPERATION (ALL - AF), orl %ecx, %eax
    OPERATION (ALL - AF), xorw %cx, %ax
    OPERATION (ALL - AF), testb %cl, %dl
    OPERATION ALL, notl %eax
    OPERATION CF, btl %ecx, %eax
    OPERATION CF, btsl %ecx, %eax
    OPERATION CF, btrl %ecx, %eax
    OPERATION CF, btcl %ecx, %eax
    OPERATION ZF, bsf_of_some
    OPERATION ZF, bsr_of_some
    OPERATION ALL, bswap %eax

    /* Shifts and turns; a count of zero leaves the flags alone. */
    OPERATION (CF | PF | ZF | SF), shll %cl, %eax
    OPERATION (CF | PF | ZF | SF), shrl %cl, %eax
    OPERATION (CF | PF | ZF | SF), sarl %cl, %eax
    OPERATION ALL, shll $0, %eax
    OPERATION (ALL - AF), shrl $1, %eax
    OPERATION (CF | PF | ZF | SF), shldl %cl, %edx, %eax
    OPERATION (CF | PF | ZF | SF), shrdl %cl, %edx, %eax
    OPERATION (ALL - OF), roll %cl, %eax
    OPERATION (ALL - OF), rorl %cl, %eax
    OPERATION (ALL - OF), rcll %cl, %eax
    OPERATION (ALL - OF), rcrl %cl, %eax
    OPERATION ALL, rolb $1, %ah

    /* Products, and a quotient that always has room. */
    OPERATION (CF | OF), mull %ecx
    OPERATION (CF | OF), imull %ecx
    OPERATION (CF | OF), imull %ecx, %eax
    OPERATION (CF | OF), mulb %ch
    OPERATION (CF | OF), imulw $-1234, %cx, %dx
    OPERATION 0, div_with_room
    OPERATION 0, idiv_with_room

    /* Decimals. */
    OPERATION (ALL - OF), daa
    OPERATION (ALL - OF), das
    OPERATION (CF | AF), aaa
    OPERATION (CF | AF), aas
    OPERATION (PF | ZF | SF), aam
    OPERATION (PF | ZF | SF), aad

    /* What depends on flags, and what moves them. */
    OPERATION ALL, cmovbl %ecx, %eax
    OPERATION ALL, cmovlel %ecx, %eax
    OPERATION ALL, cmovpl %ecx, %edx
    OPERATION ALL, seto %al
    OPERATION ALL, setge %ch
    OPERATION ALL, sahf
    OPERATION ALL, lahf
    OPERATION ALL, cmc

    /* Signs and widths. */
    OPERATION ALL, cwtl
    OPERATION ALL, cltd
    OPERATION ALL, movzwl %cx, %eax
    OPERATION ALL, movsbl %cl, %edx
    OPERATION ALL, xchgb %ah, %cl

    .section .rodata.arithmetic, "a"
    .globl arithmetic_operations_end
arithmetic_operations_end:
