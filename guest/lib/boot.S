/*
 * The first instructions of every guest: from the boot loader to C.
 *
 * The loader leaves us in 32-bit protected mode with paging and interrupts off,
 * EAX holding its magic number and EBX the address of what it wants to tell us.
 * Everything else, the stack pointer and the descriptor tables above all, is
 * undefined (Multiboot Specification 0.6.96 section 3.2).
 */
#include "segments.h"

#define HEADER_MAGIC 0x1BADB002 /* Multiboot section 3.1.1 */
#define HEADER_FLAGS 0          /* we ask the loader for nothing special */

#define STACK_BYTES 16384

/*
 * The header by which a loader knows us: a magic number, our wishes, and a
 * checksum that makes the three add up to zero.
 */
    .section .multiboot, "a"
    .balign 4
    .long HEADER_MAGIC
    .long HEADER_FLAGS
    .long -(HEADER_MAGIC + HEADER_FLAGS)

/*
 * Take a stack, clear the flags (direction up, interrupts off, no tracing), and
 * swap the loader's descriptor table for ours. Loading the table changes
 * nothing by itself: each segment register keeps what it cached from the old
 * one until it is loaded again, CS by a far jump and the others by MOV. Then
 * hand the loader's two values to C, which does not come back.
 */
    .text
    .globl start
start:
    movl $stack_top, %esp
    pushl $0
    popfl

    lgdt gdt_pointer
    ljmp $KERNEL_CODE, $1f
1:  movl $KERNEL_DATA, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    movl %ecx, %fs
    movl %ecx, %gs
    movl %ecx, %ss

    xorl %ebp, %ebp
    pushl %ebx
    pushl %eax
    call guest_start
    ud2

/*
 * The descriptor table. Four flat segments, base 0 and limit 4 GiB, so that
 * addresses mean themselves; then room for what a guest may put there at run
 * time (segments.c). The bits of a flat descriptor's upper word, Intel SDM
 * vol. 3A figure 3-8:
 *
 *    31    24 23 22 21 20 19   16 15 14 13 12 11   8 7      0
 *   | base   |G |D |0 |0 | limit |P | DPL |S | type | base   |
 *   | 00     |1 |1 |  |  |  f    |1 | 0/3 |1 | a/2  | 00     |
 */
    .data
    .balign 8
    .globl gdt
gdt:
    .long 0, 0                   /* 0x00: the null descriptor */
    .long 0x0000ffff, 0x00cf9a00 /* 0x08: ring 0 code */
    .long 0x0000ffff, 0x00cf9200 /* 0x10: ring 0 data */
    .long 0x0000ffff, 0x00cffa00 /* 0x18: ring 3 code */
    .long 0x0000ffff, 0x00cff200 /* 0x20: ring 3 data */
    .fill GDT_ENTRIES - 5, 8, 0  /* 0x28 and on: for segments.c */
gdt_end:

gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .bss
    .balign 16
stack:
    .skip STACK_BYTES
stack_top:
