/* Exceptions of single instructions, without paging: vectors and error codes. */
#include "faults.h"

#include "check.h"
#include "cpu.h"
#include "guest.h"

/* Selectors that do not do for data: what they point to says why. */
#define BEYOND_SELECTOR 0x7f8
#define ABSENT_SELECTOR FREE_SELECTOR_1
#define SYSTEM_SELECTOR FREE_SELECTOR_2

static void check_traced(void);
static void check_restart(void);

void check_exceptions(void) {
    check_trap("divide by zero", probe_divide, 0, TRAP_DIVIDE, 0, probe_divide_at);
    check_trap("divide overflow", probe_divide_large, 0, TRAP_DIVIDE, 0, probe_divide_large_at);
    check_trap("divide overflow, signed", probe_divide_signed, 0, TRAP_DIVIDE, 0,
               probe_divide_signed_at);
    check_trap("invalid opcode", probe_undefined, 0, TRAP_INVALID_OPCODE, 0,
               (const void *)probe_undefined);
    check_trap("breakpoint", probe_breakpoint, 0, TRAP_BREAKPOINT, 0, probe_breakpoint_after);
    check_trap("into with overflow", probe_into, 1, TRAP_OVERFLOW, 0, probe_into_after);
    check_begin("into without overflow");
    expect("trapped", attempt(probe_into, 0).trapped, false);
    check_end();
    check_trap("bound, below", probe_bound, 9, TRAP_BOUND, 0, probe_bound_at);
    check_trap("bound, above", probe_bound, 21, TRAP_BOUND, 0, probe_bound_at);
    check_begin("bound, within");
    expect("trapped", attempt(probe_bound, 20).trapped, false);
    check_end();

    trap_set(0x40, attempt_end);
    check_trap("int n", probe_int, 0, 0x40, 0, probe_int_after);

    uint32_t cr0 = cr0_read();
    cr0_write(cr0 | CR0_TASK_SWITCHED);
    check_trap("fpu switched off", probe_fpu, 0, TRAP_NO_DEVICE, 0, probe_fpu_at);
    cr0_write(cr0);

    descriptor_set(ABSENT_SELECTOR, NULL, 0xfffff, DESCRIPTOR_DATA_ABSENT);
    descriptor_set(SYSTEM_SELECTOR, NULL, sizeof(struct task_state) - 1, DESCRIPTOR_TASK);
    check_trap("selector beyond the table", probe_load_ds, BEYOND_SELECTOR, TRAP_PROTECTION,
               BEYOND_SELECTOR, probe_load_ds_at);
    check_trap("selector of a task as data", probe_load_ds, SYSTEM_SELECTOR, TRAP_PROTECTION,
               SYSTEM_SELECTOR, probe_load_ds_at);
    check_trap("segment not present", probe_load_ds, ABSENT_SELECTOR, TRAP_NOT_PRESENT,
               ABSENT_SELECTOR, probe_load_ds_at);
    check_trap("stack segment not present", probe_load_ss, ABSENT_SELECTOR, TRAP_STACK,
               ABSENT_SELECTOR, probe_load_ss_at);
    check_trap("stack segment null", probe_load_ss, 0, TRAP_PROTECTION, 0, probe_load_ss_at);
    check_trap("stack segment of ring 3", probe_load_ss, USER_DATA, TRAP_PROTECTION, USER_DATA & ~3,
               probe_load_ss_at);
    check_trap("jump to a data segment", probe_jump_data, 0, TRAP_PROTECTION, KERNEL_DATA,
               probe_jump_data_at);

    trap_set_present(0x41, false);
    check_trap("gate not present", probe_int_absent, 0, TRAP_NOT_PRESENT, ERROR_OF_VECTOR(0x41),
               probe_int_absent_at);
    trap_set_present(0x41, true);
    traps_load(0x80);
    check_trap("vector beyond the table", probe_int_beyond, 0, TRAP_PROTECTION,
               ERROR_OF_VECTOR(0xff), probe_int_beyond_at);
    traps_load(TRAP_VECTORS);

    check_restart();
    check_traced();
}

/*
 * A fault reports the instruction itself, so that it is done again when the
 * handler returns: here with a divisor that is no longer zero.
 */
static void repair_divisor(struct trap_frame *frame) { frame->ecx = 1; }

static void check_restart(void) {
    check_begin("divide repaired and restarted");
    trap_set(TRAP_DIVIDE, repair_divisor);
    expect("trapped", attempt(probe_divide, 0).trapped, false);
    trap_set(TRAP_DIVIDE, attempt_end);
    check_end();
}

/* Single steps, Intel SDM vol. 3B section 17.3.1.4. */
#define DR6_SINGLE_STEP (1u << 14)
#define STEPS_MAX 16

static uint32_t steps[STEPS_MAX], step_count, steps_without_reason;

static void note_step(struct trap_frame *frame) {
    uint32_t dr6;
    __asm__ volatile("movl %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("movl %0, %%dr6" : : "r"(0));
    if (!(dr6 & DR6_SINGLE_STEP))
        steps_without_reason++;
    if (step_count < STEPS_MAX)
        steps[step_count++] = frame->eip;
}

static void check_traced(void) {
    const uint8_t *const wanted[] = {trace_1, trace_2, trace_3, trace_4, trace_5};
    const uint32_t wanted_count = sizeof wanted / sizeof wanted[0];

    check_begin("single steps");
    trap_set(TRAP_DEBUG, note_step);
    expect("trapped", attempt(probe_trace, 0).trapped, false);
    trap_set(TRAP_DEBUG, attempt_end);
    expect("number of steps", step_count, wanted_count);
    for (uint32_t i = 0; i < wanted_count; i++)
        expect("eip of a step", steps[i], (uint32_t)wanted[i]);
    expect("steps without DR6.BS", steps_without_reason, 0);
    check_end();
}
