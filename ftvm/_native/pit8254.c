/*
 * The interval timer of a PC: an 8254 and the speaker port 0x61 around it.
 *
 * Figures and sections are those of the 82C54 data sheet (Intel 231244); port 0x61
 * is in the IBM PC AT Technical Reference, "System Board I/O".
 *
 *     counter 0  GATE high                  OUT --> IRQ0
 *     counter 1  GATE high                  OUT: DRAM refresh, goes nowhere here
 *     counter 2  GATE from port 0x61 bit 0  OUT --> port 0x61 bit 5 (and a speaker)
 *
 * Nothing ticks. A counter's value follows from guest time when it is asked for,
 * and IRQ0 asks for pit_advance() only when OUT of counter 0 will rise. The falls of
 * OUT in modes 2 to 5 come to IRQ0 just before the next rise: the controller looks
 * at the rise, and a wake-up for each fall would double their number.
 */
#include "pit.h"

enum { BASE = 0x40, CONTROL = 0x43, SPEAKER = 0x61 };

enum { CLOCK_HZ = 1193182 }; /* a twelfth of 14.31818 MHz, as kernels round it */
enum { NS_PER_S = 1000000000 };

/* Control word, figures 7, 9 and 10. */
enum {
    READ_BACK = 3,     /* in place of a counter's number */
    COUNTER_LATCH = 0, /* in place of RW */
    READ_BACK_NO_COUNT = 0x20,
    READ_BACK_NO_STATUS = 0x10
};

/* Port 0x61. */
enum {
    SPEAKER_GATE = 0x01,
    SPEAKER_WRITABLE = 0x0f, /* gate, speaker data, and the two check enables */
    SPEAKER_REFRESH = 0x10,
    SPEAKER_OUT = 0x20
};
enum { REFRESH_TICKS = 18 }; /* what a PC's firmware gives counter 1: 15 µs */

static int64_t tick_at(uint64_t now_ns) {
    return (int64_t)((unsigned __int128)now_ns * CLOCK_HZ / NS_PER_S);
}

/* The first moment of a tick; UINT64_MAX if that is later than guest time can be. */
static uint64_t begin_ns(int64_t tick) {
    unsigned __int128 pulses = tick > 0 ? (uint64_t)tick : 0;
    unsigned __int128 ns = (pulses * NS_PER_S + CLOCK_HZ - 1) / CLOCK_HZ;

    return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX;
}

static void expect_rise(Pit *pit) {
    pit->next_rise = counter_next_rise(&pit->counters[0], pit->seen);
    pit->due_ns = pit->next_rise == PIT_NEVER ? UINT64_MAX : begin_ns(pit->next_rise);
}

void pit_reset(Pit *pit) {
    *pit = (Pit){.wires = pit->wires, .irq = true}; /* OUT of mode 3 before it is given a count */
    for (int number = 0; number < PIT_COUNTERS; number++)
        counter_reset(&pit->counters[number]);
    pit->counters[2].gate = false;
    expect_rise(pit);
}

/* Restored: what follows from the rest. */
void pit_settle(Pit *pit) { expect_rise(pit); }

static void drive(Pit *pit, bool level) {
    if (level == pit->irq)
        return;
    pit->irq = level;
    pit->wires.irq(pit->wires.user, level);
}

/* Guest time of IRQ0's next rise; UINT64_MAX if none will come. */
uint64_t pit_deadline(const Pit *pit) { return pit->due_ns; }

/* Raises IRQ0 if OUT rose since the last look: once, however often it rose. */
void pit_advance(Pit *pit, uint64_t now_ns) {
    int64_t tick = tick_at(now_ns);
    bool rose;

    if (tick > pit->seen)
        pit->seen = tick;
    rose = pit->next_rise <= pit->seen;
    if (rose) {
        drive(pit, false);
        drive(pit, true);
    }
    counter_settle(&pit->counters[0], pit->seen);
    if (rose)
        expect_rise(pit);
}

/* The present tick, all that is due by then done. */
static int64_t present(Pit *pit) {
    pit_advance(pit, pit->wires.clock(pit->wires.user));
    return pit->seen;
}

/* --- reading --------------------------------------------------------------------------- */

static uint8_t read_speaker(Pit *pit) {
    int64_t tick = present(pit);
    uint8_t value = pit->speaker;

    if (tick / REFRESH_TICKS & 1)
        value |= SPEAKER_REFRESH;
    if (counter_out(&pit->counters[2], tick))
        value |= SPEAKER_OUT;
    return value;
}

/* A counter's byte or port 0x61; the control word reads all ones. */
uint8_t pit_read(Pit *pit, uint32_t port) {
    if (port == SPEAKER)
        return read_speaker(pit);
    if (port == CONTROL)
        return 0xff; /* figure 14: no operation, three-state */
    PitCounter *counter = &pit->counters[port - BASE];
    return counter_read(counter, counter_latched(counter) ? pit->seen : present(pit));
}

/* --- writing --------------------------------------------------------------------------- */

/* Behind a write to counter 0: mode 0 waits low, the others wait high. */
static void follow_counter_0(Pit *pit) {
    drive(pit, counter_mode(&pit->counters[0]) != INTERRUPT_ON_TERMINAL_COUNT);
    expect_rise(pit);
}

static void write_counter(Pit *pit, uint32_t number, uint8_t value) {
    PitCounter *counter = &pit->counters[number];

    counter_write(counter, value, counter_stores_next_write(counter) ? pit->seen : present(pit));
    if (number == 0)
        follow_counter_0(pit);
}

static void read_back(Pit *pit, uint8_t word) {
    int64_t tick = present(pit);

    for (int number = 0; number < PIT_COUNTERS; number++) {
        if (!(word & 2 << number))
            continue;
        if (!(word & READ_BACK_NO_COUNT))
            counter_latch_count(&pit->counters[number], tick);
        if (!(word & READ_BACK_NO_STATUS))
            counter_latch_status(&pit->counters[number], tick);
    }
}

static void program(Pit *pit, uint32_t number, uint8_t word) {
    if (number == 0)
        present(pit); /* what rose under the old mode did rise */
    counter_program(&pit->counters[number], word);
    if (number == 0)
        follow_counter_0(pit);
}

static void write_control(Pit *pit, uint8_t word) {
    uint32_t number = word >> 6;

    if (number == READ_BACK)
        read_back(pit, word);
    else if ((word >> 4 & 3) != COUNTER_LATCH)
        program(pit, number, word);
    else if (!pit->counters[number].has_latched_count)
        counter_latch_count(&pit->counters[number], present(pit));
}

static void write_speaker(Pit *pit, uint8_t value) {
    if ((value ^ pit->speaker) & SPEAKER_GATE)
        counter_set_gate(&pit->counters[2], value & SPEAKER_GATE, present(pit));
    pit->speaker = value & SPEAKER_WRITABLE;
}

/* A counter's byte, a control word or port 0x61. */
void pit_write(Pit *pit, uint32_t port, uint8_t value) {
    if (port == SPEAKER)
        write_speaker(pit, value);
    else if (port == CONTROL)
        write_control(pit, value);
    else
        write_counter(pit, port - BASE, value);
}
