/*
 * The interrupt controllers of a PC AT: two Intel 8259A in cascade.
 *
 * Sections are those of the 8259A data sheet (Intel 231468, December 1988).
 *
 *     IRQ0-1, 3-7 --> master 0x20-21 --> INTR
 *                       ^ IR2
 *     IRQ8-15 ----> slave 0xa0-a1
 *
 * Whether a line is edge or level triggered is said by ICW1 for all lines of a
 * chip, as in the AT, and by the ELCR (0x4d0-4d1, Intel 82371AB §8.6.5) for each.
 *
 * A request is "line and (edge seen or level triggered)": the 8259A wants the
 * line to stay up until the acknowledge, in both modes, and answers IR7 if it
 * fell (data sheet, "Edge and Level Triggered Modes").
 */
#include "interrupts.h"

enum { MASTER_BASE = 0x20, SLAVE_BASE = 0xa0, ELCR_BASE = 0x4d0, CASCADE_LINE = 2 };

/* IRQ0, 1, 2, 8 and 13 are edge triggered for good (82371AB §8.6.5). */
enum { ELCR_MASTER = 0xf8, ELCR_SLAVE = 0xde };

/* Initialization command words, figure 7. */
enum {
    ICW1 = 0x10,
    ICW1_ICW4_FOLLOWS = 0x01,
    ICW1_SINGLE = 0x02,
    ICW1_LEVEL = 0x08,
    ICW2_VECTOR = 0xf8,
    ICW4_AUTO_EOI = 0x02,
    ICW4_SPECIAL_FULLY_NESTED = 0x10,
    ICW4_BITS = 0x1f
};

/* Operation command words, figure 8. */
enum {
    OCW2_LEVEL = 0x07,
    OCW3 = 0x08,
    OCW3_READ_ISR = 0x01,
    OCW3_READ = 0x02,
    OCW3_POLL = 0x04,
    OCW3_SPECIAL_MASK = 0x20,
    OCW3_SET_SPECIAL_MASK = 0x40
};

/* OCW2's three command bits: rotate, specific, end of interrupt. */
enum {
    CLEAR_ROTATE_ON_AUTO_EOI = 0,
    NON_SPECIFIC_EOI = 1,
    SPECIFIC_EOI = 3,
    SET_ROTATE_ON_AUTO_EOI = 4,
    ROTATE_ON_EOI = 5,
    SET_PRIORITY = 6,
    ROTATE_ON_SPECIFIC_EOI = 7
};

enum { POLL_REQUEST = 0x80, SPURIOUS_LEVEL = 7, NO_LEVEL = -1, NO_RANK = 8 };

/* What a chip's next write to its odd port is; only a READY chip interrupts. */
enum { READY, UNINITIALISED, WANTS_ICW2, WANTS_ICW3, WANTS_ICW4 };

void pic_reset(PicPair *pair) {
    *pair = (PicPair){{.stage = UNINITIALISED, .lowest = 7}, {.stage = UNINITIALISED, .lowest = 7}};
}

/* --- one chip ----------------------------------------------------------------- */

/* Moves input `level`; an edge counts as long as the line stays up. */
static void set_input(Pic *chip, int level, bool high) {
    uint8_t bit = (uint8_t)(1 << level);

    if (high) {
        chip->edges |= bit & (uint8_t)~chip->lines;
        chip->lines |= bit;
    } else {
        chip->edges &= (uint8_t)~bit;
        chip->lines &= (uint8_t)~bit;
    }
}

static uint8_t requests(const Pic *chip) {
    uint8_t level_triggered = chip->icw1 & ICW1_LEVEL ? 0xff : chip->elcr;

    return chip->lines & (chip->edges | level_triggered);
}

/* How many priorities lie above the best of `levels`. */
static int rank_of(const Pic *chip, uint8_t levels) {
    uint32_t turned = ((uint32_t)levels | (uint32_t)levels << 8) >> ((chip->lowest + 1) & 7);

    return levels ? __builtin_ctz(turned) : NO_RANK;
}

