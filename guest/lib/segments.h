/*
 * Segments: the selectors of boot.S's descriptor table, the task state segment,
 * and the way into ring 3. Intel SDM vol. 3A chapters 3.4 and 8.
 */
#pragma once

/*
 * A selector is the descriptor's offset in the table; its two low bits are the
 * privilege level that the user of the selector asks for.
 */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_CODE 0x1b
#define USER_DATA 0x23
#define GDT_ENTRIES 8

/* Free entries of the table, which a guest fills as it likes. */
#define TASK_SELECTOR 0x28
#define FREE_SELECTOR_1 0x30
#define FREE_SELECTOR_2 0x38

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/*
 * Task state segment, Intel SDM vol. 3A figure 8-2. The processor takes the
 * stack for a ring 3 to ring 0 change from esp0:ss0, asks the bitmap about ports
 * (a set bit refuses), and uses the rest only in task switches.
 */
struct task_state {
    uint32_t previous_task;
    uint32_t esp0, ss0, esp1, ss1, esp2, ss2;
    uint32_t cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs;
    uint32_t local_table;
    uint16_t debug_trap;
    uint16_t bitmap_offset;
    uint8_t bitmap[32]; /* ports 0 to 0xff */
    uint8_t bitmap_end; /* the processor reads two bytes at a time: all ones */
};

/* Types for descriptor_set(), tables 3-1 and 3-2; all present unless it says otherwise. */
enum {
    DESCRIPTOR_TASK = 0x89,        /* available 32-bit TSS */
    DESCRIPTOR_DATA_ABSENT = 0x12, /* writable data, present bit clear */
    DESCRIPTOR_CALL_GATE = 0x8c,   /* 32-bit call gate, for call_gate_set() */
    DESCRIPTOR_RING3 = 0x60,       /* usable from ring 3 */
};

/* Put a segment's descriptor, byte-granular, into the table. */
void descriptor_set(unsigned selector, const void *base, uint32_t limit, unsigned type);

/* Put a call gate to ring 0 into the table. It copies `parameters` words. */
void call_gate_set(unsigned selector, void (*target)(void), unsigned parameters);

/*
 * Make `task` the current task: from now on, traps out of ring 3 arrive on the
 * stack whose end is `stack_end`. No port is open to ring 3: see task_ports().
 */
void task_init(struct task_state *task, void *stack_end);

/* Whether ring 3 may use the TSS bitmap at all; without it IOPL alone decides. */
void task_ports(struct task_state *task, bool bitmap_in_use);

/* Open a port to ring 3 in the bitmap. */
void task_allow_port(struct task_state *task, unsigned port);

/*
 * Go on in ring 3 at `eip` with the given stack and flags, ECX and EDX set, the
 * other general registers zero. GS is left with the kernel's selector on
 * purpose: the processor itself must not let it through. Does not return.
 */
_Noreturn void user_enter(uint32_t eip, uint32_t esp, uint32_t eflags, uint32_t ecx, uint32_t edx);
#endif
