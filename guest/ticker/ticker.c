/*
 * Count timer interrupts, asleep in between, and tell of ten of them. What is
 * printed are tick numbers, so a slow machine prints the same as a fast one.
 *
 * Options: rate=HZ (default 100), ticks=N (default 50).
 */
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "ticker";

static volatile uint32_t ticks;

static void clock_interrupt(void) { ticks++; }

int guest_main(void) {
    uint32_t rate = option_number("rate", 100, PIT_RATE_MIN, PIT_RATE_MAX);
    uint32_t last = option_number("ticks", 50, 1, UINT32_MAX);
    print("ticker: %u ticks at %u Hz\n", last, rate);

    irq_enable(PIT_IRQ, clock_interrupt);
    pit_periodic(rate);

    uint32_t step = last < 10 ? 1 : last / 10;
    uint32_t told = 0;
    /* `ticks` may be ahead by more than one if printing took longer than that. */
    while (told < last) {
        wait_for_interrupt();
        while (told < ticks && told < last) {
            told++;
            if (told % step == 0)
                print("tick %u\n", told);
        }
    }
    print("ticker: done\n");
    return EXIT_OK;
}