static int level_at(const Pic *chip, int rank) { return (chip->lowest + 1 + rank) & 7; }

/* "Special Mask Mode": a level in service that is masked blocks nobody. */
static uint8_t busy_levels(const Pic *chip) {
    return chip->in_service & (uint8_t)~(chip->special_mask ? chip->mask : 0);
}

/* ICW3 says that a slave's output is at input `level`. */
static bool has_slave(const Pic *chip, int level) {
    return !(chip->icw1 & ICW1_SINGLE) && (chip->icw3 >> level & 1);
}

/* The level to interrupt the CPU with. */
static int request(const Pic *chip) {
    uint8_t wanted = requests(chip) & (uint8_t)~chip->mask;

    if (!wanted || chip->stage != READY)
        return NO_LEVEL;
    int rank = rank_of(chip, wanted), busy = rank_of(chip, busy_levels(chip));
    int level = level_at(chip, rank);
    if (rank < busy)
        return level;
    /* "Special Fully Nested Mode": a slave in service may interrupt again. */
    if (rank == busy && (chip->icw4 & ICW4_SPECIAL_FULLY_NESTED) && has_slave(chip, level))
        return level;
    return NO_LEVEL;
}

/* Takes the level that requests into service. */
static int acknowledge(Pic *chip) {
    int level = request(chip);

    if (level == NO_LEVEL)
        return level;
    chip->edges &= (uint8_t)~(1 << level);
    if (!(chip->icw4 & ICW4_AUTO_EOI))
        chip->in_service |= (uint8_t)(1 << level);
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = (uint8_t)level;
    return level;
}

/* Without a level, the vector is IR7's ("default IR7"). */
static int vector_of(const Pic *chip, int level) {
    return chip->vector | (level == NO_LEVEL ? SPURIOUS_LEVEL : level);
}

static void expect(Pic *chip, int stage) {
    bool skip = stage == WANTS_ICW4 && !(chip->icw1 & ICW1_ICW4_FOLLOWS);

    chip->stage = (uint8_t)(skip ? READY : stage);
}

/* "Initialization Command Words 1 and 2", items a to f. */
static void initialise(Pic *chip, uint8_t icw1) {
    *chip = (Pic){.lines = chip->lines,
                  .elcr = chip->elcr,
                  .vector = chip->vector,
                  .icw1 = icw1,
                  .icw3 = 7,
                  .lowest = 7,
                  .stage = WANTS_ICW2};
}

static void write_odd(Pic *chip, uint8_t value) {
    if (chip->stage == WANTS_ICW2) {
        chip->vector = value & ICW2_VECTOR;
        expect(chip, chip->icw1 & ICW1_SINGLE ? WANTS_ICW4 : WANTS_ICW3);
    } else if (chip->stage == WANTS_ICW3) {
        chip->icw3 = value;
        expect(chip, WANTS_ICW4);
    } else if (chip->stage == WANTS_ICW4) {
        chip->icw4 = value & ICW4_BITS;
        chip->stage = READY;
    } else {
        chip->mask = value;
    }
}

static void end(Pic *chip, int level, bool rotate) {
    chip->in_service &= (uint8_t)~(1 << level);
    if (rotate)
        chip->lowest = (uint8_t)level;
}

static void end_or_rotate(Pic *chip, int command, int level) {
    switch (command) {
    case SET_PRIORITY:
        chip->lowest = (uint8_t)level;
        break;
    case SET_ROTATE_ON_AUTO_EOI:
    case CLEAR_ROTATE_ON_AUTO_EOI:
        chip->rotate_on_auto_eoi = command == SET_ROTATE_ON_AUTO_EOI;
        break;
    case NON_SPECIFIC_EOI:
    case ROTATE_ON_EOI: /* in special mask mode it passes masked levels over */
        if (busy_levels(chip))
            end(chip, level_at(chip, rank_of(chip, busy_levels(chip))), command == ROTATE_ON_EOI);
        break;
    case SPECIFIC_EOI:
    case ROTATE_ON_SPECIFIC_EOI:
        end(chip, level, command == ROTATE_ON_SPECIFIC_EOI);
        break;
    default:
        break;
    }
}

