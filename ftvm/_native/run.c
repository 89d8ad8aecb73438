/*
 * The run loop: run to an exact count, and say why it stopped.
 *
 * count = limit - budget. A block subtracts its length from the budget when it
 * is entered and calls core_block_limit() when that goes below zero. There, in
 * order: the slice is over (look at attention, deadline and log, refill, go
 * on); the target lies inside the block (run the part up to it as a block of
 * its own, which the engine makes when asked for a block of r instructions at
 * most); the target is here (stop, or take the interrupt that is due here).
 * Going on after a stop inside a block asks for the rest of that block, so
 * that a stop never changes how far a block reaches.
 */
#define _GNU_SOURCE /* ppoll */
#include "core.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

_Noreturn void __real_cpu_loop_exit_noexc_x86_64(EngineCpu *cpu);
bool __real_cpu_restore_state_x86_64(EngineCpu *cpu, uintptr_t host_pc, bool will_exit);

uint64_t core_count(const Core *core) {
    if (core->port_host_pc)
        return core_count_at((Core *)core, core->port_host_pc);
    return core->limit - (uint64_t)ENV_BUDGET(core->env);
}

void core_set_count(Core *core, uint64_t count) {
    core->limit = count;
    ENV_BUDGET(core->env) = 0;
    core->mark = count;
}

void core_set_uncounted(Core *core) { core->uncounted = true; }

const char *core_error(const Core *core) { return core->error; }

/* The block that runs now is the last one before core_block_limit(). */
void core_stop_soon(Core *core) {
    core->limit -= (uint64_t)ENV_BUDGET(core->env);
    ENV_BUDGET(core->env) = 0;
}

/* From now on core_run() returns `reason`; the first failure is kept. */
void core_fail(Core *core, CoreReason reason, const char *format, ...) {
    va_list arguments;

    if (core->failed)
        return;
    va_start(arguments, format);
    vsnprintf(core->error, sizeof core->error, format, arguments);
    va_end(arguments);
    core->failed = true;
    core->reason = reason;
    core_stop_soon(core);
}

/* Asks core_run() to return soon: within a slice from another thread or a
 * signal handler, at the end of the running block from a device. */
void core_attention(Core *core) {
    atomic_store_explicit(&core->attention, true, memory_order_release);
    if (core == core_running)
        core_stop_soon(core);
}

/* Until this host time a guest that halts waits for its timer in core_run(),
 * so that one which only ticks costs no more than its ticks; 0: not at all. */
void core_set_sleep(Core *core, uint64_t until_ns) { core->sleep_until_ns = until_ns; }

/* Something was put out: the run ends soon, and at once if the guest sleeps. */
void core_hurry(Core *core) {
    uint64_t soon = clock_ns(&core->clock) + core->gather_ns;

    core->sleep_until_ns = 0;
    if (soon < core->deadline_ns)
        core->deadline_ns = soon;
}

/* How long a live guest may run on behind its output, or while somebody wants to wake it. */
void core_set_gather(Core *core, uint64_t ns) { core->gather_ns = ns; }

/* A descriptor that, when readable, makes core_run() return CORE_ATTENTION
 * within that time; -1 for none. */
void core_set_wake(Core *core, int descriptor) { core->wake_descriptor = descriptor; }

/* Calls for attention once so many entries are recorded or taken in all. */
void core_set_entry_stop(Core *core, uint64_t entries) { core->entry_stop = entries; }

/* Looked at every so often only: it is a system call. */
static bool woken(Core *core) {
    struct pollfd wake = {core->wake_descriptor, POLLIN, 0};

    if (core->wake_descriptor < 0 || core->clock.base_ns - core->polled_ns < core->gather_ns / 2)
        return false;
    core->polled_ns = core->clock.base_ns;
    return poll(&wake, 1, 0) > 0;
}

/* From a device's port_write(): core_run() returns CORE_ATTENTION with the
 * guest exactly behind the OUT instruction. */
void core_stop_after_port(Core *core) {
    core->stop_after_port = true;
    core_attention(core);
}

/* The same with CORE_SHUTDOWN: the machine's reset line was pulled. */
void core_reset(Core *core) {
    core->shutdown = CORE_SHUTDOWN_RESET;
    core_stop_after_port(core);
}

/* From a device's port_write(): the A20 gate. The engine takes it between two
 * runs, so the instruction behind the OUT is looked up with it. */
void core_set_a20(Core *core, bool level) {
    core->a20_wanted = level ? -1 : ~(1 << 20);
    core_stop_after_port(core);
}

static void apply_a20(Core *core) {
    if (core->a20_wanted == ENV_A20_MASK(core->env))
        return;
    ENV_A20_MASK(core->env) = core->a20_wanted;
    tlb_empty(core);
}

