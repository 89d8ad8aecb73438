#include "cmos.h"

#include <stdbool.h>

#include "cpu.h"
#include "guest.h"

enum {
    INDEX_PORT = 0x70,
    DATA_PORT = 0x71,
    SECONDS = 0x00,
    MINUTES = 0x02,
    HOURS = 0x04,
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    STATUS_A = 0x0a,
    STATUS_B = 0x0b,
    CENTURY = 0x32, /* not the chip's: where PC firmware keeps it */

    A_UPDATE_IN_PROGRESS = 0x80,
    B_BINARY = 0x04,
    B_24_HOURS = 0x02,
    HOUR_PM = 0x80,
};

static uint8_t cmos_read(uint8_t index) {
    out8(INDEX_PORT, index);
    return in8(DATA_PORT);
}

static uint32_t number_of(uint8_t value, bool is_binary) {
    return is_binary ? value : (value >> 4) * 10u + (value & 15);
}

static struct date read_once(void) {
    while (cmos_read(STATUS_A) & A_UPDATE_IN_PROGRESS)
        continue;
    uint8_t format = cmos_read(STATUS_B);
    bool is_binary = format & B_BINARY;
    uint8_t hours = cmos_read(HOURS);
    struct date date = {
        .year =
            number_of(cmos_read(CENTURY), is_binary) * 100 + number_of(cmos_read(YEAR), is_binary),
        .month = number_of(cmos_read(MONTH), is_binary),
        .day = number_of(cmos_read(DAY), is_binary),
        .hour = number_of(hours & (uint8_t)~HOUR_PM, is_binary),
        .minute = number_of(cmos_read(MINUTES), is_binary),
        .second = number_of(cmos_read(SECONDS), is_binary),
    };
    if (!(format & B_24_HOURS))
        date.hour = date.hour % 12 + (hours & HOUR_PM ? 12 : 0);
    return date;
}

struct date cmos_date(void) {
    struct date first, second = read_once();
    do {
        first = second;
        second = read_once();
    } while (memcmp(&first, &second, sizeof first) != 0);
    return second;
}
