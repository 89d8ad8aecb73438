/*
 * Checks: one line each, "name: ok" or "name: FAIL, what is 0x1, not 0x2".
 * A check compares as many values as it likes; the first that is wrong is told.
 */
#pragma once

#include <stdint.h>

void check_begin(const char *name);
void expect(const char *what, uint32_t value, uint32_t wanted);
void check_end(void);

/* Print how many held, return the exit status that says so. */
int check_summary(void);