/* The instruction's first byte that is no prefix. */
static uint8_t opcode_at(Core *core, uint32_t pc) {
    uint8_t byte;

    do
        byte = (uint8_t)cpu_ldub_code_x86_64(core->env, pc++);
    while (opcode_is_prefix(byte));
    return byte;
}

/* OUT has done all it does, so the state at its start with EIP moved on is the
 * state behind it. OUTS has not; there the end of the block must do. */
void core_leave_after_port(Core *core, uintptr_t host_pc) {
    EngineTb *block = tcg_tb_lookup_x86_64(UC_TCG(core->uc), host_pc);
    uint32_t rest = block_rest_at(block, host_pc);
    uint32_t at = TB_INSTRUCTIONS(block) - rest;
    uint32_t next_pc =
        rest > 1 ? block_pc_of(block, at + 1) : (uint32_t)TB_PC(block) + TB_GUEST_BYTES(block);

    core->stop_after_port = false;
    /* OUT is E6, E7, EE, EF (Intel SDM vol. 2B); OUTS 6E, 6F. */
    if (core->failed || opcode_at(core, block_pc_of(block, at)) < 0xe6)
        return;
    __real_cpu_restore_state_x86_64(core->cpu, host_pc, false);
    core->restored_block = NULL;
    core->tail.instructions = 0;
    if (!core->uncounted)
        ENV_BUDGET(core->env) += (int32_t)rest - 1;
    ENV_EIP(core->env) = next_pc - (uint32_t)TB_CS_BASE(block);
    ENV_HFLAGS(core->env) &= ~(uint32_t)HFLAG_INHIBIT_IRQ;
    core->reason = CORE_ATTENTION;
    core->stopping = true;
    uc_emu_stop(core->uc);
    __real_cpu_loop_exit_noexc_x86_64(core->cpu);
}

/* Level of the interrupt controller's INTR output. */
void core_set_interrupt_line(Core *core, bool level) {
    core->interrupt_line = level;
    if (core->mode == CORE_REPLAY)
        return;
    if (level)
        CPU_INTERRUPT_REQUEST(core->cpu) |= CPU_INTERRUPT_HARD;
    if (level && core == core_running)
        core_stop_soon(core);
}

static bool interrupts_open(const Core *core) {
    return (ENV_EFLAGS(core->env) & EFLAG_INTERRUPT) &&
           !(ENV_HFLAGS(core->env) & HFLAG_INHIBIT_IRQ);
}

static bool interrupt_takeable(const Core *core) {
    return core->mode != CORE_REPLAY && core->interrupt_line && interrupts_open(core);
}

/* A replay may run to the newest mark; and to the next event or the last
 * result in the buffer, because entries come in order, so none is missing
 * before one that is there. */
static void replay_target(Core *core) {
    log_scan(core);
    if (core->has_next_event)
        core->horizon = core->next_event.count;
    else
        core->horizon = core->scanned.count > core->mark ? core->scanned.count : core->mark;
    core->target = core->until < core->horizon ? core->until : core->horizon;
    if (core->has_next_event && core->next_event.kind == CORE_INTERRUPT)
        CPU_INTERRUPT_REQUEST(core->cpu) |= CPU_INTERRUPT_HARD;
    else
        CPU_INTERRUPT_REQUEST(core->cpu) &= ~CPU_INTERRUPT_HARD;
}

static bool interrupt_due(const Core *core, uint64_t count) {
    return core->mode == CORE_REPLAY && core->has_next_event &&
           core->next_event.kind == CORE_INTERRUPT && core->next_event.count == count;
}

static void deliver(Core *core, int vector) {
    core->tail.instructions = 0;
    CPU_CFLAGS_NEXT_TB(core->cpu) = UINT32_MAX;
    do_interrupt_x86_hardirq_x86_64(core->env, vector, 1);
}

/* Replaying, the engine asks between all blocks while an interrupt is the next
 * event, because at one count there can be two chances to take it: before and
 * after the exception of a fetch from a page that is not there. As when
 * recording, it is taken at the first with interrupts on. */
static bool replay_interrupt(Core *core) {
    CoreEvent entry;

    if (!interrupt_due(core, core_count(core)) || !interrupts_open(core) ||
        !core_next_event(core, &entry, NULL, 0))
        return false;
    int vector = core_acknowledge(core);
    if (vector != (int)entry.value) {
        core_fail(core, CORE_DIVERGED,
                  "at count %llu the log has interrupt %u, and the machine would take %d",
                  (unsigned long long)entry.count, (unsigned)entry.value, vector);
        return false;
    }
    core_stop_soon(core);
    replay_target(core);
    deliver(core, vector);
    return true;
}

