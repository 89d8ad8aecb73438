/*
 * The interface of the C core, as ftvm.machine sees it through cffi.
 * Everything from the first typedef on is read by cffi as it stands.
 */
#ifndef FTVM_API_H
#define FTVM_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cffi reads from here */
typedef struct Core Core;

/* Why core_run() returned. */
typedef enum CoreReason {
    CORE_TARGET,      /* the instruction count asked for is reached, exactly */
    CORE_ATTENTION,   /* core_attention() was called, or the wake descriptor is readable */
    CORE_DEADLINE,    /* the host's clock passed the deadline given */
    CORE_TIMER_DUE,   /* live: guest time passed what core_set_timer() said */
    CORE_HALTED,      /* HLT, and no interrupt can be taken now */
    CORE_EVENT,       /* replay: the next event is due at this count */
    CORE_LOG_EMPTY,   /* replay: the newest mark is reached */
    CORE_LOG_FULL,    /* record: the log must be drained first */
    CORE_SHUTDOWN,    /* triple fault, or reset */
    CORE_DIVERGED,    /* replay: the log does not fit; core_error() says how */
    CORE_ENGINE_ERROR /* the engine did what it must not; core_error() */
} CoreReason;

/* Where results come from and what becomes of them. */
typedef enum CoreMode {
    CORE_SOLO,   /* from the host, not logged */
    CORE_RECORD, /* from the host, logged */
    CORE_REPLAY  /* from the log */
} CoreMode;

/* Kinds of log entries: results, and events from INTERRUPT to DIGEST. */
typedef enum CoreKind {
    CORE_TSC = 1,
    CORE_RANDOM = 2,
    CORE_CLOCK = 3,
    CORE_INTERRUPT = 4,
    CORE_TIMER = 5,
    CORE_INPUT = 6,
    CORE_DIGEST = 7,
    CORE_FAILURE = 8 /* a result: a device could not read what it is based on */
} CoreKind;

/* A decoded entry: value is the result, the vector, the guest time in ns,
 * the channel or what has failed; payload lies `payload_offset` bytes into the bytes decoded. */
typedef struct CoreEvent {
    CoreKind kind;
    uint64_t count;
    uint64_t value;
    uint32_t payload_offset;
    uint32_t payload_length;
} CoreEvent;

/* A guest CPU's whole architectural state; what state transfer carries. */
typedef struct CoreSegment {
    uint32_t selector, base, limit, flags;
} CoreSegment;

/* Why the CPU will not go on. */
typedef enum CoreShutdown {
    CORE_SHUTDOWN_NONE,
    CORE_SHUTDOWN_TRIPLE_FAULT,
    CORE_SHUTDOWN_RESET /* by a device */
} CoreShutdown;

typedef struct CoreCpu {
    uint32_t gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
    uint32_t eip, eflags, hflags, hflags2;
    CoreSegment segments[6]; /* ES CS SS DS FS GS */
    CoreSegment ldt, tr, gdt, idt;
    uint32_t cr[5];
    uint32_t a20_mask;
    uint32_t dr[8];
    uint32_t sysenter_cs, sysenter_esp, sysenter_eip, mxcsr;
    uint64_t efer, tsc_aux, tsc_offset, xcr0, misc_enable, pat;
    uint64_t fpip, fpdp, fp_status, mmx_status, sse_status;
    uint16_t fpus, fpuc, fpop, fpstt;
    uint8_t fptags[8];
    uint8_t fpregs[8][16];
    uint8_t xmm[8][16];
    uint32_t halted, shutdown; /* shutdown: a CoreShutdown */
    int32_t old_exception;
} CoreCpu;

/* The interrupt controllers (interrupts.c), all of their state plain data.
 * One 8259A: registers, and the levels at its inputs. */
typedef struct Pic {
    uint8_t lines, edges; /* edges: rises seen and not acknowledged, of lines that are up */
    uint8_t mask, in_service, elcr, icw1, vector, icw3, icw4;
    uint8_t stage;  /* what the next write to the odd port is */
    uint8_t lowest; /* the level of lowest priority */
    bool rotate_on_auto_eoi, special_mask, read_in_service, poll;
} Pic;

typedef struct PicPair {
    Pic master, slave;
} PicPair;

typedef struct LocalApic {
    uint8_t tpr, logical_id, model, icr_high, divide;
    uint8_t errors, esr; /* errors: seen since ESR was written */
    uint32_t svr, icr_low, initial_count;
    uint32_t lvt[6]; /* timer, thermal, counters, LINT0, LINT1, error */
    uint32_t isr[8], tmr[8], irr[8];
    uint64_t started_ns; /* when the count was loaded or began anew */
    bool running, lint0;
} LocalApic;

typedef struct IoApic {
    uint8_t select, id;
    uint32_t lines; /* levels at the pins */
    uint64_t table[24];
} IoApic;

/* Where INTR goes, and guest time comes from. */
typedef struct InterruptWires {
    void (*intr)(void *user, bool level);
    uint64_t (*clock)(void *user);
    void *user;
} InterruptWires;

typedef struct Interrupts {
    PicPair pic;
    LocalApic apic;
    IoApic io;
    InterruptWires wires;
    bool intr; /* the level told last */
} Interrupts;

typedef struct CoreCallbacks {
    uint32_t (*port_read)(void *handle, uint32_t port, uint32_t size);
    void (*port_write)(void *handle, uint32_t port, uint32_t size, uint32_t value);
    int (*acknowledge)(void *handle); /* vector, or -1: nothing to take; of a machine without
                                         interrupt controllers attached */
} CoreCallbacks;

