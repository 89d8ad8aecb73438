/*
 * Interrupts: computes without a rest while the timer ticks, 10,000 steps of a
 * random number generator a round.
 *
 * Options: rate=HZ (default 0: no timer); lines: print one at each tick;
 * rounds=N (default 1,000).
 */
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "ticks";

#define STEPS 10000

static volatile uint32_t ticks;

static void tick(void) { ticks++; }

/* Marsaglia's xorshift generator, "Xorshift RNGs" (2003), page 4. */
static uint32_t random_steps(uint32_t state) {
    for (uint32_t step = 0; step < STEPS; step++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    return state;
}

int guest_main(void) {
    uint32_t rate = option_number("rate", 0, 0, PIT_RATE_MAX);
    uint32_t rounds = option_number("rounds", 1000, 1, UINT32_MAX);
    bool lines = option_switch("lines");
    uint32_t state = 1, printed = 0;

    if (rate) {
        irq_enable(PIT_IRQ, tick);
        pit_periodic(rate < PIT_RATE_MIN ? PIT_RATE_MIN : rate);
        interrupts_on();
    }
    for (uint32_t round = 0; round < rounds; round++) {
        state = random_steps(state);
        while (lines && printed != ticks)
            print("tick %10u ..............................................\n", ++printed);
    }
    interrupts_off();
    print("ticks: %u rounds, state 0x%08x\n", rounds, state);
    return EXIT_OK;
}
