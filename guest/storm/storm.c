/*
 * A random mix of everything a machine does, from a seed. Timer interrupts come
 * all the while, at moments that nobody knows beforehand, but nothing that
 * depends on them, on the clock or on a device gets into the checksum: what is
 * printed is a function of seed and ops alone. The option `nondet` lets all that
 * in, for whoever wants to see two runs differ.
 *
 * Options: seed=N (default 1), ops=N (default 20,000), nondet.
 */
#include "storm.h"

#include "attempt.h"
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "storm";

#define TIMER_HZ 250
#define LINES 16

static uint32_t random_state;
static uint32_t checksum = 2166136261u;
static bool is_nondeterministic;
static volatile uint32_t ticks;

/* Marsaglia's xorshift generator, "Xorshift RNGs" (2003), page 4. */
uint32_t random_next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

uint32_t random_below(uint32_t below) { return (uint32_t)((uint64_t)random_next() * below >> 32); }

/* FNV-1a, with words for bytes. */
void fold(uint32_t value) { checksum = (checksum ^ value) * 16777619u; }

void fold_outside(uint32_t value) {
    if (is_nondeterministic)
        fold(value);
}

static void clock_interrupt(void) { ticks++; }

/* What happens how often, in 64ths. */
static void storm_one(void) {
    static const struct {
        void (*run)(void);
        uint32_t weight;
    } kinds[] = {
        {storm_arithmetic, 20}, {storm_memory_walk, 10}, {storm_string, 8},
        {storm_code, 6},        {storm_page_use, 8},     {storm_page_change, 4},
        {storm_fault, 4},       {storm_ports, 2},        {storm_time, 2},
    };
    uint32_t choice = random_below(64), kind = 0;
    while (choice >= kinds[kind].weight)
        choice -= kinds[kind++].weight;
    fold(kind);
    kinds[kind].run();
}

int guest_main(void) {
    uint32_t seed = option_number("seed", 1, 0, UINT32_MAX);
    uint32_t ops = option_number("ops", 20000, 1, UINT32_MAX);
    is_nondeterministic = option_switch("nondet");
    print("storm: seed %u, %u ops\n", seed, ops);

    /* Far apart for seeds that are near, and never 0, where the generator stays. */
    random_state = seed * 2654435769u + 1013904223u;
    if (!random_state)
        random_state = 1;
    for (unsigned vector = 0; vector < TRAP_EXCEPTIONS; vector++)
        trap_set(vector, attempt_end);
    storm_pages_init();
    irq_enable(PIT_IRQ, clock_interrupt);
    pit_periodic(TIMER_HZ);
    interrupts_on();

    uint32_t step = ops < LINES ? 1 : ops / LINES;
    for (uint32_t op = 1; op <= ops; op++) {
        storm_one();
        fold_outside(ticks);
        if (op % step == 0)
            print("op %u checksum 0x%08x\n", op, checksum);
    }
    print("storm: done, checksum 0x%08x\n", checksum);
    return EXIT_OK;
}
