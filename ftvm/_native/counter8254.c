/*
 * One counter of an 8254, computed from the tick instead of counted.
 *
 * Modes and figures are those of the 82C54 data sheet (Intel 231244, October
 * 1994). Time is `tick`: how many CLK pulses there have been since guest time 0.
 * A count written in tick k is loaded by pulse k+1, and every pulse after that
 * counts down by one (mode 3: by two), so all that has to be kept is the tick of
 * the load, and what a later load will bring.
 */
#include "pit.h"

/* Control word, figure 7. */
enum { CONTROL_BITS = 0x3f, CONTROL_BCD = 0x01, ACCESS_SHIFT = 4 };
enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum { ONE_SHOT = 1, RATE_GENERATOR, SQUARE_WAVE, SOFTWARE_STROBE, HARDWARE_STROBE };

enum { STATUS_OUT = 0x80, STATUS_NULL_COUNT = 0x40 }; /* "Read-Back Command" */

enum { COUNT_MAX = 0x10000, BCD_COUNT_MAX = 10000 }; /* what a written 0 means */
enum { SHORTEST_PERIOD = 2 }; /* "Minimum and Maximum Initial Counts", modes 2 and 3 */

void counter_reset(PitCounter *counter) {
    *counter = (PitCounter){.control = ACCESS_BOTH << ACCESS_SHIFT | SQUARE_WAVE << 1,
                            .gate = true,
                            .waiting = true,
                            .count = COUNT_MAX};
}

static uint32_t access(const PitCounter *counter) { return counter->control >> ACCESS_SHIFT; }

/* 0 to 5; 6 and 7 are other names of 2 and 3 (figure 7). */
uint32_t counter_mode(const PitCounter *counter) {
    uint32_t mode = counter->control >> 1 & 7;

    return mode > HARDWARE_STROBE ? mode & 3 : mode;
}

static bool is_periodic(uint32_t mode) { return mode == RATE_GENERATOR || mode == SQUARE_WAVE; }

static bool is_triggered(uint32_t mode) { return mode == ONE_SHOT || mode == HARDWARE_STROBE; }

static bool is_strobe(uint32_t mode) { return mode == SOFTWARE_STROBE || mode == HARDWARE_STROBE; }

/* For how many pulses of its period a square wave is high ("Mode 3"). */
static uint32_t high_pulses(uint32_t count) { return (count + 1) / 2; }

/* Whether the next read is of something latched earlier, whatever the tick. */
bool counter_latched(const PitCounter *counter) {
    return counter->has_latched_count || counter->has_latched_status;
}

/* Whether the next byte is but kept until its high byte, whatever the tick. */
bool counter_stores_next_write(const PitCounter *counter) {
    return access(counter) == ACCESS_BOTH && !counter->has_low_byte &&
           counter_mode(counter) != INTERRUPT_ON_TERMINAL_COUNT;
}

/* --- numbers as the guest writes and reads them --------------------------------------- */

static uint32_t modulus(const PitCounter *counter) {
    return counter->control & CONTROL_BCD ? BCD_COUNT_MAX : COUNT_MAX;
}

static uint32_t decode(const PitCounter *counter, uint32_t written) {
    if (!written)
        return modulus(counter);
    if (!(counter->control & CONTROL_BCD))
        return written;
    return (written & 15) + (written >> 4 & 15) * 10 + (written >> 8 & 15) * 100 +
           (written >> 12) * 1000;
}

static uint16_t encode(const PitCounter *counter, uint32_t count) {
    count %= modulus(counter);
    if (!(counter->control & CONTROL_BCD))
        return (uint16_t)count;
    return (uint16_t)(count % 10 | count / 10 % 10 << 4 | count / 100 % 10 << 8 |
                      count / 1000 << 12);
}

/* --- counting -------------------------------------------------------------------------- */

/* The start as it will be after the reload. */
static int64_t reloaded_start(const PitCounter *counter) {
    if ((counter->reload - counter->start) % counter->count == 0)
        return counter->reload;
    /* The low half of a square wave begins: as if the high half had been this count's. */
    return counter->reload - high_pulses(counter->written);
}

