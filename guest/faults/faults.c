/*
 * Everything that can interrupt a program, done on purpose: exceptions, page
 * faults, ring 3 and its system calls, ports refused and allowed, interrupts at
 * the one instruction where they may come, double faults and task switches.
 *
 * Option: triple, end by a triple fault, which resets a PC.
 */
#include "faults.h"

#include "check.h"
#include "console.h"
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "faults";

struct address_space space;
uint32_t frames[FRAMES][PAGE_BYTES / 4] __attribute__((aligned(PAGE_BYTES)));

void frames_fill(void) {
    for (uint32_t frame = 0; frame < FRAMES; frame++)
        for (uint32_t i = 0; i < PAGE_BYTES / 4; i++)
            frames[frame][i] = FRAME_WORD(frame, i);
}

void expect_trap(const struct outcome *outcome, uint32_t vector, uint32_t error, uint32_t eip) {
    expect("trapped", outcome->trapped, true);
    expect("vector", outcome->frame.vector, vector);
    expect("error code", outcome->frame.error, error);
    expect("eip", outcome->frame.eip, eip);
}

void expect_page_fault(const struct outcome *outcome, uint32_t error, uint32_t eip,
                       uint32_t address) {
    expect_trap(outcome, TRAP_PAGE, error, eip);
    expect("cr2", outcome->cr2, address);
}

void check_trap(const char *name, probe *run, uint32_t argument, uint32_t vector, uint32_t error,
                const void *eip) {
    check_begin(name);
    struct outcome outcome = attempt(run, argument);
    expect_trap(&outcome, vector, error, (uint32_t)eip);
    expect("cs", outcome.frame.cs & 0xffff, KERNEL_CODE);
    check_end();
}

int guest_main(void) {
    bool is_triple = option_switch("triple");
    print("faults: begin\n");
    for (unsigned vector = 0; vector < TRAP_EXCEPTIONS; vector++)
        trap_set(vector, attempt_end);

    check_exceptions();
    check_interrupts();
    check_pages();
    check_rings();
    check_ports();
    check_double_faults();

    int status = check_summary();
    if (is_triple) {
        print("faults: triple fault now\n");
        console_drain();
        /* With no table, the trap faults, and so does the fault's fault. */
        traps_load(0);
        __asm__ volatile("int3");
    }
    return status;
}
