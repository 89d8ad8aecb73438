/*
 * Writer: fills all memory with numbers, and then sleeps between timer
 * interrupts or writes a word of each of many pages, again and again. A dot is
 * a sign of life; any key ends it.
 *
 * Options: megabytes=N of memory (default 16); hot=N, the megabytes that it goes on
 * writing to (default 0: it sleeps).
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "paging.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "writer";

#define FIRST_BYTE 0x400000u /* behind everything that is linked into a guest */
#define MEGABYTE 0x100000u
#define TICKS_HZ 500
#define PAGES_FOR_A_DOT 512

static void nothing(void) {}

static int typed(void) { return in8(UART_LSR) & LSR_DATA_READY; }

static void sleep_on(void) {
    irq_enable(PIT_IRQ, nothing);
    pit_periodic(TICKS_HZ);
    while (!typed()) {
        wait_for_interrupt();
        console_put('.');
    }
}

static void write_on(uint32_t end) {
    uint32_t written = 0;

    while (!typed())
        for (uint32_t at = FIRST_BYTE; at < end; at += PAGE_BYTES) {
            *(volatile uint32_t *)at += 1;
            if (++written % PAGES_FOR_A_DOT == 0)
                console_put('.');
        }
}

int guest_main(void) {
    uint32_t end = option_number("megabytes", 16, 8, 3072) * MEGABYTE;
    uint32_t hot = option_number("hot", 0, 0, 3064) * MEGABYTE;

    for (uint32_t at = FIRST_BYTE; at < end; at += 4)
        *(volatile uint32_t *)at = at * 2654435761u;
    print("writer: full\n");
    if (hot)
        write_on(FIRST_BYTE + hot);
    else
        sleep_on();
    return EXIT_OK;
}
