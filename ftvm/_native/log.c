/*
 * The log: compact entries in a buffer, written by one side of the core and
 * taken by the other.
 *
 * An entry:
 *
 *   byte 0      kind in the low four bits, zero above
 *   varint      instructions since the entry before
 *   then, by kind
 *     TSC CLOCK TIMER  varint: ns of guest time since the last time logged
 *     RANDOM           four bytes, little-endian
 *     INTERRUPT        one byte, the vector
 *     INPUT            varint channel, varint length, the bytes
 *     DIGEST           sixteen bytes
 *     FAILURE          varint: what could not be read
 *
 * Varints are unsigned LEB128, at most ten bytes and as short as can be.
 * Counts and times never go backwards, so no sign is needed; a timer interrupt
 * costs about ten bytes in two entries (the tick, the acceptance).
 *
 * Recording appends at `end` and Python drains from `begin`; replaying is the
 * other way round. When replaying, a scan runs ahead of the entries taken to
 * find the next event: a result is taken when the guest asks, but an event
 * says where to stop, and that must be known before the block runs.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRY_MAX_HEAD = 32, INPUT_MAX_BYTES = 65536, DIGEST_BYTES = 16, RANDOM_BYTES = 4 };

/* Decoding. Negative: the bytes are no entry; 0: not all of it is here. */
enum { ENTRY_BAD = -1, ENTRY_SHORT = 0 };

/* Most numbers are small, and most entries are results: those are the paths to
 * keep short. */
static inline size_t put_varint(uint8_t *into, uint64_t value) {
    size_t n = 0;

    while (value >= 0x80) {
        into[n++] = (uint8_t)value | 0x80;
        value >>= 7;
    }
    into[n++] = (uint8_t)value;
    return n;
}

static int get_long_varint(const uint8_t *bytes, size_t length, uint64_t *value) {
    *value = 0;
    for (size_t n = 0; n < 10; n++) {
        if (n == length)
            return ENTRY_SHORT;
        uint8_t byte = bytes[n];
        if (n == 9 && byte > 1)
            return ENTRY_BAD;
        *value |= (uint64_t)(byte & 0x7f) << (7 * n);
        if (!(byte & 0x80))
            return n > 0 && byte == 0 ? ENTRY_BAD : (int)n + 1;
    }
    return ENTRY_BAD;
}

/* Bytes used, ENTRY_SHORT or ENTRY_BAD. */
static inline int get_varint(const uint8_t *bytes, size_t length, uint64_t *value) {
    if (length && bytes[0] < 0x80) {
        *value = bytes[0];
        return 1;
    }
    return get_long_varint(bytes, length, value);
}

static inline bool kind_has_time(CoreKind kind) {
    return kind == CORE_TSC || kind == CORE_CLOCK || kind == CORE_TIMER;
}

static inline bool kind_is_event(CoreKind kind) {
    return kind >= CORE_INTERRUPT && kind <= CORE_DIGEST;
}

