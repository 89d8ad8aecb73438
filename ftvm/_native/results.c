/*
 * Results: what the guest's instructions bring in from outside, in program
 * order. Live they come from the host, and are logged; replaying they come
 * from the log, where the instruction count rides along as a check. A time stamp
 * that follows from the one before is not logged.
 */
#include "core.h"

#include <errno.h>
#include <sys/random.h>

static const char *const kind_names[] = {
    "",      "TSC",   "random number", "clock reading", "interrupt",
    "timer", "input", "digest",        "read failure"};

/* A host that is busy, or a backup that is slow, can keep the machine from running for
 * many of the guest's ticks. Of all that went by then the guest would see one tick, and
 * its time-stamp counter would say otherwise: a kernel that compares the two gives up one
 * of them, or itself. So guest time stands where a timer is due while nobody can serve
 * it, and makes up for that by going faster for a while. A machine that runs is looked at
 * more often than that, at every slice and slow port, or its slowness would count. */
enum { STALL_NS = 10000000, CATCH_UP = 8 };
static const uint64_t stall_ns_max = UINT64_C(10000000000); /* the guest sees a longer one */

void mind_stall(Core *core) {
    uint64_t host_ns = clock_ns(&core->clock);
    uint64_t gap_ns = host_ns - core->seen_host_ns;
    uint64_t late_ns = host_ns + (uint64_t)core->guest_offset_ns - core->timer_ns;

    core->seen_host_ns = host_ns;
    if (core->timer_ns != UINT64_MAX && !core->clock.simulated && gap_ns >= STALL_NS &&
        late_ns >= STALL_NS && late_ns <= stall_ns_max) {
        uint64_t stood_ns = late_ns < gap_ns ? late_ns : gap_ns;
        core->guest_offset_ns -= (int64_t)stood_ns;
        core->owed_ns += stood_ns;
    } else if (core->owed_ns) {
        uint64_t repaid_ns = gap_ns / CATCH_UP;
        if (repaid_ns > core->owed_ns)
            repaid_ns = core->owed_ns;
        core->guest_offset_ns += (int64_t)repaid_ns;
        core->owed_ns -= repaid_ns;
    }
}

/* Guest time now. It never goes backwards, whatever the host's clock does. */
uint64_t advance_guest_time(Core *core) {
    mind_stall(core);
    uint64_t now = core->seen_host_ns + (uint64_t)core->guest_offset_ns;

    if ((int64_t)(now - core->last_time_ns) > 0)
        core->last_time_ns = now;
    return core->last_time_ns;
}

/* Reading and logging the host's counter takes longer than all the rest of a
 * result: within so many steps of the last reading, guest time goes on by 1 ns a
 * step, which a replay computes as well. */
enum { CLOCK_STEPS = 64 };

/* Time passes while no steps do: in a device, or between two runs. */
void forget_clock_reading(Core *core) { core->clock_count = UINT64_MAX - CLOCK_STEPS; }

static void note_clock_reading(Core *core, uint64_t count, uint64_t time_ns) {
    core->clock_count = count;
    core->clock_count_ns = time_ns;
}

/* The last reading, if there is one that time stamps may follow from at the present count. */
bool core_clock_reading(const Core *core, uint64_t *count, uint64_t *time_ns) {
    *count = core->clock_count;
    *time_ns = core->clock_count_ns;
    return core_count(core) - core->clock_count < CLOCK_STEPS;
}

/* Restored: the log goes on with time stamps that follow from this reading. */
void core_set_clock_reading(Core *core, uint64_t count, uint64_t time_ns) {
    note_clock_reading(core, count, time_ns);
}

/* Whether guest time at this count follows from the last reading; then it is there. */
static bool time_follows(Core *core, uint64_t count) {
    uint64_t steps = count - core->clock_count;

    if (steps >= CLOCK_STEPS || core->last_time_ns > core->clock_count_ns + steps)
        return false;
    core->last_time_ns = core->clock_count_ns + steps;
    return true;
}

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), figure 16. */
static uint32_t simulated_random(Core *core) {
    uint64_t z = core->simulated_random += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ z >> 31) >> 32);
}

static uint32_t host_random(Core *core) {
    if (core->clock.simulated)
        return simulated_random(core);
    while (!core->random_left) {
        /* A signal may cut it short. */
        ssize_t bytes = getrandom(core->random_pool, sizeof core->random_pool, 0);
        if (bytes < 0 && errno != EINTR) {
            core_fail(core, CORE_ENGINE_ERROR, "the host gives no random numbers");
            return 0;
        }
        core->random_left = bytes < 0 ? 0 : (uint32_t)bytes / sizeof core->random_pool[0];
    }
    return core->random_pool[--core->random_left];
}

