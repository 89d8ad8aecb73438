/*
 * Physical addresses without RAM: the pages of the APICs, whose accesses Python
 * answers in place, and a bus that floats.
 */
#include "core.h"
#include "interrupts.h"

static bool is_device(const Core *core, uint64_t address) {
    return core->interrupts && core == core_running && interrupts_own(address);
}

/* The engine says where translated code called, as it does for its own devices. */
static void enter_device(Core *core) { core->port_host_pc = CPU_MEM_IO_PC(core->cpu); }

static void leave_device(Core *core) {
    core->port_host_pc = 0;
    forget_clock_reading(core);
    core_follow_timers(core);
}

uint64_t device_memory_read(uc_engine *uc, uint64_t offset, unsigned size, void *user) {
    Core *core = user;
    uint64_t address = ((uint64_t)core->ram_pages << PAGE_SHIFT) + offset;

    (void)uc;
    if (!is_device(core, address))
        return UINT64_MAX;
    enter_device(core);
    uint32_t value = interrupts_read(core->interrupts, (uint32_t)address, size);
    leave_device(core);
    return value;
}

void device_memory_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value,
                         void *user) {
    Core *core = user;
    uint64_t address = ((uint64_t)core->ram_pages << PAGE_SHIFT) + offset;

    (void)uc;
    if (!is_device(core, address))
        return;
    enter_device(core);
    interrupts_write(core->interrupts, (uint32_t)address, size, (uint32_t)value);
    leave_device(core);
}