/* Between two blocks. True: an interrupt was taken, EIP is at its handler. */
bool core_take_interrupt(Core *core) {
    if (core->mode == CORE_REPLAY)
        return replay_interrupt(core);
    if (!core->interrupt_line) {
        CPU_INTERRUPT_REQUEST(core->cpu) &= ~CPU_INTERRUPT_HARD;
        return false;
    }
    if (!interrupts_open(core))
        return false;
    int vector = core_acknowledge(core);
    if (vector < 0)
        return false;
    if (core->mode == CORE_RECORD)
        log_append(core, CORE_INTERRUPT, core_count(core), (uint64_t)vector);
    deliver(core, vector);
    return true;
}

/* An instruction in the middle of a block faults: it counts, the rest does not. */
void core_exception_leaves_block(Core *core, uintptr_t host_pc) {
    void *tcg = UC_TCG(core->uc);

    core->tail.instructions = 0;
    if (host_pc - TCG_CODE_BUFFER(tcg) >= TCG_CODE_BUFFER_BYTES(tcg))
        return;
    EngineTb *block = tcg_tb_lookup_x86_64(tcg, host_pc);
    uint32_t rest = block ? block_rest_at(block, host_pc) : 0;
    if (rest)
        ENV_BUDGET(core->env) += (int32_t)rest - 1;
}

/* A timer event costs the host more than the guest's shortest timer period, so
 * a guest that does not wait gets a slice of instructions between two. */
static bool timer_is_due(Core *core) {
    return core->mode != CORE_REPLAY && core->timer_ns != UINT64_MAX &&
           (CPU_HALTED(core->cpu) || core_count(core) - core->timer_count >= SLICE_INSTRUCTIONS) &&
           advance_guest_time(core) >= core->timer_ns;
}

/* Every slice. True: stop, for the reason set. */
static bool look_around(Core *core) {
    if (core->failed)
        return true;
    clock_sync(&core->clock);
    if (atomic_load_explicit(&core->attention, memory_order_acquire) || woken(core))
        core->reason = CORE_ATTENTION;
    else if (core->clock.base_ns >= core->deadline_ns)
        core->reason = CORE_DEADLINE;
    else if (!log_room(core))
        core->reason = CORE_LOG_FULL;
    else if (interrupt_takeable(core))
        return false;
    else if (timer_is_due(core))
        core->reason = CORE_TIMER_DUE;
    else
        return false;
    return true;
}

static void refill(Core *core, uint64_t count) {
    uint64_t left = core->target - count;

    if (left > SLICE_INSTRUCTIONS)
        left = SLICE_INSTRUCTIONS;
    core->limit = count + left;
    ENV_BUDGET(core->env) = (int32_t)left;
}

static _Noreturn void leave_block(Core *core, EngineTb *block) {
    ENV_EIP(core->env) = TB_PC(block) - TB_CS_BASE(block);
    __real_cpu_loop_exit_noexc_x86_64(core->cpu);
}

static _Noreturn void stop_at_block(Core *core, EngineTb *block) {
    core->stopping = true;
    uc_emu_stop(core->uc);
    leave_block(core, block);
}

void core_block_limit(Core *core, EngineTb *block) {
    int32_t n = TB_INSTRUCTIONS(block);
    int32_t left = ENV_BUDGET(core->env);

    if (block_counts_itself(block)) {
        left = ENV_BUDGET(core->env) += n;
    } else if (left >= n) {
        ENV_BUDGET(core->env) = left - n;
        return;
    }
    uint64_t count = core->limit - (uint64_t)left;

    if (core->limit != core->target || core->failed) {
        if (look_around(core))
            stop_at_block(core, block);
        refill(core, count);
        if (interrupt_takeable(core))
            leave_block(core, block);
        left = ENV_BUDGET(core->env);
        if (left >= n) {
            ENV_BUDGET(core->env) = left - n;
            return;
        }
    }
    if (left > 0) {
        CPU_CFLAGS_NEXT_TB(core->cpu) = (uint32_t)left;
        core->tail = (Tail){block_pc_of(block, (uint32_t)left), n - (uint32_t)left};
        leave_block(core, block);
    }
    if (interrupt_due(core, count)) {
        if (interrupts_open(core))
            leave_block(core, block);
        core_fail(core, CORE_DIVERGED,
                  "at count %llu the log has interrupt %u, and the machine has interrupts off",
                  (unsigned long long)count, (unsigned)core->next_event.value);
        stop_at_block(core, block);
    }
    core->reason = CORE_TARGET;
    stop_at_block(core, block);
}

