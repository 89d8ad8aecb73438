/*
 * System calls: from ring 3 to ring 0 by an interrupt gate and back by IRET,
 * 1,000 times a round, under paging.
 *
 * Options: rounds=N (default 100).
 */
#include "options.h"
#include "print.h"
#include "ring3.h"

const char guest_name[] = "syscalls";

#define CALLS 1000

enum { CALL_ADD, CALL_LEAVE };

static struct address_space space;
static uint32_t stack[RING3_STACK_WORDS];
static uint32_t rounds, sum;

static void serve(struct trap_frame *frame) {
    if (frame->eax == CALL_LEAVE) {
        print("syscalls: %u rounds, sum %u\n", rounds, sum);
        guest_exit(EXIT_OK);
    }
    frame->eax = ++sum;
}

static void user(void) {
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t call = 0; call < CALLS; call++)
            system_call(CALL_ADD);
    system_call(CALL_LEAVE);
}

int guest_main(void) {
    rounds = option_number("rounds", 100, 1, UINT32_MAX);
    ring3_space(&space);
    space_enter(&space);
    ring3_init(serve);
    ring3_enter(user, stack);
}
