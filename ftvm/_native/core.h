/*
 * One machine's hot path: run loop, instruction count, log, dirty pages.
 *
 * Everything here belongs to one Core; there is no global state but a
 * thread-local pointer to the Core that is running on this thread, by which
 * the engine's calls into seams.c find their machine.
 */
#ifndef FTVM_CORE_H
#define FTVM_CORE_H

#include "api.h"
#include "engine.h"

#include <stdatomic.h>

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12
#define LINEAR_PAGES (1u << 20)

/* Instructions between two looks at the host's clock and the attention flag. */
#define SLICE_INSTRUCTIONS 32768

#define POST_PORTS 16

/* Room that must be free before a block may run: the most that one block of
 * 512 instructions, each with a logged result, can append. */
#define LOG_RESERVE_BYTES 16384u

/* Where the stop in the middle of a block left off, and how to go on. */
typedef struct Tail {
    uint64_t pc;
    uint32_t instructions; /* 0: none */
} Tail;

/* Host return address to "instructions of the block from this one on". */
#define REST_CACHE_ENTRIES 4096
typedef struct RestEntry {
    uintptr_t host_pc;
    uint64_t rest;
} RestEntry;

typedef struct RestCache {
    RestEntry entries[REST_CACHE_ENTRIES];
} RestCache;

/* Host time, read by TSC between looks at the clock (clock.c). */
typedef struct HostClock {
    uint64_t base_tsc, base_ns;
    uint64_t ns_per_tsc; /* 32.32 fixed point */
    uint64_t first_tsc, first_ns;
    bool simulated; /* stands at base_ns until it is set on */
} HostClock;

typedef struct LogBuffer {
    uint8_t *bytes;
    size_t capacity, begin, end;
} LogBuffer;

/* The running sums against which log entries are delta-coded. */
typedef struct LogBase {
    uint64_t count, time;
} LogBase;

/* Entries of a table that are not empty; more than are listed: any may be. */
#define TLB_FILLS_LISTED 512
typedef struct TlbFills {
    uint32_t count;
    uint16_t listed[TLB_FILLS_LISTED];
} TlbFills;

/* Where a UART is: what its wires lead to. */
#define SERIAL_PORTS 4
typedef struct SerialPort {
    Core *core;
    Uart *uart; /* NULL: none attached */
    uint32_t stream, port, line;
} SerialPort;

struct Core {
    uc_engine *uc;
    EngineCpu *cpu;
    EngineEnv *env;
    uint8_t *ram;
    uint32_t ram_pages;
    EngineRegion *ram_region;

    /* Count and stops: count = limit - budget. */
    uint64_t limit, target, until, deadline_ns, sleep_until_ns;
    Tail tail;
    RestCache rest;
    uintptr_t newest_block;
    EngineTb *restored_block;
    uint64_t restored_pc, interrupt_eip;
    uintptr_t raising_host_pc, port_host_pc;
    EngineTranslateFn *translate_instruction;
    CoreReason reason;
    bool uncounted, stopping, stop_after_port, failed;
    CoreShutdown shutdown;
    int32_t a20_wanted; /* the mask from the end of this instruction on */
    atomic_bool attention;
    int wake_descriptor;
    uint64_t polled_ns, gather_ns;

    /* Interrupts. */
    bool interrupt_line;

    /* Results and events. */
    CoreMode mode;
    LogBuffer log;
    LogBase written, taken, scanned;
    size_t scan;              /* offset from log.begin of the first byte not scanned */
    uint64_t no_entry_before; /* a count: nothing in the log is older, as far as was looked */
    CoreEvent next_event;
    bool has_next_event;
    uint64_t mark, horizon;
    uint64_t entries, entry_stop;
    char error[160];

    /* Guest time: host clock plus an offset, never backwards. */
    HostClock clock;
    int64_t guest_offset_ns;
    uint64_t seen_host_ns, owed_ns; /* when it was last looked at; for how long it stood */
    uint64_t last_time_ns, timer_ns, devices_ns, timer_count;
    uint64_t tsc_offset;                  /* what WRMSR has made of the time-stamp counter */
    uint64_t clock_count, clock_count_ns; /* where a TSC result last read the host's clock */
    uint32_t random_pool[512];
    uint32_t random_left;
    uint64_t simulated_random;

    /* Pages. */
    TlbFills tlb_fills[TLB_MODES], jumps;
    uint64_t *code_tlb[2]; /* supervisor, user: generation << 20 | physical page */
    uint64_t code_tlb_generation;
    uint8_t *page_flags;
    uint32_t dirty_pages, dirty_pages_max;
    uint64_t dirtied_pages;
    uint64_t *page_hashes;
    uint64_t memory_hash;
    bool hash_is_fresh;
    int fill_access;

