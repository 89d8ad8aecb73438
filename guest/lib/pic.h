/*
 * The two 8259A interrupt controllers of a PC, the second one behind line 2 of
 * the first. Intel 8259A data sheet (order number 231468).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    PIC_FIRST_VECTOR = 0x20, /* lines 0 to 15 become vectors 0x20 to 0x2f */
    PIC_LINES = 16,
    PIC_COMMAND = 0x20,
    PIC_MASK = 0x21,
    PIC2_COMMAND = 0xa0,
    PIC2_MASK = 0xa1,
};

typedef void (*irq_handler)(void);

/* Move the lines out of the way of the processor's exceptions; mask them all. */
void pic_init(void);

/* Call `handler` for a line from now on, and let the line through. */
void irq_enable(unsigned line, irq_handler handler);

/* Mask a line again. What it asks for meanwhile is remembered. */
void irq_disable(unsigned line);

/* Whether a line asks for an interrupt that has not been taken yet. */
bool irq_requested(unsigned line);

/* What traps.c calls for a vector that belongs to a line. */
void irq_dispatch(unsigned line);
