/* The real-time clock. Motorola MC146818A data sheet, figures 10 to 14. */
#pragma once

#include <stdint.h>

struct date {
    uint32_t year, month, day, hour, minute, second;
};

/* The date and time, read at a moment when it does not change. */
struct date cmos_date(void);
