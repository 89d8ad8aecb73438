/*
 * Console output: prints 64 lines of 64 bytes a round, as fast as the port takes them.
 *
 * Options: rounds=N (default 10).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "lines";

#define LINES 64

int guest_main(void) {
    uint32_t rounds = option_number("rounds", 10, 1, UINT32_MAX);

    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t line = 0; line < LINES; line++)
            print("line %10u ...............................................\n", line);
    print("lines: %u rounds\n", rounds);
    return EXIT_OK;
}