    CorePortBuffer port_buffer;
    CoreCallbacks callbacks;
    void *handle;
    Interrupts *interrupts; /* NULL: none attached */
    Pit *pit;               /* the same */
    uint8_t post[POST_PORTS];
    SerialPort serial[SERIAL_PORTS];
    CoreOutputs outputs;
};

extern _Thread_local Core *core_running;

/* blocks.c */
bool block_count(EngineTb *block, Core *core);
bool block_counts_itself(EngineTb *block);
bool block_must_end_before(Core *core, uint32_t pc);
bool block_computed_flags(const Core *core, EngineTb *block);
bool opcode_is_prefix(uint8_t byte);
uint32_t block_rest_at(EngineTb *block, uintptr_t host_pc);
uint32_t block_rest_from(EngineTb *block, uint64_t pc);
uint32_t block_pc_of(EngineTb *block, uint32_t index);
uint64_t core_count_at(Core *core, uintptr_t host_pc);

/* run.c */
void core_block_limit(Core *core, EngineTb *block);
bool core_take_interrupt(Core *core);
void core_exception_leaves_block(Core *core, uintptr_t host_pc);
void core_fail(Core *core, CoreReason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_stop_soon(Core *core);
void core_leave_after_port(Core *core, uintptr_t host_pc);

/* log.c */
void log_append(Core *core, CoreKind kind, uint64_t count, uint64_t value);
bool log_room(const Core *core);
void log_scan(Core *core);
bool log_take(Core *core, CoreEvent *entry);
bool log_take_tsc(Core *core, uint64_t count);
bool log_peek(const Core *core, CoreEvent *entry);

/* results.c */
void mind_stall(Core *core);
uint64_t advance_guest_time(Core *core);
void forget_clock_reading(Core *core);
uint64_t core_result(Core *core, CoreKind kind, uintptr_t host_pc);
uint64_t core_tsc(Core *core, uintptr_t host_pc);

/* instructions.c */
void do_cmpxchg8b(Core *core, uint64_t address, uintptr_t host_pc);
void do_sysenter(Core *core, uintptr_t host_pc);
void do_cpuid(Core *core);
void do_rdmsr(Core *core, uintptr_t host_pc);
void do_wrmsr(Core *core, uintptr_t host_pc);
uint64_t do_in(Core *core, uint32_t port, uint32_t size, uintptr_t host_pc);
void do_out(Core *core, uint32_t port, uint32_t size, uint32_t value, uintptr_t host_pc);

/* clock.c */
void clock_start(HostClock *clock);
void clock_sync(HostClock *clock);
uint64_t clock_ns(const HostClock *clock);

/* memory.c */
enum { PAGE_EXECUTED = 1, PAGE_DIRTY = 2, PAGE_TRANSLATED = 4, PAGE_UNSENT = 8 };
int memory_filter_fill(Core *core, uint64_t physical, int protection, bool *newly_executed);
void memory_mark_dirty(Core *core, uint64_t physical, uint64_t length);
EngineRegion *memory_region(uc_engine *uc, uint64_t physical);

/* controllers.c */
int core_acknowledge(Core *core);
uint32_t core_port_read(Core *core, uint32_t port, uint32_t size);
void core_port_write(Core *core, uint32_t port, uint32_t size, uint32_t value);
void core_follow_timers(Core *core);
bool core_tick(Core *core);
bool core_replay_tick(Core *core);

/* serial_ports.c */
bool output_room(const Core *core);
Uart *serial_at(const Core *core, uint32_t port, uint32_t size, uint32_t *offset);

/* device_memory.c */
uint64_t device_memory_read(uc_engine *uc, uint64_t offset, unsigned size, void *user);
void device_memory_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user);

/* tlb.c */
uc_err tlb_open(Core *core);
void tlb_fill(Core *core, uint64_t linear, uint64_t physical, EngineMemAttrs attributes,
              int protection, int mode_index, uint64_t bytes);
void tlb_note_fill(Core *core, uint64_t linear, int mode);
void tlb_empty(Core *core);
void tlb_forget_page(Core *core, uint64_t linear);
uint64_t code_tlb_find(Core *core, uint64_t linear);
void code_tlb_add(Core *core, uint64_t linear, uint64_t physical);
void jump_cache_note(Core *core, uint64_t pc);

/* state.c */
void state_reset_features(Core *core);

#endif
