/*
 * The time-stamp counter, read 10,000 times a round with a little arithmetic in
 * between; it must never go backwards.
 *
 * Options: rounds=N (default 100).
 */
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "tsc";

#define READS 10000

int guest_main(void) {
    uint32_t rounds = option_number("rounds", 100, 1, UINT32_MAX);
    uint32_t backwards = 0;
    uint64_t last = rdtsc();

    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t read = 0; read < READS; read++) {
            uint64_t now = rdtsc();
            backwards += now < last;
            last = now;
        }
    print("tsc: %u rounds, backwards %u times\n", rounds, backwards);
    return backwards ? EXIT_CHECK_FAILED : EXIT_OK;
}
