/*
 * How interrupts reach the processor: the 8259A pair, the I/O APIC, the local APIC.
 *
 *     line n --+--> 8259A pair --> LINT0 of the local APIC --+--> INTR
 *              +--> I/O APIC, pin n (line 0: pin 2) ---------+
 *
 * A kernel chooses by what it masks. Firmware leaves the APICs passing the 8259A's
 * interrupts through, so that one which knows no APIC finds none.
 */
#include "interrupts.h"

enum { TIMER_LINE = 0, TIMER_PIN = 2, PAGE_SHIFT = 12, OFFSET_BITS = 0xfff };

/* Intel SDM vol. 3A §11.4.1; Intel 82093AA §3.0. */
enum { IO_APIC_PAGE = 0xfec00, LOCAL_APIC_PAGE = 0xfee00 };

void interrupts_reset(Interrupts *all) {
    pic_reset(&all->pic);
    apic_reset(&all->apic);
    io_apic_reset(&all->io);
    all->intr = false;
}

/* Behind whatever may have changed it: the level of the processor's INTR. */
void interrupts_tell(Interrupts *all) {
    bool intr = apic_intr(&all->apic);

    if (intr == all->intr)
        return;
    all->intr = intr;
    all->wires.intr(all->wires.user, intr);
}

/* Behind whatever may have changed the 8259A's output. */
void interrupts_follow_pic(Interrupts *all) {
    bool level = pic_intr(&all->pic);

    if (level != all->apic.lint0)
        apic_set_lint0(&all->apic, level);
    interrupts_tell(all);
}

/* Sets the level of an interrupt line of the ISA bus. */
void interrupts_set_line(Interrupts *all, uint32_t line, bool level) {
    pic_set_line(&all->pic, line, level);
    interrupts_follow_pic(all);
    io_apic_set_pin(&all->io, line == TIMER_LINE ? TIMER_PIN : line, level, &all->apic);
    interrupts_tell(all);
}

/* The vector that the processor takes, -1 for none. */
int interrupts_acknowledge(Interrupts *all) {
    int vector = apic_acknowledge(&all->apic);

    if (vector < 0 && apic_passes_pic(&all->apic)) {
        vector = pic_acknowledge(&all->pic);
        interrupts_follow_pic(all);
    }
    interrupts_tell(all);
    return vector;
}

bool interrupts_own(uint64_t address) {
    uint64_t page = address >> PAGE_SHIFT;

    return page == IO_APIC_PAGE || page == LOCAL_APIC_PAGE;
}

/* A read of the APICs' pages. */
uint32_t interrupts_read(Interrupts *all, uint32_t address, uint32_t size) {
    uint32_t offset = address & OFFSET_BITS, value;

    if (address >> PAGE_SHIFT == LOCAL_APIC_PAGE)
        value = apic_read(&all->apic, offset, size, &all->wires);
    else
        value = io_apic_read(&all->io, offset, size);
    interrupts_tell(all);
    return value;
}

/* A write to them. */
void interrupts_write(Interrupts *all, uint32_t address, uint32_t size, uint32_t value) {
    uint32_t offset = address & OFFSET_BITS;

    if (address >> PAGE_SHIFT == LOCAL_APIC_PAGE) {
        int done = apic_write(&all->apic, offset, size, value, &all->wires);
        if (done >= 0)
            io_apic_end_of_interrupt(&all->io, (uint32_t)done, &all->apic);
    } else {
        io_apic_write(&all->io, offset, size, value, &all->apic);
    }
    interrupts_tell(all);
}

/* Guest time at which the local APIC's timer interrupt is due; UINT64_MAX for never. */
uint64_t interrupts_deadline(const Interrupts *all) { return apic_deadline(&all->apic); }

void interrupts_advance(Interrupts *all, uint64_t now_ns) {
    apic_advance(&all->apic, now_ns);
    interrupts_tell(all);
}
