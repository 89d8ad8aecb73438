/*
 * Throws dice. On the console, `t` throws one and tells it, `q` leaves with the
 * number of throws; any other key is ignored.
 *
 * No two runs say the same: an answer has the processor's random number and its
 * time-stamp counter in it. Whoever sees an answer twice, or two answers to one
 * throw, has seen two machines.
 *
 * Option: rate=HZ prints a dot for every timer interrupt (default: none).
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "dice";

/* CPUID feature bits, Intel SDM vol. 2A table 3-8. */
#define LEAF_1_ECX_RDRAND (1u << 30)

static volatile uint32_t ticks;

static void clock_interrupt(void) { ticks++; }

/* The keys stay in the UART until somebody wants one; the interrupt only wakes us. */
static void key_interrupt(void) {}

static void print_dots(void) {
    static uint32_t printed;
    for (; printed != ticks; printed++)
        print(".");
}

static uint8_t next_key(void) {
    for (;;) {
        print_dots();
        if (in8(UART_LSR) & LSR_DATA_READY)
            return in8(UART_RBR);
        wait_for_interrupt();
    }
}

static uint32_t die(void) {
    uint32_t value;
    bool valid = false;
    if (cpuid(1).ecx & LEAF_1_ECX_RDRAND)
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(valid));
    if (!valid)
        value = (uint32_t)rdtsc() >> 4;
    return value % 6 + 1;
}

int guest_main(void) {
    uint32_t rate = option_number("rate", 0, PIT_RATE_MIN, PIT_RATE_MAX);

    irq_enable(UART_IRQ, key_interrupt);
    out8(UART_IER, IER_RECEIVED);
    if (rate) {
        irq_enable(PIT_IRQ, clock_interrupt);
        pit_periodic(rate);
    }
    print("dice: ready\n");

    uint32_t throws = 0;
    for (;;) {
        switch (next_key()) {
        case 't':
            throws++;
            print("%u: %u at %llu\n", throws, die(), rdtsc());
            break;
        case 'q':
            return (int)(throws & 0xff);
        default:
            break;
        }
    }
}
