/*
 * The local APIC of the processor (Intel SDM vol. 3A, chapter 11, "APIC").
 *
 * Sections and tables are that chapter's in the edition of 2023. One processor, so
 * messages between processors come back or are lost. The registers are at
 * 0xfee00000, and cannot be moved or switched off by IA32_APIC_BASE.
 *
 *     IRR  --- highest above PPR --->  INTR  --- acknowledged --->  ISR
 *      ^                                                             |
 *      I/O APIC, own timer, IPIs, errors, LINT0                     EOI
 *
 * What firmware leaves is "virtual wire mode" (MP specification 1.4, §3.6.2.2): LINT0
 * passes the 8259A's interrupts through, as if there were no APIC.
 */
#include "interrupts.h"

enum { APIC_ID = 0, BROADCAST = 0xff, VECTOR_MIN = 16 };
enum { VERSION = 0x00050014 }; /* integrated, six LVT entries but the one for CMCI */
enum { CRYSTAL_NS = 10 };      /* 100 MHz: CPUID leaf 15h says so */

/* Registers, table 11-1. */
enum {
    ID = 0x20,
    VERSION_REGISTER = 0x30,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    ESR = 0x280,
    ICR_LOW = 0x300,
    ICR_HIGH = 0x310,
    LVT_FIRST = 0x320,
    LVT_LAST = 0x370,
    INITIAL_COUNT = 0x380,
    CURRENT_COUNT = 0x390,
    DIVIDE = 0x3e0
};

/* Local vector table, figure 11-8. */
enum { TIMER, THERMAL, COUNTERS, LINT0, LINT1, ERROR };
enum { MASKED = 1 << 16, PERIODIC = 1 << 17, DELIVERY = 7 << 8, EXTINT = 7 << 8 };
enum { FIXED = 0, LOWEST = 1 };
static const uint32_t lvt_bits[LVT_ENTRIES] = {0x300ff, 0x107ff, 0x107ff,
                                               0x1a7ff, 0x1a7ff, 0x100ff};

enum { ENABLED = 1 << 8, SVR_BITS = 0x1ff };      /* SVR */
enum { ICR_LOW_BITS = 0xccfff & ~(1 << 12) };     /* all but delivery status */
enum { LOGICAL = 1 << 11, SHORTHAND_SHIFT = 18 }; /* ICR */
enum { NO_SHORTHAND, SELF, ALL, OTHERS };
enum { FLAT_MODEL = 0xf, DIVIDE_BITS = 0xb };

/* Errors, figure 11-9. */
enum { SEND_ILLEGAL_VECTOR = 1 << 5, RECEIVE_ILLEGAL_VECTOR = 1 << 6 };

/* What firmware leaves; nothing here makes an NMI. */
enum { WIRE_SVR = ENABLED | 0xff, WIRE_LINT0 = 0x700, WIRE_LINT1 = 0x400 | MASKED };

void apic_reset(LocalApic *apic) {
    *apic = (LocalApic){.model = FLAT_MODEL,
                        .svr = WIRE_SVR,
                        .lvt = {MASKED, MASKED, MASKED, WIRE_LINT0, WIRE_LINT1, MASKED}};
}

/* --- sets of vectors ------------------------------------------------------------ */

static void put(uint32_t *set, uint32_t vector, bool in) {
    uint32_t bit = 1u << (vector & 31);

    set[vector >> 5] = in ? set[vector >> 5] | bit : set[vector >> 5] & ~bit;
}

static bool has(const uint32_t *set, uint32_t vector) {
    return set[vector >> 5] >> (vector & 31) & 1;
}

/* The highest vector; -1 if there is none. */
static int highest(const uint32_t *set) {
    for (int word = 7; word >= 0; word--)
        if (set[word])
            return word * 32 + 31 - __builtin_clz(set[word]);
    return -1;
}

/* --- interrupts ----------------------------------------------------------------- */

/* The processor's priority (§11.8.3.1). */
static uint32_t priority(const LocalApic *apic) {
    int vector = highest(apic->isr);
    uint32_t in_service = vector < 0 ? 0 : (uint32_t)vector;

    return apic->tpr >> 4 >= in_service >> 4 ? apic->tpr : in_service & 0xf0;
}

static int pending(const LocalApic *apic) {
    int vector = highest(apic->irr);

    if (vector < 0 || !(apic->svr & ENABLED))
        return -1;
    return (uint32_t)vector >> 4 > priority(apic) >> 4 ? vector : -1;
}

bool apic_passes_pic(const LocalApic *apic) {
    uint32_t lvt = apic->lvt[LINT0];

    return apic->lint0 && !(lvt & MASKED) && (lvt & DELIVERY) == EXTINT;
}