static int decode_any(const uint8_t *bytes, size_t length, LogBase *base, CoreEvent *event) {
    uint64_t delta, value = 0, payload = 0;
    size_t at = 1;
    int used;

    if (length == 0)
        return ENTRY_SHORT;
    if (bytes[0] < CORE_TSC || bytes[0] > CORE_FAILURE)
        return ENTRY_BAD;
    event->kind = (CoreKind)bytes[0];
    if ((used = get_varint(bytes + at, length - at, &delta)) <= 0)
        return used;
    at += (size_t)used;
    if (delta > UINT64_MAX - base->count)
        return ENTRY_BAD;

    if (kind_has_time(event->kind)) {
        if ((used = get_varint(bytes + at, length - at, &value)) <= 0)
            return used;
        at += (size_t)used;
        if (value > UINT64_MAX - base->time)
            return ENTRY_BAD;
        value += base->time;
    } else if (event->kind == CORE_RANDOM) {
        if (length - at < RANDOM_BYTES)
            return ENTRY_SHORT;
        memcpy(&value, bytes + at, RANDOM_BYTES);
        at += RANDOM_BYTES;
    } else if (event->kind == CORE_INTERRUPT) {
        if (length - at < 1)
            return ENTRY_SHORT;
        value = bytes[at++];
    } else if (event->kind == CORE_FAILURE) {
        if ((used = get_varint(bytes + at, length - at, &value)) <= 0)
            return used;
        at += (size_t)used;
    } else if (event->kind == CORE_INPUT) {
        if ((used = get_varint(bytes + at, length - at, &value)) <= 0)
            return used;
        at += (size_t)used;
        if ((used = get_varint(bytes + at, length - at, &payload)) <= 0)
            return used;
        at += (size_t)used;
        if (payload > INPUT_MAX_BYTES)
            return ENTRY_BAD;
    } else {
        payload = DIGEST_BYTES;
    }
    if (length - at < payload)
        return ENTRY_SHORT;

    base->count += delta;
    if (kind_has_time(event->kind))
        base->time = value;
    event->count = base->count;
    event->value = value;
    event->payload_offset = (uint32_t)at;
    event->payload_length = (uint32_t)payload;
    return (int)(at + payload);
}

/* Decodes the entry at `bytes`. Returns its length, ENTRY_SHORT or ENTRY_BAD.
 * The short way is for a clock result whose two numbers have a byte each. */
static inline int decode(const uint8_t *bytes, size_t length, LogBase *base, CoreEvent *event) {
    if (length < 3 || (bytes[0] != CORE_TSC && bytes[0] != CORE_CLOCK) ||
        ((bytes[1] | bytes[2]) & 0x80) || ((base->count | base->time) >> 63))
        return decode_any(bytes, length, base, event);
    event->kind = (CoreKind)bytes[0];
    event->count = base->count += bytes[1];
    event->value = base->time += bytes[2];
    event->payload_offset = 3;
    event->payload_length = 0;
    return 3;
}

/* Encodes an entry behind `base`, which moves on. `into` has room for it. */
static inline __attribute__((always_inline)) size_t encode(uint8_t *into, LogBase *base,
                                                           const CoreEvent *event,
                                                           const uint8_t *payload) {
    size_t at = 0;

    into[at++] = (uint8_t)event->kind;
    at += put_varint(into + at, event->count - base->count);
    base->count = event->count;
    if (kind_has_time(event->kind)) {
        at += put_varint(into + at, event->value - base->time);
        base->time = event->value;
    } else if (event->kind == CORE_RANDOM) {
        memcpy(into + at, &event->value, RANDOM_BYTES);
        at += RANDOM_BYTES;
    } else if (event->kind == CORE_INTERRUPT) {
        into[at++] = (uint8_t)event->value;
    } else if (event->kind == CORE_FAILURE) {
        at += put_varint(into + at, event->value);
    } else if (event->kind == CORE_INPUT) {
        at += put_varint(into + at, event->value);
        at += put_varint(into + at, event->payload_length);
    }
    if (event->payload_length)
        memcpy(into + at, payload, event->payload_length);
    return at + event->payload_length;
}

/* Decodes one entry of a byte string, for readers of recorded logs. Returns
 * its length in bytes, 0 if the string ends within it, -1 if it is none. */
int core_log_decode(const uint8_t *bytes, size_t length, uint64_t *base_count, uint64_t *base_time,
                    CoreEvent *event) {
    LogBase base = {*base_count, *base_time};
    int used = decode(bytes, length, &base, event);

    if (used > 0) {
        *base_count = base.count;
        *base_time = base.time;
    }
    return used;
}

/* Whether there is an entry that says this behind `base`. */
static bool encodable(const LogBase *base, const CoreEvent *event) {
    uint32_t payload_max = event->kind == CORE_INPUT ? INPUT_MAX_BYTES : DIGEST_BYTES;
    bool has_payload = event->kind == CORE_INPUT || event->kind == CORE_DIGEST;

    return event->kind >= CORE_TSC && event->kind <= CORE_FAILURE && event->count >= base->count &&
           !(kind_has_time(event->kind) && event->value < base->time) &&
           !(event->kind == CORE_RANDOM && event->value > UINT32_MAX) &&
           !(event->kind == CORE_INTERRUPT && event->value > 255) &&
           event->payload_length <= (has_payload ? payload_max : 0) &&
           !(event->kind == CORE_DIGEST && event->payload_length != DIGEST_BYTES);
}

