/* The kinds of operation that concern pages, traps, devices and time. */
#include "storm.h"

#include "attempt.h"
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "paging.h"
#include "pic.h"
#include "pit.h"

/* More pages than frames, so that most frames are seen at several addresses. */
#define WINDOW 0x40000000u
#define PAGES 32
#define FRAMES 8

/* An address that is never mapped. */
#define NOWHERE 0xc0000000u

/* A selector beyond the descriptor table. */
#define NO_SELECTOR 0x7f8

enum {
    CMOS_INDEX = 0x70,
    CMOS_DATA = 0x71,
    CMOS_REGISTERS = 14, /* the clock's own; MC146818A figure 10 */
    UART_MSR = UART_BASE + 6,
};

static struct address_space space;
static uint8_t frames[FRAMES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uint32_t value_read, value_to_write;

static uint32_t page_address(uint32_t page) { return WINDOW + page * PAGE_BYTES; }

void storm_pages_init(void) {
    space_init(&space);
    for (uint32_t page = 0; page < PAGES; page++)
        page_map(&space, page_address(page), frames[page % FRAMES], PAGE_PRESENT | PAGE_WRITABLE);
    space_enter(&space);
}

/*
 * Map a page anew, or not at all. What the entry was goes into the checksum with
 * its accessed and dirty bits: the page's entry is always flushed from the TLB
 * when it changes, so those bits say no more than whether the page was used.
 */
void storm_page_change(void) {
    static const uint32_t flags[] = {
        0,
        PAGE_PRESENT,
        PAGE_PRESENT | PAGE_WRITABLE,
        PAGE_PRESENT | PAGE_WRITABLE,
    };
    uint32_t address = page_address(random_below(PAGES));
    fold(*page_entry(&space, address) - (uint32_t)frames);
    page_map(&space, address, frames[random_below(FRAMES)], flags[random_below(4)]);
    if (!random_below(8))
        cr3_write((uint32_t)&space);
}

static void read_word(uint32_t address) { value_read = *(volatile uint32_t *)address; }

static void write_word(uint32_t address) { *(volatile uint32_t *)address = value_to_write; }

/* Read or write somewhere in the window, across pages now and then. */
void storm_page_use(void) {
    for (uint32_t left = 1 + random_below(8); left > 0; left--) {
        uint32_t address = WINDOW + random_below(PAGES * PAGE_BYTES - 3);
        value_read = 0;
        value_to_write = random_next();
        struct outcome outcome = attempt(random_below(2) ? write_word : read_word, address);
        fold(value_read);
        if (outcome.trapped) {
            fold(outcome.frame.error);
            fold(outcome.cr2);
        }
    }
}

static void divide(uint32_t argument) {
    uint32_t low = argument, high = argument;
    __asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0) : "cc");
}

static void undefined(uint32_t argument) {
    (void)argument;
    __asm__ volatile("ud2");
}

static void breakpoint(uint32_t argument) {
    (void)argument;
    __asm__ volatile("int3");
}

static void load_selector(uint32_t argument) {
    (void)argument;
    __asm__ volatile("movl %0, %%es" : : "r"(NO_SELECTOR));
}

static void trace(uint32_t argument) {
    (void)argument;
    __asm__ volatile("pushfl; orl %0, (%%esp); popfl; nop" : : "i"(FLAG_TRAP) : "memory", "cc");
}

static void read_nowhere(uint32_t argument) { read_word(NOWHERE + argument % PAGE_BYTES); }

static void write_nowhere(uint32_t argument) { write_word(NOWHERE + argument % PAGE_BYTES); }

/* A fault made on purpose. */
void storm_fault(void) {
    static void (*const faults[])(uint32_t) = {
        divide, undefined, breakpoint, load_selector, trace, read_nowhere, write_nowhere,
    };
    uint32_t choice = random_below(sizeof faults / sizeof faults[0]);
    struct outcome outcome = attempt(faults[choice], random_next());
    fold(outcome.frame.vector);
    fold(outcome.frame.error);
}

/* Ask every device how it is. What the interrupt masks are, we know. */
void storm_ports(void) {
    static const uint16_t ports[] = {PIC_COMMAND, PIC2_COMMAND, UART_IIR, UART_LSR, UART_MSR};
    for (uint32_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        fold_outside(in8(ports[i]));
    out8(CMOS_INDEX, (uint8_t)random_below(CMOS_REGISTERS));
    fold_outside(in8(CMOS_DATA));
    fold(in8(PIC_MASK));
    fold(in8(PIC2_MASK));
}

void storm_time(void) {
    uint64_t now = rdtsc();
    fold_outside((uint32_t)now);
    fold_outside((uint32_t)(now >> 32));
    fold_outside(pit_count());
}