static uint64_t from_log(Core *core, CoreKind kind, uint64_t count) {
    CoreEvent entry;

    if (core->failed)
        return 0;
    if (!log_take(core, &entry)) {
        core_fail(core, CORE_DIVERGED, "at count %llu the guest asks for a %s, and the log ends",
                  (unsigned long long)count, kind_names[kind]);
        return 0;
    }
    if (entry.kind != kind || entry.count != count) {
        core_fail(core, CORE_DIVERGED,
                  "at count %llu the guest asks for a %s, and the log has a %s at count %llu",
                  (unsigned long long)count, kind_names[kind], kind_names[entry.kind],
                  (unsigned long long)entry.count);
        return 0;
    }
    return entry.value;
}

uint64_t core_result(Core *core, CoreKind kind, uintptr_t host_pc) {
    uint64_t count = core_count_at(core, host_pc), value;

    if (core->mode == CORE_REPLAY)
        return from_log(core, kind, count);
    value = kind == CORE_CLOCK ? advance_guest_time(core) : host_random(core);
    if (core->mode == CORE_RECORD)
        log_append(core, kind, count, value);
    return value;
}

/* The time-stamp counter, which counts guest time in ns: its clock is 1 GHz. */
uint64_t core_tsc(Core *core, uintptr_t host_pc) {
    uint64_t count = core_count_at(core, host_pc);

    if (core->mode == CORE_REPLAY) {
        /* All entries of this count are here before its instruction runs. */
        if (count >= core->no_entry_before && !core->failed && log_take_tsc(core, count))
            note_clock_reading(core, count, core->last_time_ns);
        else if (!time_follows(core, count))
            note_clock_reading(core, count, from_log(core, CORE_TSC, count));
    } else if (!time_follows(core, count)) {
        note_clock_reading(core, count, advance_guest_time(core));
        if (core->mode == CORE_RECORD)
            log_append(core, CORE_TSC, count, core->last_time_ns);
    }
    return core->last_time_ns + core->tsc_offset;
}

/* Guest time for a device, as a logged result. */
uint64_t core_clock(Core *core) { return core_result(core, CORE_CLOCK, core->port_host_pc); }

/* From a device's access: what it is based on could not be read. */
void core_log_failure(Core *core, uint64_t what) {
    if (core->mode == CORE_RECORD)
        log_append(core, CORE_FAILURE, core_count_at(core, core->port_host_pc), what);
}

/* Replaying, from a device's access: whether that happened at this instruction.
 * If so, it is the next entry: all there is of this count is here before the
 * instruction runs. */
bool core_failure_due(Core *core, uint64_t *what) {
    CoreEvent entry;

    if (core->mode != CORE_REPLAY || core->failed || !log_peek(core, &entry) ||
        entry.kind != CORE_FAILURE || entry.count != core_count_at(core, core->port_host_pc))
        return false;
    *what = entry.value;
    return log_take(core, &entry);
}

/* The host's monotonic clock in ns, as core_run() reads its deadline by. */
uint64_t core_host_ns(Core *core) {
    clock_sync(&core->clock);
    return core->clock.base_ns;
}

/* Guest time now, for whoever decides when a timer event is due: not logged.
 * Replaying, it stands where the log is. */
uint64_t core_guest_ns(Core *core) {
    if (core->mode == CORE_REPLAY)
        return core->last_time_ns;
    clock_sync(&core->clock);
    return advance_guest_time(core);
}

/* No real host from here on: random numbers follow from `seed`, and the clock
 * stands at `host_ns` until core_set_host_ns(). Guest time goes on where it is. */
void core_simulate_host(Core *core, uint64_t seed, uint64_t host_ns) {
    core->clock.simulated = true;
    core->clock.base_ns = host_ns;
    core->simulated_random = seed;
    core_set_guest_ns(core, core->last_time_ns);
}

/* Move the clock of a simulated host, which never goes back. */
void core_set_host_ns(Core *core, uint64_t host_ns) {
    if (core->clock.simulated && host_ns > core->clock.base_ns)
        core->clock.base_ns = host_ns;
}

/* The last guest time that the guest, a device or an event was given. */
uint64_t core_last_time(const Core *core) { return core->last_time_ns; }

/* Going live or restored: guest time goes on from here. */
void core_set_guest_ns(Core *core, uint64_t guest_ns) {
    clock_sync(&core->clock);
    core->last_time_ns = guest_ns;
    forget_clock_reading(core);
    core->seen_host_ns = core->clock.base_ns;
    core->owed_ns = 0;
    core->guest_offset_ns = (int64_t)(guest_ns - core->clock.base_ns);
}
