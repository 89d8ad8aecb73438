/*
 * The sieve of Eratosthenes: a compute guest of plain loops and many stores.
 *
 * Options: size=N, primes below N are found (default 1,000,000, at most
 * 4,000,000); rounds=N (default 8).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "primes";

#define SIZE_MAX_NUMBERS 4000000

static uint8_t composite[SIZE_MAX_NUMBERS];

static void sieve(uint32_t size) {
    memset(composite, 0, size);
    for (uint32_t n = 2; n * n < size; n++)
        if (!composite[n])
            for (uint32_t multiple = n * n; multiple < size; multiple += n)
                composite[multiple] = 1;
}

int guest_main(void) {
    uint32_t size = option_number("size", 1000000, 3, SIZE_MAX_NUMBERS);
    uint32_t rounds = option_number("rounds", 8, 1, UINT32_MAX);
    print("primes: below %u, %u rounds\n", size, rounds);

    uint32_t count = 0, sum = 0, largest = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        sieve(size);
        for (uint32_t n = 2; n < size; n++) {
            if (!composite[n]) {
                count++;
                sum += n;
                largest = n;
            }
        }
    }
    /* Totals of all rounds, so that each one shows; the sum modulo 2^32. */
    print("primes: count %u sum %u largest %u\n", count, sum, largest);
    return EXIT_OK;
}