/* The inverse. Returns the entry's length, 0 if it cannot be encoded: kind or
 * payload impossible, count or time before the base, or no room. */
size_t core_log_encode(uint8_t *into, size_t capacity, uint64_t *base_count, uint64_t *base_time,
                       const CoreEvent *event, const uint8_t *payload) {
    LogBase base = {*base_count, *base_time};

    if (!encodable(&base, event) || capacity < ENTRY_MAX_HEAD + (size_t)event->payload_length)
        return 0;
    size_t used = encode(into, &base, event, payload);
    *base_count = base.count;
    *base_time = base.time;
    return used;
}

/* --- the buffer -------------------------------------------------------------- */

static void move_to_front(LogBuffer *log) {
    memmove(log->bytes, log->bytes + log->begin, log->end - log->begin);
    log->end -= log->begin;
    log->begin = 0;
}

static inline void make_room(LogBuffer *log, size_t bytes) {
    if (log->capacity - log->end < bytes)
        move_to_front(log);
}

size_t core_log_pending(const Core *core) { return core->log.end - core->log.begin; }

uint64_t core_log_entries(const Core *core) { return core->entries; }

/* Of a restored machine: those of its past count too. */
void core_set_log_entries(Core *core, uint64_t entries) { core->entries = entries; }

bool log_room(const Core *core) {
    return core->mode != CORE_RECORD ||
           core->log.capacity - core_log_pending(core) > LOG_RESERVE_BYTES + INPUT_MAX_BYTES;
}

static inline void append(Core *core, const CoreEvent *event, const uint8_t *payload) {
    make_room(&core->log, ENTRY_MAX_HEAD + (size_t)event->payload_length);
    core->log.end += encode(core->log.bytes + core->log.end, &core->written, event, payload);
    core->entries++;
    if (core->entries == core->entry_stop)
        core_attention(core);
    if (!log_room(core))
        core_stop_soon(core);
}

/* Logs a result or an interrupt. */
void log_append(Core *core, CoreKind kind, uint64_t count, uint64_t value) {
    const CoreEvent event = {kind, count, value, 0, 0};

    append(core, &event, NULL);
}

/* Logs, when recording, an event that is applied at the current count. False:
 * it is none that can be logged, or the log must be drained first. */
bool core_log_event(Core *core, CoreKind kind, uint64_t value, const uint8_t *payload,
                    uint32_t length) {
    CoreEvent event = {kind, core_count(core), value, 0, length};

    if (core->mode == CORE_RECORD) {
        if (!encodable(&core->written, &event) ||
            core->log.capacity - core_log_pending(core) < ENTRY_MAX_HEAD + (size_t)length)
            return false;
        append(core, &event, payload);
    }
    if (kind == CORE_TIMER) {
        core->last_time_ns = value;
        core->timer_count = event.count;
    }
    return true;
}

size_t core_log_take(Core *core, uint8_t *into, size_t capacity) {
    size_t taken = core_log_pending(core);

    if (taken > capacity)
        taken = capacity;
    memcpy(into, core->log.bytes + core->log.begin, taken);
    core->log.begin += taken;
    return taken;
}

/* Takes in as many of the bytes as there is room for; returns how many. */
size_t core_log_put(Core *core, const uint8_t *bytes, size_t length) {
    LogBuffer *log = &core->log;
    size_t room = log->capacity - core_log_pending(core);

    if (length > room)
        length = room;
    make_room(log, length);
    memcpy(log->bytes + log->end, bytes, length);
    log->end += length;
    return length;
}

void core_set_mark(Core *core, uint64_t count) {
    if (count > core->mark)
        core->mark = count;
}