/* A block of data that goes through one port. Accesses of two and four bytes
 * move it without the device, all but the one that would end it: that, and every
 * one while it is closed, the device answers. */
enum { CORE_PORT_BLOCK_BYTES = 8192 };
typedef enum CorePortUse { CORE_PORT_CLOSED, CORE_PORT_READ, CORE_PORT_WRITE } CorePortUse;
typedef struct CorePortBuffer {
    CorePortUse use;
    uint32_t port, position, length;
    uint8_t bytes[8192];
} CorePortBuffer;

/* Life. Errors of core_new() are written to `error`; NULL is returned. */
Core *core_new(uint64_t memory_bytes, void *handle, CoreCallbacks callbacks, char *error,
               size_t error_bytes);
void core_free(Core *core);
const char *core_error(const Core *core);

/* Running. */
CoreReason core_run(Core *core, uint64_t until_count, uint64_t deadline_ns);
void core_attention(Core *core);
void core_hurry(Core *core, uint64_t ns);
void core_set_sleep(Core *core, uint64_t until_ns);
void core_set_wake(Core *core, int descriptor);
void core_set_entry_stop(Core *core, uint64_t entries);
void core_stop_after_port(Core *core);
void core_reset(Core *core);
CorePortBuffer *core_port_buffer(Core *core);
void core_set_a20(Core *core, bool level);
void core_set_interrupt_line(Core *core, bool level);
uint64_t core_count(const Core *core);
void core_set_count(Core *core, uint64_t count);
/* For measuring what counting costs: blocks translated from here on run
 * uncounted, and the guest stops only by itself. */
void core_set_uncounted(Core *core);

/* Results and the log. */
void core_set_mode(Core *core, CoreMode mode);
uint64_t core_clock(Core *core);
void core_log_failure(Core *core, uint64_t what);
bool core_failure_due(Core *core, uint64_t *what);
uint64_t core_host_ns(Core *core);
void core_simulate_host(Core *core, uint64_t seed, uint64_t host_ns);
void core_set_host_ns(Core *core, uint64_t host_ns);
uint64_t core_guest_ns(Core *core);
uint64_t core_last_time(const Core *core);
void core_set_timer(Core *core, uint64_t guest_ns);
void core_set_guest_ns(Core *core, uint64_t guest_ns);
bool core_log_event(Core *core, CoreKind kind, uint64_t value, const uint8_t *payload,
                    uint32_t length);
size_t core_log_take(Core *core, uint8_t *into, size_t capacity);
size_t core_log_put(Core *core, const uint8_t *bytes, size_t length);
size_t core_log_pending(const Core *core);
uint64_t core_log_entries(const Core *core);
void core_set_log_entries(Core *core, uint64_t entries);
void core_set_mark(Core *core, uint64_t count);
bool core_next_event(Core *core, CoreEvent *event, uint8_t *payload, uint32_t capacity);
int core_log_decode(const uint8_t *bytes, size_t length, uint64_t *base_count, uint64_t *base_time,
                    CoreEvent *event);
size_t core_log_encode(uint8_t *into, size_t capacity, uint64_t *base_count, uint64_t *base_time,
                       const CoreEvent *event, const uint8_t *payload);
void core_log_bases(const Core *core, uint64_t *base_count, uint64_t *base_time);
void core_set_log_bases(Core *core, uint64_t base_count, uint64_t base_time);
bool core_clock_reading(const Core *core, uint64_t *count, uint64_t *time_ns);
void core_set_clock_reading(Core *core, uint64_t count, uint64_t time_ns);

/* State. */
void core_get_cpu(const Core *core, CoreCpu *cpu);
const char *core_cpu_fault(const CoreCpu *cpu);
void core_set_cpu(Core *core, const CoreCpu *cpu);
uint8_t *core_memory(Core *core);
void core_memory_written(Core *core, uint64_t address, uint64_t length);
uint64_t core_hash_memory(Core *core);
size_t core_dirty_pages(Core *core, uint32_t *pages, size_t capacity);
size_t core_used_pages(Core *core, uint32_t *pages, size_t capacity);
size_t core_unsent_pages(const Core *core);
bool core_is_unsent(const Core *core, uint32_t page);
size_t core_take_unsent(Core *core, uint32_t *pages, uint32_t *zeros, size_t *zero_count);
void core_synchronize(Core *core);

/* The interrupt controllers. Once attached to a core, the guest's accesses are theirs. */
void core_attach_interrupts(Core *core, Interrupts *interrupts);
uint64_t core_timer(const Core *core);
uint8_t *core_post(Core *core);
uint32_t pm_timer(uint64_t guest_ns);
void interrupts_reset(Interrupts *all);
void interrupts_tell(Interrupts *all);
void interrupts_follow_pic(Interrupts *all);
void interrupts_set_line(Interrupts *all, uint32_t line, bool level);
int interrupts_acknowledge(Interrupts *all);
uint32_t interrupts_read(Interrupts *all, uint32_t address, uint32_t size);
void interrupts_write(Interrupts *all, uint32_t address, uint32_t size, uint32_t value);
uint64_t interrupts_deadline(const Interrupts *all);
void interrupts_advance(Interrupts *all, uint64_t now_ns);
void pic_reset(PicPair *pair);
void pic_set_line(PicPair *pair, uint32_t line, bool level);
int pic_acknowledge(PicPair *pair);
uint8_t pic_read(PicPair *pair, uint32_t port);
void pic_write(PicPair *pair, uint32_t port, uint8_t value);
bool pic_intr(const PicPair *pair);
bool pic_cascaded(const PicPair *pair);
bool io_apic_entry_legal(uint64_t entry);

int core_selftest(char *error, size_t error_bytes);
/* cffi reads to here */

#endif
