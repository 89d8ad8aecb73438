/*
 * Context switches: two processes of ring 3, each with an address space and
 * sixteen pages of its own at the same addresses, give way to each other 1,000
 * times a round.
 *
 * Options: rounds=N (default 100).
 */
#include "options.h"
#include "print.h"
#include "ring3.h"

const char guest_name[] = "switches";

#define SWITCHES 1000
#define PROCESSES 2
#define PAGES 16
#define WINDOW 0x40000000u
#define WINDOW_FLAGS (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER)

static struct address_space spaces[PROCESSES];
static uint32_t frames[PROCESSES][PAGES][PAGE_BYTES / 4] __attribute__((aligned(PAGE_BYTES)));
static uint32_t stacks[PROCESSES][RING3_STACK_WORDS];
static struct trap_frame saved[PROCESSES];
static uint32_t rounds, switches_left, running;

static void leave(void) {
    uint32_t sums[PROCESSES] = {0};
    for (uint32_t process = 0; process < PROCESSES; process++)
        for (uint32_t page = 0; page < PAGES; page++)
            sums[process] += frames[process][page][0];
    print("switches: sums %u %u\n", sums[0], sums[1]);
    guest_exit(EXIT_OK);
}

static void give_way(struct trap_frame *frame) {
    if (!switches_left) {
        if (!--rounds)
            leave();
        switches_left = SWITCHES;
    }
    switches_left--;
    saved[running] = *frame;
    running = !running;
    *frame = saved[running];
    cr3_write((uint32_t)&spaces[running]);
}

static void user(void) {
    for (uint32_t turn = 0;; turn++) {
        for (uint32_t page = 0; page < PAGES; page++)
            *(volatile uint32_t *)(WINDOW + page * PAGE_BYTES) += turn;
        system_call(0);
    }
}

/* The first system call finds here what the second process begins with. */
static void prepare_second(void) {
    saved[1] = (struct trap_frame){
        .gs = KERNEL_DATA,
        .fs = USER_DATA,
        .es = USER_DATA,
        .ds = USER_DATA,
        .eip = (uint32_t)user,
        .cs = USER_CODE,
        .eflags = RING3_FLAGS,
        .user_esp = (uint32_t)(stacks[1] + RING3_STACK_WORDS),
        .user_ss = USER_DATA,
    };
}

int guest_main(void) {
    rounds = option_number("rounds", 100, 1, UINT32_MAX);
    switches_left = SWITCHES;
    for (uint32_t process = 0; process < PROCESSES; process++) {
        ring3_space(&spaces[process]);
        for (uint32_t page = 0; page < PAGES; page++)
            page_map(&spaces[process], WINDOW + page * PAGE_BYTES, frames[process][page],
                     WINDOW_FLAGS);
    }
    prepare_second();
    space_enter(&spaces[0]);
    ring3_init(give_way);
    ring3_enter(user, stacks[0]);
}
