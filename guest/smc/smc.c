/*
 * What an emulator that translates code must never get wrong: code written over
 * while it runs, code seen through two addresses, one address that shows
 * different code, and the string instructions, which write so much at once.
 */
#include "smc.h"

#include "check.h"
#include "guest.h"
#include "print.h"

const char guest_name[] = "smc";

uint8_t frames[FRAMES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
struct address_space space;

int guest_main(void) {
    print("smc: begin\n");
    check_rewritten();
    space_init(&space);
    space_enter(&space);
    check_spaces();
    check_strings();
    return check_summary();
}
