#include "pic.h"

#include <stddef.h>

#include "cpu.h"

/* Initialisation command words, data sheet figure 7. */
enum {
    ICW1_START = 0x11,       /* edge triggered, cascaded, ICW4 follows */
    ICW3_SECOND_AT_2 = 0x04, /* to the first: a controller on line 2 */
    ICW3_IDENTITY_2 = 0x02,  /* to the second: you are on line 2 */
    ICW4_8086 = 0x01,        /* vectors as the 8086 wants them */
    OCW2_END = 0x20,         /* non-specific end of interrupt, figure 8 */
    OCW3_READ_REQUESTS = 0x0a,
    OCW3_READ_IN_SERVICE = 0x0b,
    CASCADE_LINE = 2,
    FIRST_SPURIOUS = 7,
    SECOND_SPURIOUS = 15,
};

static irq_handler handlers[PIC_LINES];
static uint16_t mask = 0xffff;

static void mask_write(void) {
    out8(PIC_MASK, (uint8_t)mask);
    out8(PIC2_MASK, (uint8_t)(mask >> 8));
}

void pic_init(void) {
    out8(PIC_COMMAND, ICW1_START);
    out8(PIC_MASK, PIC_FIRST_VECTOR);
    out8(PIC_MASK, ICW3_SECOND_AT_2);
    out8(PIC_MASK, ICW4_8086);
    out8(PIC2_COMMAND, ICW1_START);
    out8(PIC2_MASK, PIC_FIRST_VECTOR + 8);
    out8(PIC2_MASK, ICW3_IDENTITY_2);
    out8(PIC2_MASK, ICW4_8086);
    mask_write();
}

void irq_enable(unsigned line, irq_handler handler) {
    handlers[line] = handler;
    mask &= (uint16_t)~(1u << line);
    if (line >= 8)
        mask &= (uint16_t)~(1u << CASCADE_LINE);
    mask_write();
}

void irq_disable(unsigned line) {
    mask |= (uint16_t)(1u << line);
    mask_write();
}

/* Read the request or the in-service register of the controller of `line`. */
static bool status_of(unsigned line, uint8_t which) {
    uint16_t port = line < 8 ? PIC_COMMAND : PIC2_COMMAND;
    out8(port, which);
    return in8(port) >> line % 8 & 1;
}

bool irq_requested(unsigned line) { return status_of(line, OCW3_READ_REQUESTS); }

void irq_dispatch(unsigned line) {
    /*
     * A request that goes away before the processor takes it arrives as the
     * controller's line 7, without being in service (data sheet, "Edge and
     * level triggered modes"). It must not be ended: that would end another.
     */
    if (line == FIRST_SPURIOUS && !status_of(line, OCW3_READ_IN_SERVICE))
        return;
    if (line == SECOND_SPURIOUS && !status_of(line, OCW3_READ_IN_SERVICE)) {
        out8(PIC_COMMAND, OCW2_END);
        return;
    }
    if (line >= 8)
        out8(PIC2_COMMAND, OCW2_END);
    out8(PIC_COMMAND, OCW2_END);
    if (handlers[line] != NULL)
        handlers[line]();
}
