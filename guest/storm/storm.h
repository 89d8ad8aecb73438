/* The `storm` guest: what its kinds of operation share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The next number of the sequence that the seed began. */
uint32_t random_next(void);

/* One from 0 to below - 1. */
uint32_t random_below(uint32_t below);

/* Let a value into the checksum. It must be a function of the seed. */
void fold(uint32_t value);

/* The same for a value that is not; it counts only with the option `nondet`. */
void fold_outside(uint32_t value);

/* The kinds of operation; each call does one. */
void storm_arithmetic(void);
void storm_memory_walk(void);
void storm_string(void);
void storm_code(void);
void storm_page_use(void);
void storm_page_change(void);
void storm_fault(void);
void storm_ports(void);
void storm_time(void);

/* Turn paging on, for storm_page_use() and storm_page_change(). */
void storm_pages_init(void);
