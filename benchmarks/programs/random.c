/*
 * Random numbers: RDRAND, 10,000 times a round.
 *
 * Options: rounds=N (default 100).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "random";

#define DRAWS 10000

int guest_main(void) {
    uint32_t rounds = option_number("rounds", 100, 1, UINT32_MAX);
    uint32_t all = 0;

    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t draw = 0; draw < DRAWS; draw++) {
            uint32_t value;
            __asm__ volatile("rdrand %0" : "=r"(value) : : "cc");
            all |= value;
        }
    /* Of so many numbers every bit was set in one. */
    print("random: %u rounds, bits 0x%08x\n", rounds, all);
    return all == UINT32_MAX ? EXIT_OK : EXIT_CHECK_FAILED;
}