/* Does the reload that has come due by `tick`. */
void counter_settle(PitCounter *counter, int64_t tick) {
    if (!counter->has_reload || tick < counter->reload)
        return;
    counter->start = reloaded_start(counter);
    counter->count = counter->written;
    counter->has_reload = counter->waiting = false;
}

static int64_t elapsed_at(const PitCounter *counter, int64_t tick) {
    return counter->has_paused ? counter->paused : tick - counter->start;
}

static int64_t not_negative(int64_t pulses) { return pulses > 0 ? pulses : 0; }

/* The counting element at `tick`, 0 to COUNT_MAX. */
uint32_t counter_value(PitCounter *counter, int64_t tick) {
    uint32_t mode = counter_mode(counter);

    counter_settle(counter, tick);
    if (!counter->has_start)
        return 0;
    uint32_t count = counter->count;
    uint64_t elapsed = (uint64_t)not_negative(elapsed_at(counter, tick));
    uint32_t phase = (uint32_t)(elapsed % count), high = high_pulses(count);
    if (mode == RATE_GENERATOR)
        return count - phase;
    if (mode == SQUARE_WAVE)
        /* "Mode 3": odd counts load count-1 and stay high for one pulse more. */
        return (count & ~1u) - 2 * (phase >= high ? phase - high : phase);
    uint32_t gone = (uint32_t)(elapsed % modulus(counter));
    return (count + modulus(counter) - gone) % modulus(counter);
}

/* The level of OUT at `tick`. */
bool counter_out(PitCounter *counter, int64_t tick) {
    uint32_t mode = counter_mode(counter);

    counter_settle(counter, tick);
    if (!counter->has_start)
        return mode != INTERRUPT_ON_TERMINAL_COUNT;
    int64_t elapsed = elapsed_at(counter, tick), count = counter->count;
    /* Two liberties, each of one CLK pulse: OUT of mode 1 falls with the trigger
     * and not with the load after it, and a count or trigger that comes in the
     * strobe of modes 4 and 5 ends it at once. */
    if (is_strobe(mode))
        return elapsed != count;
    if (!is_periodic(mode))
        return elapsed >= count;
    if (counter->has_paused || elapsed < 0)
        return true;
    if (mode == RATE_GENERATOR)
        return elapsed % count != count - 1;
    return elapsed % count < high_pulses(counter->count);
}

/* The first whole period's end later than `after`. */
static int64_t next_period(const PitCounter *counter, int64_t after) {
    uint32_t count = counter->count;
    int64_t periods = after >= counter->start ? (after - counter->start) / count + 1 : 1;
    int64_t rise = counter->start + periods * count;

    if (counter->has_reload && (rise > counter->reload || count < SHORTEST_PERIOD)) {
        count = counter->written;
        rise = reloaded_start(counter) + count;
    }
    return count >= SHORTEST_PERIOD ? rise : PIT_NEVER;
}

/* The first tick later than `after` in which OUT rises, gate unchanged; PIT_NEVER for none. */
int64_t counter_next_rise(const PitCounter *counter, int64_t after) {
    uint32_t mode = counter_mode(counter);

    if (!counter->has_start || counter->has_paused)
        return PIT_NEVER;
    if (is_periodic(mode))
        return next_period(counter, after);
    int64_t rise = counter->start + counter->count + is_strobe(mode);
    return rise > after ? rise : PIT_NEVER;
}

/* --- writing --------------------------------------------------------------------------- */

/* A control word's RW, M and BCD bits: it stops until a count is written. */
void counter_program(PitCounter *counter, uint8_t control) {
    *counter = (PitCounter){.control = control & CONTROL_BITS,
                            .gate = counter->gate,
                            .waiting = true,
                            .count = counter->count};
}

static void load(PitCounter *counter, int64_t tick) {
    counter->start = tick + 1;
    counter->has_start = true;
    counter->count = counter->written;
    counter->waiting = counter->has_reload = false;
    counter->has_paused = !counter->gate && !is_triggered(counter_mode(counter));
    counter->paused = 0;
}

/* The first tick later than `tick` in which a new count is loaded. */
static int64_t period_end(const PitCounter *counter, int64_t tick) {
    int64_t phase = (tick - counter->start) % counter->count;
    uint32_t high = high_pulses(counter->count);

    if (counter_mode(counter) == SQUARE_WAVE && phase < high)
        return tick - phase + high;
    return tick - phase + counter->count;
}