/* What core_run() can say without running. True: it is in core->reason. */
static bool reason_not_to_run(Core *core) {
    uint64_t count = core_count(core);

    if (core->failed)
        return true;
    if (count >= core->until) {
        core->reason = CORE_TARGET;
        return true;
    }
    if (core->mode == CORE_REPLAY) {
        replay_target(core);
        if (core->failed)
            return true;
        if (interrupt_due(core, count))
            return false;
        if (core->has_next_event && core->next_event.count <= count) {
            core->reason = CORE_EVENT;
            if (core->next_event.count < count)
                core_fail(core, CORE_DIVERGED, "count %llu is past the log's next event, %llu",
                          (unsigned long long)count, (unsigned long long)core->next_event.count);
            return true;
        }
    } else {
        core->target = core->until;
        CPU_INTERRUPT_REQUEST(core->cpu) |= core->interrupt_line ? CPU_INTERRUPT_HARD : 0;
    }
    if (atomic_load_explicit(&core->attention, memory_order_acquire) || !output_room(core))
        core->reason = CORE_ATTENTION;
    else if (core->mode == CORE_REPLAY && count >= core->horizon)
        core->reason = CORE_LOG_EMPTY;
    else if (!log_room(core))
        core->reason = CORE_LOG_FULL;
    else if (timer_is_due(core))
        core->reason = CORE_TIMER_DUE;
    else if (CPU_HALTED(core->cpu) && core->mode == CORE_REPLAY) {
        core_fail(core, CORE_DIVERGED, "the guest halted at count %llu, and in the log it goes on",
                  (unsigned long long)count);
        return true;
    } else if (CPU_HALTED(core->cpu) && !interrupt_takeable(core))
        core->reason = CORE_HALTED;
    else
        return false;
    return true;
}

static void enter_engine(Core *core) {
    refill(core, core_count(core));
    if (core->tail.instructions &&
        core->tail.pc == (uint32_t)(ENV_EIP(core->env) + ENV_SEGMENTS(core->env)[1].base))
        CPU_CFLAGS_NEXT_TB(core->cpu) = core->tail.instructions;
    core->tail.instructions = 0;
    core->stopping = false;
    uc_err error = uc_emu_start(core->uc, (uint32_t)ENV_EIP(core->env), 0, 0, 0);
    if (error != UC_ERR_OK)
        core_fail(core, CORE_ENGINE_ERROR, "the engine stopped at count %llu, EIP %#x: %s",
                  (unsigned long long)core_count(core), (uint32_t)ENV_EIP(core->env),
                  uc_strerror(error));
    else if (!core->stopping && !core->shutdown && !CPU_HALTED(core->cpu))
        core_fail(core, CORE_ENGINE_ERROR, "the engine stopped at count %llu for no reason",
                  (unsigned long long)core_count(core));
}

/* The guest halted. True: its timer is due, or something else may be. */
static bool slept(Core *core) {
    const uint64_t second_ns = 1000000000;
    struct pollfd wake = {core->wake_descriptor, POLLIN, 0}; /* one below 0 is passed over */
    uint64_t due_ns = core->timer_ns - (uint64_t)core->guest_offset_ns;

    if (core->timer_ns == UINT64_MAX || due_ns > core->sleep_until_ns || core->clock.simulated ||
        !(ENV_EFLAGS(core->env) & EFLAG_INTERRUPT))
        return false;
    clock_sync(&core->clock);
    if (due_ns <= core->clock.base_ns)
        return true;
    uint64_t left_ns = due_ns - core->clock.base_ns;
    struct timespec left = {(time_t)(left_ns / second_ns), (long)(left_ns % second_ns)};
    if (ppoll(&wake, 1, &left, NULL) > 0) {
        core->reason = CORE_ATTENTION;
        return false;
    }
    return true;
}

/*
 * Runs the guest until count `until`, exactly, or until there is another
 * reason to return. `deadline_ns` is in the host's monotonic time.
 */
CoreReason core_run(Core *core, uint64_t until, uint64_t deadline_ns) {
    Core *outer = core_running;

    core_running = core;
    core->hash_is_fresh = false;
    core->until = until;
    core->deadline_ns = deadline_ns;
    clock_sync(&core->clock);
    if (core->mode != CORE_REPLAY) /* whose runs are not those of the log */
        forget_clock_reading(core);
    while (!core->shutdown) {
        if (reason_not_to_run(core)) {
            if ((core->reason == CORE_HALTED && slept(core)) ||
                (core->reason == CORE_TIMER_DUE && core_tick(core)) ||
                (core->reason == CORE_EVENT && !core->failed && core_replay_tick(core)))
                continue;
            break;
        }
        enter_engine(core);
        apply_a20(core);
        if (core->stopping && core->reason != CORE_TARGET &&
            !(core->reason == CORE_TIMER_DUE && core_tick(core)))
            break;
    }
    if (core->shutdown)
        core->reason = CORE_SHUTDOWN;
    if (core->reason == CORE_ATTENTION)
        atomic_store_explicit(&core->attention, false, memory_order_release);
    core_running = outer;
    return core->reason;
}
