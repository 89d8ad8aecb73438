/*
 * The I/O APIC of a PC: Intel 82093AA (data sheet 290566) at 0xfec00000.
 *
 *     0x00  IOREGSEL  which register       register 0x00  ID
 *     0x10  IOWIN     its content                   0x01  version, last entry
 *                                                   0x02  arbitration ID
 *                                                   0x10  redirection table, two each
 *
 * Interrupt lines are wired as in the tables of the firmware: line n of the ISA bus
 * at pin n, but the timer's, line 0, at pin 2. Whether a line is active low is a
 * matter of wires that are not there.
 */
#include "interrupts.h"

enum { VERSION = 0x11, SELECT = 0x00, WINDOW = 0x10 };
enum { REGISTER_ID, REGISTER_VERSION, REGISTER_ARBITRATION };
enum { TABLE = 0x10, ID_BITS = 0xf };

/* A redirection entry, §3.2.4. */
enum { VECTOR = 0xff, LOGICAL = 1 << 11, REMOTE_IRR = 1 << 14, LEVEL = 1 << 15, MASKED = 1 << 16 };
#define WRITABLE (UINT64_C(0xff) << 56 | 0x1afff)

void io_apic_reset(IoApic *io) {
    *io = (IoApic){0};
    for (uint32_t pin = 0; pin < IO_APIC_PINS; pin++)
        io->table[pin] = MASKED;
}

bool io_apic_entry_legal(uint64_t entry) { return !(entry & ~(WRITABLE | REMOTE_IRR)); }

static void service(IoApic *io, uint32_t pin, LocalApic *apic) {
    uint64_t entry = io->table[pin];
    ApicMessage message = {.destination = (uint8_t)(entry >> 56),
                           .logical = entry & LOGICAL,
                           .mode = entry >> 8 & 7,
                           .vector = (uint8_t)(entry & VECTOR),
                           .level = entry & LEVEL};

    if (entry & (MASKED | REMOTE_IRR))
        return;
    if (apic_deliver(apic, message) && message.level)
        io->table[pin] |= REMOTE_IRR;
}

void io_apic_set_pin(IoApic *io, uint32_t pin, bool level, LocalApic *apic) {
    uint32_t bit = 1u << pin;
    bool rises = level && !(io->lines & bit);

    io->lines = level ? io->lines | bit : io->lines & ~bit;
    if (rises || (level && (io->table[pin] & LEVEL)))
        service(io, pin, apic);
}

/* The local APIC's EOI: a level triggered line that is still up comes again. */
void io_apic_end_of_interrupt(IoApic *io, uint32_t vector, LocalApic *apic) {
    for (uint32_t pin = 0; pin < IO_APIC_PINS; pin++) {
        if (!(io->table[pin] & REMOTE_IRR) || (io->table[pin] & VECTOR) != vector)
            continue;
        io->table[pin] &= ~(uint64_t)REMOTE_IRR;
        if (io->lines >> pin & 1)
            service(io, pin, apic);
    }
}

/* The entry that IOREGSEL names half of; NULL if it names none. */
static uint64_t *selected_entry(IoApic *io) {
    uint32_t pin = (io->select - (uint32_t)TABLE) / 2;

    return io->select >= TABLE && pin < IO_APIC_PINS ? &io->table[pin] : NULL;
}

static uint32_t read_register(IoApic *io) {
    const uint64_t *entry = selected_entry(io);

    if (entry)
        return (uint32_t)(*entry >> 32 * (io->select & 1));
    if (io->select == REGISTER_VERSION)
        return (IO_APIC_PINS - 1) << 16 | VERSION;
    if (io->select == REGISTER_ID || io->select == REGISTER_ARBITRATION)
        return (uint32_t)io->id << 24;
    return 0;
}

static void write_register(IoApic *io, uint32_t value, LocalApic *apic) {
    uint64_t *entry = selected_entry(io);

    if (io->select == REGISTER_ID)
        io->id = value >> 24 & ID_BITS;
    if (!entry)
        return;
    uint32_t shift = 32 * (io->select & 1);
    uint64_t half = (uint64_t)UINT32_MAX << shift;
    *entry = (*entry & (~half | REMOTE_IRR)) | ((uint64_t)value << shift & half & WRITABLE);
    if (!(*entry & LEVEL))
        *entry &= ~(uint64_t)REMOTE_IRR;
    uint32_t pin = (uint32_t)(entry - io->table);
    if ((*entry & LEVEL) && (io->lines >> pin & 1))
        service(io, pin, apic);
}

/* 32 bits at IOREGSEL and IOWIN; other reads are 0. */
uint32_t io_apic_read(IoApic *io, uint32_t offset, uint32_t size) {
    if (size != 4)
        return 0;
    if (offset == SELECT)
        return io->select;
    return offset == WINDOW ? read_register(io) : 0;
}

void io_apic_write(IoApic *io, uint32_t offset, uint32_t size, uint32_t value, LocalApic *apic) {
    if (size != 4)
        return;
    if (offset == SELECT)
        io->select = (uint8_t)value;
    else if (offset == WINDOW)
        write_register(io, value, apic);
}
