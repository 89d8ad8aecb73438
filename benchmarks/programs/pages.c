/*
 * Pages: a read and a write on each of many 4 KiB pages, far more than a TLB
 * holds, and a new page directory for every round.
 *
 * Options: size=N pages (default 4,096, which is also the most); rounds=N
 * (default 100).
 */
#include "guest.h"
#include "options.h"
#include "paging.h"
#include "print.h"

const char guest_name[] = "pages";

#define SIZE_MAX_PAGES 4096
#define FRAMES 512
#define WINDOW 0x40000000u

static struct address_space space;
static uint32_t frames[FRAMES][PAGE_BYTES / 4] __attribute__((aligned(PAGE_BYTES)));

int guest_main(void) {
    uint32_t size = option_number("size", SIZE_MAX_PAGES, 1, SIZE_MAX_PAGES);
    uint32_t rounds = option_number("rounds", 100, 1, UINT32_MAX);
    uint32_t sum = 0;

    space_init(&space);
    for (uint32_t page = 0; page < size; page++)
        page_map(&space, WINDOW + page * PAGE_BYTES, frames[page % FRAMES],
                 PAGE_PRESENT | PAGE_WRITABLE);
    space_enter(&space);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t page = 0; page < size; page++) {
            volatile uint32_t *word = (uint32_t *)(WINDOW + page * PAGE_BYTES + page % 1024 * 4);
            sum = sum * 31 + *word;
            *word = sum ^ page;
        }
        cr3_write((uint32_t)&space);
    }
    print("pages: %u pages, %u rounds, sum %u\n", size, rounds, sum);
    return EXIT_OK;
}