void core_log_bases(const Core *core, uint64_t *base_count, uint64_t *base_time) {
    const LogBase *base = core->mode == CORE_REPLAY ? &core->taken : &core->written;

    *base_count = base->count;
    *base_time = base->time;
}

void core_set_log_bases(Core *core, uint64_t base_count, uint64_t base_time) {
    core->written = core->taken = core->scanned = (LogBase){base_count, base_time};
    core->no_entry_before = base_count;
}

/* --- replay -------------------------------------------------------------------- */

/* Moves the scan on to the next event, if there is one in the buffer. */
void log_scan(Core *core) {
    LogBuffer *log = &core->log;

    while (!core->has_next_event) {
        size_t at = log->begin + core->scan;
        int used = decode(log->bytes + at, log->end - at, &core->scanned, &core->next_event);
        if (used == ENTRY_SHORT)
            return;
        if (used < 0) {
            core_fail(core, CORE_DIVERGED, "byte %zu of the log behind count %llu is no entry",
                      core->scan, (unsigned long long)core->scanned.count);
            return;
        }
        core->scan += (size_t)used;
        core->has_next_event = kind_is_event(core->next_event.kind);
    }
}

/* The oldest entry, without taking it; false if none is whole. */
bool log_peek(const Core *core, CoreEvent *entry) {
    LogBase base = core->taken;

    return decode(core->log.bytes + core->log.begin, core->log.end - core->log.begin, &base,
                  entry) > 0;
}

/* The oldest entry has been decoded, and is taken. */
static inline void took(Core *core, const CoreEvent *entry, int used) {
    core->log.begin += (size_t)used;
    if (core->scan >= (size_t)used) {
        core->scan -= (size_t)used;
    } else { /* a result asked for before it was scanned */
        core->scan = 0;
        core->scanned = core->taken;
    }
    if (kind_is_event(entry->kind))
        core->has_next_event = false;
    core->entries++;
    if (core->entries == core->entry_stop)
        core_attention(core);
    if (entry->kind == CORE_TIMER || entry->kind == CORE_TSC || entry->kind == CORE_CLOCK)
        core->last_time_ns = entry->value;
}

/* Takes the oldest entry; false if none is whole. */
bool log_take(Core *core, CoreEvent *entry) {
    LogBuffer *log = &core->log;
    int used = decode(log->bytes + log->begin, log->end - log->begin, &core->taken, entry);

    if (used <= 0)
        return false;
    entry->payload_offset += (uint32_t)log->begin;
    took(core, entry, used);
    return true;
}

/* Takes the oldest entry if it is a reading of the time-stamp counter at this
 * count. Not worth a look at counts below `no_entry_before`, which it moves on. */
bool log_take_tsc(Core *core, uint64_t count) {
    const LogBuffer *log = &core->log;
    LogBase base = core->taken;
    CoreEvent entry;

    int used = decode(log->bytes + log->begin, log->end - log->begin, &base, &entry);

    if (used <= 0)
        return false;
    core->no_entry_before = entry.count;
    if (entry.kind != CORE_TSC || entry.count != count)
        return false;
    core->taken = base;
    took(core, &entry, used);
    return true;
}

/* Takes the event that is due at the current count. False if none is. The
 * payload is copied as far as `capacity` goes. */
bool core_next_event(Core *core, CoreEvent *event, uint8_t *payload, uint32_t capacity) {
    log_scan(core);
    if (core->failed || !core->has_next_event || core->next_event.count != core_count(core))
        return false;
    CoreEvent due = core->next_event;
    if (!log_take(core, event))
        return false;
    if (event->kind != due.kind || event->count != due.count) {
        core_fail(core, CORE_DIVERGED,
                  "at count %llu the log has a result that the guest did not ask for",
                  (unsigned long long)event->count);
        return false;
    }
    uint32_t length = event->payload_length < capacity ? event->payload_length : capacity;
    if (length)
        memcpy(payload, core->log.bytes + event->payload_offset, length);
    return true;
}
