/*
 * Host time for results, cheaply: CLOCK_MONOTONIC, carried on by the time
 * stamp counter between two looks at it. The rate is what was measured since
 * the start, so it needs no table of processors; core_run() looks at the clock
 * at every entry and once a slice. A simulated clock is moved by its owner alone.
 */
#include "core.h"

#include <time.h>
#include <x86intrin.h>

static uint64_t monotonic_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clock_start(HostClock *clock) {
    clock->first_ns = clock->base_ns = monotonic_ns();
    clock->first_tsc = clock->base_tsc = __rdtsc();
    clock->ns_per_tsc = UINT64_C(1) << 31; /* 2 GHz until measured */
}

void clock_sync(HostClock *clock) {
    if (clock->simulated)
        return;
    clock->base_ns = monotonic_ns();
    clock->base_tsc = __rdtsc();
    uint64_t ticks = clock->base_tsc - clock->first_tsc;
    if (ticks > 100000)
        clock->ns_per_tsc =
            (uint64_t)((double)(clock->base_ns - clock->first_ns) / (double)ticks * 0x1p32);
}

uint64_t clock_ns(const HostClock *clock) {
    if (clock->simulated)
        return clock->base_ns;
    uint64_t ticks = __rdtsc() - clock->base_tsc;

    return clock->base_ns + (uint64_t)((unsigned __int128)ticks * clock->ns_per_tsc >> 32);
}
