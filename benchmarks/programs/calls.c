/*
 * Calls and returns: Fibonacci numbers by plain recursion, some twenty
 * instructions between one jump through a return address and the next.
 *
 * Options: size=N, the number to compute (default 30); rounds=N (default 2).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "calls";

/* Through a pointer that the compiler cannot see through, or it would unroll. */
static uint32_t fibonacci(uint32_t n);
static uint32_t (*volatile const next)(uint32_t) = fibonacci;

static uint32_t fibonacci(uint32_t n) { return n < 2 ? n : next(n - 1) + next(n - 2); }

int guest_main(void) {
    uint32_t size = option_number("size", 30, 1, 47);
    uint32_t rounds = option_number("rounds", 2, 1, UINT32_MAX);
    uint32_t sum = 0;

    for (uint32_t round = 0; round < rounds; round++)
        sum += fibonacci(size);
    print("calls: number %u, %u rounds, sum %u\n", size, rounds, sum);
    return EXIT_OK;
}
