/*
 * attempt_run(probe, argument) notes where its stack is and calls the probe.
 * attempt_leave() comes back to that stack from wherever it is called, the
 * middle of a trap handler above all, and returns from attempt_run() in its
 * place: a longjmp() that also restores the flags. Abandoning a trap without
 * IRET is fine: to the processor a trap is over once its handler runs.
 */
    .text
    .globl attempt_run
attempt_run:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    pushfl
    movl %esp, attempt_stack
    pushl 28(%esp)      /* argument: above flags, 4 registers, return, probe */
    call *28(%esp)      /* probe, one word further now */
    addl $4, %esp
    jmp 1f

    .globl attempt_leave
attempt_leave:
    movl attempt_stack, %esp
1:  popfl
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

    .bss
    .balign 4
attempt_stack:
    .skip 4
