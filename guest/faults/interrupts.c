/* External interrupts: that they come, and at which instruction. */
#include "faults.h"

#include "check.h"
#include "cpu.h"
#include "pic.h"
#include "pit.h"

#define TIMER_VECTOR (PIC_FIRST_VECTOR + PIT_IRQ)
#define ONE_SHOT_TICKS 2000 /* under 2 ms */
#define PATIENCE 10000000   /* looks at the controller before giving up */

static volatile uint32_t interrupts;
static uint32_t interrupt_eip;

static void note_interrupt(struct trap_frame *frame) {
    interrupts++;
    interrupt_eip = frame->eip;
    irq_dispatch(PIT_IRQ);
}

static void nothing(void) {}

/* With interrupts off, let the timer ask for one, and wait until it does. */
static void make_pending(void) {
    interrupts = 0;
    pit_one_shot(ONE_SHOT_TICKS);
    uint32_t looks = 0;
    while (!irq_requested(PIT_IRQ) && ++looks < PATIENCE)
        continue;
    expect("timer asks", irq_requested(PIT_IRQ), true);
    expect("interrupts while they are off", interrupts, 0);
}

static void take_pending(void) {
    while (!interrupts)
        wait_for_interrupt();
}

void check_interrupts(void) {
    trap_set(TIMER_VECTOR, note_interrupt);
    irq_enable(PIT_IRQ, nothing);

    check_begin("halt until interrupt");
    interrupts = 0;
    pit_one_shot(ONE_SHOT_TICKS);
    wait_for_interrupt();
    expect("interrupts", interrupts, 1);
    check_end();

    check_begin("interrupt behind sti and one more");
    make_pending();
    attempt(probe_shadow, 0);
    expect("interrupts", interrupts, 1);
    expect("eip", interrupt_eip, (uint32_t)probe_shadow_after);
    check_end();

    check_begin("no interrupt between sti and cli");
    make_pending();
    attempt(probe_no_window, 0);
    expect("interrupts", interrupts, 0);
    take_pending();
    check_end();

    check_begin("masked interrupt is kept");
    make_pending();
    irq_disable(PIT_IRQ);
    interrupts_on();
    __asm__ volatile("nop");
    interrupts_off();
    expect("interrupts while masked", interrupts, 0);
    expect("still asked for", irq_requested(PIT_IRQ), true);
    irq_enable(PIT_IRQ, nothing);
    take_pending();
    expect("interrupts", interrupts, 1);
    check_end();

    irq_disable(PIT_IRQ);
    trap_set(TIMER_VECTOR, NULL);
}
