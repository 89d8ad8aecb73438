/* The counters of the interval timer, as the timer sees them. */
#ifndef FTVM_PIT_H
#define FTVM_PIT_H

#include "api.h" /* and what of these Python calls */

#define PIT_NEVER INT64_MAX

enum { INTERRUPT_ON_TERMINAL_COUNT = 0 }; /* the mode whose OUT waits low */

/* counter8254.c */
bool counter_latched(const PitCounter *counter);
bool counter_stores_next_write(const PitCounter *counter);
void counter_settle(PitCounter *counter, int64_t tick);
void counter_latch_status(PitCounter *counter, int64_t tick);

#endif