static void set_count(PitCounter *counter, uint32_t count, int64_t tick) {
    uint32_t mode = counter_mode(counter);

    counter_settle(counter, tick);
    counter->written = count;
    counter->waiting = true;
    bool loading = counter->has_start && tick < counter->start;
    if (is_triggered(mode) && !loading)
        return;
    if (!is_periodic(mode) || !counter->has_start || loading) {
        load(counter, tick);
    } else if (!counter->has_paused) {
        /* Modes 2 and 3 finish the period, or half of it, with the old count. */
        counter->reload = period_end(counter, tick);
        counter->has_reload = true;
    }
}

/* A byte of a count. */
void counter_write(PitCounter *counter, uint8_t value, int64_t tick) {
    uint32_t written = value;

    if (access(counter) == ACCESS_BOTH && !counter->has_low_byte) {
        counter->low_byte = value;
        counter->has_low_byte = true;
        if (counter_mode(counter) == INTERRUPT_ON_TERMINAL_COUNT)
            /* "Mode 0": OUT falls and the count stands still. */
            counter->has_start = counter->has_paused = false;
        return;
    }
    if (access(counter) == ACCESS_BOTH)
        written = written << 8 | counter->low_byte;
    else if (access(counter) == ACCESS_HIGH)
        written <<= 8;
    counter->has_low_byte = false;
    set_count(counter, decode(counter, written), tick);
}

static void pause(PitCounter *counter, int64_t tick) {
    counter->paused = not_negative(tick - counter->start);
    counter->has_paused = true;
}

static void go_on(PitCounter *counter, int64_t tick) {
    int64_t start = tick - counter->paused;

    counter->start = start > counter->start ? start : counter->start;
    counter->has_paused = false;
}

/* Moves GATE; "Gate Pin Operations Summary" says what that does in each mode. */
void counter_set_gate(PitCounter *counter, bool gate, int64_t tick) {
    uint32_t mode = counter_mode(counter);

    if (gate == counter->gate)
        return;
    counter_settle(counter, tick);
    counter->gate = gate;
    if (is_triggered(mode) || is_periodic(mode)) {
        if (gate && counter->written) {
            load(counter, tick);
        } else if (!gate && is_periodic(mode) && counter->has_start) {
            pause(counter, tick);
            counter->has_reload = false;
        }
    } else if (counter->has_start && counter->has_paused) {
        go_on(counter, tick);
    } else if (counter->has_start) {
        pause(counter, tick);
    }
}

/* --- reading --------------------------------------------------------------------------- */

/* A byte of status or count, latched or as it is. */
uint8_t counter_read(PitCounter *counter, int64_t tick) {
    bool high = access(counter) == ACCESS_HIGH;

    if (counter->has_latched_status) {
        counter->has_latched_status = false;
        return counter->latched_status;
    }
    uint32_t count = counter->has_latched_count ? counter->latched_count
                                                : encode(counter, counter_value(counter, tick));
    if (access(counter) == ACCESS_BOTH) {
        high = counter->high_next;
        counter->high_next = !high;
        counter->has_latched_count &= !high;
    } else {
        counter->has_latched_count = false;
    }
    return (uint8_t)(high ? count >> 8 : count);
}

/* Keeps the count for reading; one that is kept already stays ("Counter Latch Command"). */
void counter_latch_count(PitCounter *counter, int64_t tick) {
    if (counter->has_latched_count)
        return;
    counter->latched_count = encode(counter, counter_value(counter, tick));
    counter->has_latched_count = true;
}

/* Keeps the status byte for reading; one that is kept already stays. */
void counter_latch_status(PitCounter *counter, int64_t tick) {
    if (counter->has_latched_status)
        return;
    counter->latched_status = counter->control;
    if (counter_out(counter, tick)) /* which settles it */
        counter->latched_status |= STATUS_OUT;
    if (counter->waiting || !counter->has_start || tick < counter->start)
        counter->latched_status |= STATUS_NULL_COUNT;
    counter->has_latched_status = true;
}
