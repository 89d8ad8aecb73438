#include "pit.h"

#include "cpu.h"

enum {
    CHANNEL_0 = 0x40,
    CONTROL = 0x43,
    /* Control words for channel 0, data sheet figure 7. */
    BOTH_BYTES_MODE_0 = 0x30, /* interrupt on terminal count */
    BOTH_BYTES_MODE_2 = 0x34, /* rate generator */
    LATCH = 0x00,
};

static void program(uint8_t control, uint32_t count) {
    out8(CONTROL, control);
    out8(CHANNEL_0, (uint8_t)count);
    out8(CHANNEL_0, (uint8_t)(count >> 8));
}

void pit_periodic(uint32_t rate) { program(BOTH_BYTES_MODE_2, (PIT_HZ + rate / 2) / rate); }

void pit_one_shot(uint16_t ticks) { program(BOTH_BYTES_MODE_0, ticks); }

uint16_t pit_count(void) {
    out8(CONTROL, LATCH);
    uint16_t low = in8(CHANNEL_0);
    return (uint16_t)(low | in8(CHANNEL_0) << 8);
}
