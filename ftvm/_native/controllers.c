/*
 * A core with interrupt controllers: the ports that kernels touch all day, and
 * timers that come due.
 *
 * A kernel that sleeps wakes for each tick of its timer, so a tick of the 8254's or
 * the local APIC's is all done here, logged and replayed as any other timer event.
 * Which ticks are is a function of the machine's state: those that no other device's
 * timer is due with.
 */
#include "core.h"
#include "interrupts.h"

static void set_intr(void *user, bool level) { core_set_interrupt_line(user, level); }

static uint64_t read_clock(void *user) { return core_clock(user); }

/* From here on the guest's accesses are these controllers', and their INTR the CPU's. */
void core_attach_interrupts(Core *core, Interrupts *interrupts) {
    core->interrupts = interrupts;
    interrupts->wires = (InterruptWires){set_intr, read_clock, core};
}

enum { PIT_LINE = 0 };

static void set_pit_line(void *user, bool level) {
    Core *core = user;

    interrupts_set_line(core->interrupts, PIT_LINE, level);
}

/* The same for the interval timer, which needs them. */
void core_attach_pit(Core *core, Pit *pit) {
    core->pit = pit;
    pit->wires = (PitWires){set_pit_line, read_clock, core};
}

/* The vector of the interrupt that the CPU takes; -1 for none. */
int core_acknowledge(Core *core) {
    return core->interrupts ? interrupts_acknowledge(core->interrupts)
                            : core->callbacks.acknowledge(core->handle);
}

/* Accesses of other widths come over the bus, to the same registers. */
static bool is_pic(const Core *core, uint32_t port, uint32_t size) {
    return core->interrupts && size == 1 && (port & ~0x81u) == 0x20; /* 20-21, a0-a1 */
}

/* Kernels write here to wait a microsecond. */
static bool is_post(const Core *core, uint32_t port, uint32_t size) {
    return core->interrupts && size == 1 && port >= 0x80 && port < 0x80 + POST_PORTS;
}

/* ACPI specification 1.0b §4.7.3.3. */
static bool is_pm_timer(const Core *core, uint32_t port, uint32_t size) {
    return core->interrupts && size == 4 && port == 0x608;
}

static bool is_pit(const Core *core, uint32_t port, uint32_t size) {
    return core->pit && size == 1 && ((port & ~3u) == 0x40 || port == 0x61);
}

/* What it shows: 3.579545 MHz. */
uint32_t pm_timer(uint64_t guest_ns) {
    return (uint32_t)((unsigned __int128)guest_ns * 3579545 / 1000000000);
}

/* The sixteen bytes at ports 0x80 to 0x8f. */
uint8_t *core_post(Core *core) { return core->post; }

uint32_t core_port_read(Core *core, uint32_t port, uint32_t size) {
    uint32_t offset;
    Uart *uart = serial_at(core, port, size, &offset);

    if (uart)
        return uart_read(uart, offset);
    if (is_pit(core, port, size)) {
        uint32_t value = pit_read(core->pit, port);
        core_follow_timers(core);
        return value;
    }
    if (is_pm_timer(core, port, size))
        return pm_timer(core_clock(core));
    if (!is_pic(core, port, size)) {
        mind_stall(core);
        return core->callbacks.port_read(core->handle, port, size);
    }
    uint32_t value = pic_read(&core->interrupts->pic, port);
    interrupts_follow_pic(core->interrupts);
    return value;
}

void core_port_write(Core *core, uint32_t port, uint32_t size, uint32_t value) {
    uint32_t offset;
    Uart *uart = serial_at(core, port, size, &offset);

    if (uart) {
        uart_write(uart, offset, (uint8_t)value);
    } else if (is_post(core, port, size)) {
        core->post[port & (POST_PORTS - 1)] = (uint8_t)value;
    } else if (is_pic(core, port, size)) {
        pic_write(&core->interrupts->pic, port, (uint8_t)value);
        interrupts_follow_pic(core->interrupts);
    } else if (is_pit(core, port, size)) {
        pit_write(core->pit, port, (uint8_t)value);
        core_follow_timers(core);
    } else {
        mind_stall(core);
        core->callbacks.port_write(core->handle, port, size, value);
    }
}

/* --- timers ---------------------------------------------------------------------- */

static uint64_t earlier(uint64_t one_ns, uint64_t other_ns) {
    return one_ns < other_ns ? one_ns : other_ns;
}

/* Behind whatever may have moved the timers that are ours. */
void core_follow_timers(Core *core) {
    core->timer_ns = core->devices_ns;
    if (core->interrupts)
        core->timer_ns = earlier(core->timer_ns, interrupts_deadline(core->interrupts));
    if (core->pit)
        core->timer_ns = earlier(core->timer_ns, pit_deadline(core->pit));
}

/* Guest time at which a device of Python's wants to act next; UINT64_MAX for never.
 * From then on core_run() returns CORE_TIMER_DUE. */
void core_set_timer(Core *core, uint64_t guest_ns) {
    core->devices_ns = guest_ns;
    core_follow_timers(core);
}

/* When the next timer of all is due; UINT64_MAX for never. */
uint64_t core_timer(const Core *core) { return core->timer_ns; }

static bool is_ours(const Core *core, uint64_t now_ns) {
    return core->interrupts && core->devices_ns > now_ns;
}

static void advance(Core *core, uint64_t now_ns) {
    if (core->pit)
        pit_advance(core->pit, now_ns);
    interrupts_advance(core->interrupts, now_ns);
    core_follow_timers(core);
}

/* Live, a timer is due. True: it was one of ours alone, and that is done. */
bool core_tick(Core *core) {
    uint64_t now_ns = core->last_time_ns; /* by which it was seen to be due */

    if (!is_ours(core, now_ns) || !core_log_event(core, CORE_TIMER, now_ns, NULL, 0))
        return false;
    advance(core, now_ns);
    return true;
}

/* The same of the log's next event. */
bool core_replay_tick(Core *core) {
    CoreEvent event = core->next_event;

    if (event.kind != CORE_TIMER || !is_ours(core, event.value) ||
        !core_next_event(core, &event, NULL, 0))
        return false;
    advance(core, event.value);
    return true;
}