bool apic_intr(const LocalApic *apic) { return pending(apic) >= 0 || apic_passes_pic(apic); }

static void accept(LocalApic *apic, uint32_t vector, bool level);

static void fail(LocalApic *apic, uint8_t error) {
    uint32_t lvt = apic->lvt[ERROR];

    apic->errors |= error;
    if (!(lvt & MASKED) && (lvt & 0xff) >= VECTOR_MIN)
        accept(apic, lvt & 0xff, false);
}

/* Makes an interrupt pending. */
static void accept(LocalApic *apic, uint32_t vector, bool level) {
    if (!(apic->svr & ENABLED))
        return;
    if (vector < VECTOR_MIN) {
        fail(apic, RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    put(apic->irr, vector, true);
    put(apic->tmr, vector, level);
}

void apic_set_lint0(LocalApic *apic, bool level) {
    bool rises = level && !apic->lint0;
    uint32_t lvt = apic->lvt[LINT0];

    apic->lint0 = level;
    if (rises && !(lvt & (MASKED | DELIVERY)) && (apic->svr & ENABLED))
        accept(apic, lvt & 0xff, false);
}

static bool is_addressed(const LocalApic *apic, uint8_t destination, bool logical) {
    if (!logical)
        return destination == APIC_ID || destination == BROADCAST;
    if (apic->model == FLAT_MODEL)
        return destination & apic->logical_id;
    bool same_cluster = destination >> 4 == apic->logical_id >> 4 || destination >> 4 == 0xf;
    return same_cluster && (destination & apic->logical_id & 0xf);
}

/* A message of the I/O APIC or of itself; false if it is not for this processor. */
bool apic_deliver(LocalApic *apic, ApicMessage message) {
    if (!is_addressed(apic, message.destination, message.logical))
        return false;
    if (message.mode == FIXED || message.mode == LOWEST)
        accept(apic, message.vector, message.level);
    return true;
}

/* The vector that the processor takes; -1 if it is not one of the APIC's own. */
int apic_acknowledge(LocalApic *apic) {
    int vector = pending(apic);

    if (vector >= 0) {
        put(apic->irr, (uint32_t)vector, false);
        put(apic->isr, (uint32_t)vector, true);
    }
    return vector;
}

/* The vector of a level triggered interrupt that is done; -1 for none. */
static int end_of_interrupt(LocalApic *apic) {
    int vector = highest(apic->isr);

    if (vector < 0)
        return -1;
    put(apic->isr, (uint32_t)vector, false);
    return has(apic->tmr, (uint32_t)vector) ? vector : -1;
}

/* Sends the message in ICR (§11.6.1); to others than this processor it is lost. */
static void send(LocalApic *apic) {
    uint32_t low = apic->icr_low, shorthand = low >> SHORTHAND_SHIFT;
    ApicMessage message = {.destination = apic->icr_high,
                           .logical = low & LOGICAL,
                           .mode = low >> 8 & 7,
                           .vector = low & 0xff};
    bool interrupts = message.mode == FIXED || message.mode == LOWEST;

    if (interrupts && message.vector < VECTOR_MIN)
        fail(apic, SEND_ILLEGAL_VECTOR);
    else if (shorthand == NO_SHORTHAND)
        apic_deliver(apic, message);
    else if (shorthand != OTHERS && interrupts)
        accept(apic, message.vector, false);
}

/* --- time ------------------------------------------------------------------------ */

static uint64_t tick_ns(const LocalApic *apic) {
    uint32_t code = (apic->divide & 3) | (apic->divide & 8) >> 1; /* figure 11-10 */

    return (uint64_t)CRYSTAL_NS << ((code + 1) & 7);
}

static uint64_t period_ns(const LocalApic *apic) { return apic->initial_count * tick_ns(apic); }

uint64_t apic_deadline(const LocalApic *apic) {
    if (!apic->running || (apic->lvt[TIMER] & MASKED))
        return UINT64_MAX;
    return apic->started_ns + period_ns(apic);
}

/* Lets the timer expire, if it is time: once, however often it was. */
void apic_advance(LocalApic *apic, uint64_t now_ns) {
    uint64_t period = period_ns(apic);

    if (!apic->running || now_ns < apic->started_ns + period)
        return;
    if (apic->lvt[TIMER] & PERIODIC)
        apic->started_ns += (now_ns - apic->started_ns) / period * period;
    else
        apic->running = false;
    if (!(apic->lvt[TIMER] & MASKED))
        accept(apic, apic->lvt[TIMER] & 0xff, false);
}

static uint32_t count_at(const LocalApic *apic, uint64_t now_ns) {
    uint64_t gone = apic->running ? (now_ns - apic->started_ns) / tick_ns(apic) : UINT64_MAX;

    return gone < apic->initial_count ? apic->initial_count - (uint32_t)gone : 0;
}

static uint32_t current_count(LocalApic *apic, const InterruptWires *wires) {
    if (!apic->running)
        return 0;
    uint64_t now_ns = wires->clock(wires->user);
    apic_advance(apic, now_ns);
    return count_at(apic, now_ns);
}

static void write_divide(LocalApic *apic, uint32_t value, uint64_t now_ns) {
    uint32_t left = count_at(apic, now_ns);

    apic->divide = value & DIVIDE_BITS;
    /* The count goes on at the new pace: as if it had begun so long ago. */
    uint64_t gone_ns = (apic->initial_count - left) * tick_ns(apic);
    apic->started_ns = now_ns > gone_ns ? now_ns - gone_ns : 0;
}

static void write_timer(LocalApic *apic, uint32_t offset, uint32_t value, uint64_t now_ns) {
    apic_advance(apic, now_ns);
    if (offset == DIVIDE) {
        write_divide(apic, value, now_ns);
    } else {
        apic->initial_count = value;
        apic->started_ns = now_ns;
        apic->running = value > 0;
    }
}

/* --- registers -------------------------------------------------------------------- */

static uint32_t *lvt_at(LocalApic *apic, uint32_t offset) {
    return offset >= LVT_FIRST && offset <= LVT_LAST ? &apic->lvt[(offset - LVT_FIRST) >> 4] : NULL;
}

/* Accesses that are not 32 bits at 16 bytes read 0. */
uint32_t apic_read(LocalApic *apic, uint32_t offset, uint32_t size, const InterruptWires *wires) {
    const uint32_t *const sets[] = {apic->isr, apic->tmr, apic->irr};

    if (size != 4 || offset & 0xf)
        return 0;
    if (offset >= ISR && offset < ESR)
        return sets[(offset - ISR) >> 7][offset >> 4 & 7];
    if (lvt_at(apic, offset))
        return *lvt_at(apic, offset);
    switch (offset) {
    case ID:
        return (uint32_t)APIC_ID << 24;
    case VERSION_REGISTER:
        return VERSION;
    case TPR:
        return apic->tpr;
    case PPR:
        return priority(apic);
    case LDR:
        return (uint32_t)apic->logical_id << 24;
    case DFR:
        return (uint32_t)apic->model << 28 | 0x0fffffff;
    case SVR:
        return apic->svr;
    case ESR:
        return apic->esr;
    case ICR_LOW:
        return apic->icr_low;
    case ICR_HIGH:
        return (uint32_t)apic->icr_high << 24;
    case INITIAL_COUNT:
        return apic->initial_count;
    case CURRENT_COUNT:
        return current_count(apic, wires);
    case DIVIDE:
        return apic->divide;
    default:
        return 0;
    }
}

static void write_svr(LocalApic *apic, uint32_t value) {
    apic->svr = value & SVR_BITS;
    for (int entry = 0; entry < LVT_ENTRIES && !(value & ENABLED); entry++)
        apic->lvt[entry] |= MASKED; /* §11.4.7.2 */
}

static void write_lvt(LocalApic *apic, uint32_t offset, uint32_t value,
                      const InterruptWires *wires) {
    uint32_t entry = (offset - LVT_FIRST) >> 4;

    if (entry == TIMER && apic->running)
        apic_advance(apic, wires->clock(wires->user));
    apic->lvt[entry] = (value & lvt_bits[entry]) | (apic->svr & ENABLED ? 0 : MASKED);
}

/* Other accesses than 32 bits at 16 bytes do nothing. Returns the vector of a level
 * triggered interrupt that is done; -1 for none. */
int apic_write(LocalApic *apic, uint32_t offset, uint32_t size, uint32_t value,
               const InterruptWires *wires) {
    if (size != 4 || offset & 0xf)
        return -1;
    if (lvt_at(apic, offset))
        write_lvt(apic, offset, value, wires);
    switch (offset) {
    case EOI:
        return end_of_interrupt(apic);
    case TPR:
        apic->tpr = (uint8_t)value;
        break;
    case LDR:
        apic->logical_id = (uint8_t)(value >> 24);
        break;
    case DFR:
        apic->model = (uint8_t)(value >> 28);
        break;
    case SVR:
        write_svr(apic, value);
        break;
    case ESR:
        apic->esr = apic->errors;
        apic->errors = 0;
        break;
    case ICR_LOW:
        apic->icr_low = value & ICR_LOW_BITS;
        send(apic);
        break;
    case ICR_HIGH:
        apic->icr_high = (uint8_t)(value >> 24);
        break;
    case INITIAL_COUNT:
    case DIVIDE:
        write_timer(apic, offset, value, wires->clock(wires->user));
        break;
    default:
        break;
    }
    return -1;
}
