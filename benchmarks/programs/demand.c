/*
 * Page faults: ring 3 writes to 256 pages that are not there, the handler gives
 * it each, and takes all away again after a round.
 *
 * Options: rounds=N (default 100).
 */
#include "options.h"
#include "print.h"
#include "ring3.h"

const char guest_name[] = "demand";

#define PAGES 256
#define WINDOW 0x40000000u
#define WINDOW_FLAGS (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER)

enum { CALL_TAKE_AWAY, CALL_LEAVE };

static struct address_space space;
static uint32_t frames[PAGES][PAGE_BYTES / 4] __attribute__((aligned(PAGE_BYTES)));
static uint32_t stack[RING3_STACK_WORDS];
static uint32_t rounds, faults;

static void give(struct trap_frame *frame) {
    (void)frame;
    uint32_t page = (cr2_read() - WINDOW) / PAGE_BYTES;
    page_map(&space, WINDOW + page * PAGE_BYTES, frames[page], WINDOW_FLAGS);
    faults++;
}

static void serve(struct trap_frame *frame) {
    if (frame->eax == CALL_LEAVE) {
        uint32_t sum = 0;
        for (uint32_t page = 0; page < PAGES; page++)
            sum += frames[page][page % 1024];
        print("demand: %u rounds, %u faults, sum %u\n", rounds, faults, sum);
        guest_exit(EXIT_OK);
    }
    for (uint32_t page = 0; page < PAGES; page++)
        *page_entry(&space, WINDOW + page * PAGE_BYTES) = 0;
    cr3_write((uint32_t)&space);
}

static void user(void) {
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t page = 0; page < PAGES; page++)
            ((volatile uint32_t *)(WINDOW + page * PAGE_BYTES))[page % 1024] += round;
        system_call(CALL_TAKE_AWAY);
    }
    system_call(CALL_LEAVE);
}

int guest_main(void) {
    rounds = option_number("rounds", 100, 1, UINT32_MAX);
    ring3_space(&space);
    page_map(&space, WINDOW, frames[0], 0); /* the page table */
    space_enter(&space);
    trap_set(TRAP_PAGE, give);
    ring3_init(serve);
    ring3_enter(user, stack);
}
