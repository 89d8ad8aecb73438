/* Ring 3 as the groups rings.c and ports.c use it. */
#pragma once

#include "faults.h"

/* user.S, and where ring 3 finds it. */
#define USER_CODE_ADDRESS 0x50000000u
#define USER_STACK_ADDRESS 0x51000000u
#define USER_STACK_END (USER_STACK_ADDRESS + PAGE_BYTES)

/* The flags it has unless a check wants others. */
#define USER_FLAGS (FLAG_FIXED | FLAG_INTERRUPT)

extern const uint8_t user_leave[], user_leave_after[], user_add[], user_greet[], user_read_gs[],
    user_read[], user_write[], user_fetch[], user_push[], user_hlt[], user_cli[], user_clts[],
    user_read_cr0[], user_load_cr3[], user_lidt[], user_invlpg[], user_rdmsr[], user_int[],
    user_breakpoint[], user_breakpoint_after[], user_load_kernel_data[], user_load_kernel_data_at[],
    user_popf[], user_cli_sti[], user_in8[], user_in16[], user_in32[], user_out8[], user_outs[],
    user_outs_at[], user_call_gate[], user_wait[], user_end[];

extern struct task_state user_task;

/* Where a label of user.S is in ring 3's eyes. */
uint32_t user_address(const uint8_t *label);

/* Run a snippet with these registers and flags until it leaves or traps. */
struct outcome user_run(const uint8_t *snippet, uint32_t ecx, uint32_t edx, uint32_t eflags);

/* Within a check: the snippet came to its end with this result. */
void expect_left(const struct outcome *outcome, uint32_t result);

/* One whole check that a snippet's instruction at `label` is refused. */
void check_user_trap(const char *name, const uint8_t *snippet, uint32_t ecx, uint32_t edx,
                     uint32_t vector, uint32_t error, const uint8_t *label);
