/*
 * The 8254 interval timer, whose channel 0 drives interrupt line 0.
 * Intel 8254 data sheet (order number 231164).
 */
#pragma once

#include <stdint.h>

enum {
    PIT_IRQ = 0,
    PIT_HZ = 1193182,  /* a third of the colour subcarrier times four */
    PIT_RATE_MIN = 19, /* the counter has 16 bits */
    PIT_RATE_MAX = 10000,
};

/* Interrupt `rate` times a second, as near as the divisor allows. */
void pit_periodic(uint32_t rate);

/* Interrupt once, `ticks` of PIT_HZ from now. */
void pit_one_shot(uint16_t ticks);

/* What channel 0 counts down at this moment. */
uint16_t pit_count(void);
