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
    CORE_ATTENTION,   /* core_attention() was called, the wake descriptor is readable, or
                         outputs must be taken first */
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

/* The interval timer (pit8254.c): three counters, and port 0x61 around them. Time is
 * `tick`: how many CLK pulses there have been since guest time 0. What a counter has not
 * is marked so by its has_. */
typedef struct PitCounter {
    uint8_t control; /* RW, M and BCD as written */
    bool gate;
    bool high_next; /* the next read of a two-byte count is the high byte */
    bool waiting;   /* the count written is still to be loaded */
    bool has_low_byte, has_latched_count, has_latched_status, has_start, has_reload, has_paused;
    uint8_t low_byte;       /* of a count whose high byte is still to be written */
    uint16_t latched_count; /* as it will be read */
    uint8_t latched_status;
    uint32_t written; /* the count last written (CR); 0 after a control word */
    uint32_t count;   /* what was loaded */
    int64_t start;    /* the pulse that loaded it */
    int64_t reload;   /* the pulse at which the count written will be loaded */
    int64_t paused;   /* pulses counted when the gate fell */
} PitCounter;

typedef struct PitWires {
    void (*irq)(void *user, bool level);
    uint64_t (*clock)(void *user);
    void *user;
} PitWires;

enum { PIT_COUNTERS = 3 };
typedef struct Pit {
    PitCounter counters[3];
    uint8_t speaker;
    bool irq;          /* the level of IRQ0 told last */
    int64_t seen;      /* the tick up to which IRQ0 has risen */
    int64_t next_rise; /* from the rest: the tick in which it rises next, */
    uint64_t due_ns;   /* and guest time then */
    PitWires wires;
} Pit;

/* A serial port (uart16550.c). What the host sent and the guest has not read waits on
 * the line, in memory of whoever sent it. */
enum { UART_FIFO_BYTES = 16 };
typedef struct UartWires {
    void (*irq)(void *user, bool level);
    void (*output)(void *user, uint8_t byte);
    void *user;
} UartWires;

typedef struct Uart {
    uint8_t ier, fcr, lcr, mcr, scr, modem_changes;
    uint16_t divisor;
    bool overrun, thr_empty_pending;
    uint8_t looped_bytes, looped[16]; /* looped back, and not read */
    const uint8_t *line;
    size_t line_bytes;
    UartWires wires;
    bool irq; /* the level told last */
} Uart;

/* What the serial ports put out. A piece is bytes of one stream, one behind the other,
 * by the count of the instruction that made the last; `end` is where it ends in `bytes`. */
enum { CORE_OUTPUT_BYTES = 65536, CORE_OUTPUT_PIECES = 2048 };
typedef struct CoreOutput {
    uint64_t count;
    uint32_t stream, end;
} CoreOutput;

typedef struct CoreOutputs {
    uint32_t piece_count, byte_count;
    CoreOutput pieces[2048];
    uint8_t bytes[65536];
} CoreOutputs;

/* How long a live guest runs on after an output before core_run() comes back with it, and
 * at most while the wake descriptor is readable, unless core_set_gather() says otherwise. */
enum { CORE_GATHER_NS = 100000 };

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
void core_hurry(Core *core);
void core_set_gather(Core *core, uint64_t ns);
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
uint32_t core_dirty_page_count(const Core *core);
uint64_t core_dirtied_pages(const Core *core);
void core_set_dirty_pages_max(Core *core, uint32_t pages);
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

/* The interval timer. Once attached to a core, the guest's accesses are its, and IRQ0. */
void core_attach_pit(Core *core, Pit *pit);
void pit_reset(Pit *pit);
void pit_settle(Pit *pit);
uint8_t pit_read(Pit *pit, uint32_t port);
void pit_write(Pit *pit, uint32_t port, uint8_t value);
uint64_t pit_deadline(const Pit *pit);
void pit_advance(Pit *pit, uint64_t now_ns);
void counter_reset(PitCounter *counter);
uint32_t counter_mode(const PitCounter *counter);
void counter_program(PitCounter *counter, uint8_t control);
void counter_write(PitCounter *counter, uint8_t value, int64_t tick);
uint8_t counter_read(PitCounter *counter, int64_t tick);
void counter_latch_count(PitCounter *counter, int64_t tick);
void counter_set_gate(PitCounter *counter, bool gate, int64_t tick);
uint32_t counter_value(PitCounter *counter, int64_t tick);
bool counter_out(PitCounter *counter, int64_t tick);
int64_t counter_next_rise(const PitCounter *counter, int64_t after);

/* The serial ports. Once attached to a core, the guest's accesses are theirs. */
void core_attach_uart(Core *core, Uart *uart, uint32_t stream, uint32_t port, uint32_t line);
CoreOutputs *core_outputs(Core *core);
void uart_reset(Uart *uart);
void uart_settle(Uart *uart);
void uart_receive(Uart *uart, const uint8_t *line, size_t bytes);
size_t uart_queued(const Uart *uart);
uint8_t uart_read(Uart *uart, uint32_t offset);
void uart_write(Uart *uart, uint32_t offset, uint8_t value);

int core_selftest(char *error, size_t error_bytes);
/* cffi reads to here */

#endif