static void write_even(Pic *chip, uint8_t value) {
    if (value & ICW1) {
        initialise(chip, value);
    } else if (value & OCW3) {
        if (value & OCW3_SET_SPECIAL_MASK)
            chip->special_mask = value & OCW3_SPECIAL_MASK;
        if (value & OCW3_READ)
            chip->read_in_service = value & OCW3_READ_ISR;
        chip->poll = value & OCW3_POLL;
    } else {
        end_or_rotate(chip, value >> 5, value & OCW2_LEVEL);
    }
}

/* --- the pair ------------------------------------------------------------------ */

static bool is_elcr(uint32_t port) { return (port & ~1u) == ELCR_BASE; }

static Pic *chip_at(PicPair *pair, uint32_t port) {
    bool slave = is_elcr(port) ? port & 1 : (port & SLAVE_BASE) == SLAVE_BASE;

    return slave ? &pair->slave : &pair->master;
}

/* INT of the slave falls with its acknowledge, so a further request is a new
 * edge for the master. */
static void drop_cascade(PicPair *pair) { set_input(&pair->master, CASCADE_LINE, false); }

static void cascade(PicPair *pair) {
    set_input(&pair->master, CASCADE_LINE, request(&pair->slave) != NO_LEVEL);
}

bool pic_intr(const PicPair *pair) { return request(&pair->master) != NO_LEVEL; }

bool pic_cascaded(const PicPair *pair) {
    return (request(&pair->slave) != NO_LEVEL) == (pair->master.lines >> CASCADE_LINE & 1);
}

void pic_set_line(PicPair *pair, uint32_t line, bool level) {
    set_input(line & 8 ? &pair->slave : &pair->master, line & 7, level);
    if (line & 8)
        cascade(pair);
}

static int acknowledge_slave(PicPair *pair, int level) {
    if (level != CASCADE_LINE || (pair->slave.icw3 & 7) != CASCADE_LINE)
        return 0xff; /* no slave has that number: nothing drives the bus */
    int vector = vector_of(&pair->slave, acknowledge(&pair->slave));
    drop_cascade(pair);
    return vector;
}

/* The CPU's interrupt acknowledge cycle: the vector. Without a request it is
 * IR7's, and nothing goes into service. (IRQ15's would take a line of the slave's
 * that falls between the two pulses of the cycle; here nothing can happen then.) */
int pic_acknowledge(PicPair *pair) {
    int level = acknowledge(&pair->master), vector;

    if (level != NO_LEVEL && has_slave(&pair->master, level))
        vector = acknowledge_slave(pair, level);
    else
        vector = vector_of(&pair->master, level);
    cascade(pair);
    return vector;
}

static uint8_t read_poll(PicPair *pair, Pic *chip) {
    chip->poll = false;
    int level = acknowledge(chip);
    if (chip == &pair->slave)
        drop_cascade(pair);
    cascade(pair);
    return level == NO_LEVEL ? 0 : (uint8_t)(POLL_REQUEST | level);
}

uint8_t pic_read(PicPair *pair, uint32_t port) {
    Pic *chip = chip_at(pair, port);

    if (is_elcr(port))
        return chip->elcr;
    if (chip->poll)
        return read_poll(pair, chip);
    if (port & 1)
        return chip->mask;
    return chip->read_in_service ? chip->in_service : requests(chip);
}

void pic_write(PicPair *pair, uint32_t port, uint8_t value) {
    Pic *chip = chip_at(pair, port);

    if (is_elcr(port))
        chip->elcr = value & (port & 1 ? ELCR_SLAVE : ELCR_MASTER);
    else if (port & 1)
        write_odd(chip, value);
    else
        write_even(chip, value);
    cascade(pair);
}
