/* How interrupts reach the processor; what is of which chip, and how they are wired. */
#ifndef FTVM_INTERRUPTS_H
#define FTVM_INTERRUPTS_H

#include "api.h" /* and what of these Python calls */

enum { LVT_ENTRIES = 6, IO_APIC_PINS = 24 };

/* What goes from one APIC to another. */
typedef struct ApicMessage {
    uint8_t destination, vector;
    uint32_t mode;
    bool logical, level;
} ApicMessage;

/* interrupts.c */
bool interrupts_own(uint64_t address);

/* local_apic.c */
void apic_reset(LocalApic *apic);
bool apic_intr(const LocalApic *apic);
bool apic_passes_pic(const LocalApic *apic);
void apic_set_lint0(LocalApic *apic, bool level);
bool apic_deliver(LocalApic *apic, ApicMessage message);
int apic_acknowledge(LocalApic *apic);
uint64_t apic_deadline(const LocalApic *apic);
void apic_advance(LocalApic *apic, uint64_t now_ns);
uint32_t apic_read(LocalApic *apic, uint32_t offset, uint32_t size, const InterruptWires *wires);
int apic_write(LocalApic *apic, uint32_t offset, uint32_t size, uint32_t value,
               const InterruptWires *wires);

/* io_apic.c */
void io_apic_reset(IoApic *io);
void io_apic_set_pin(IoApic *io, uint32_t pin, bool level, LocalApic *apic);
void io_apic_end_of_interrupt(IoApic *io, uint32_t vector, LocalApic *apic);
uint32_t io_apic_read(IoApic *io, uint32_t offset, uint32_t size);
void io_apic_write(IoApic *io, uint32_t offset, uint32_t size, uint32_t value, LocalApic *apic);

#endif
