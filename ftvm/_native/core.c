/* One machine's engine: made, and taken apart. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LOG_BYTES = 4 << 20, CODE_BUFFER_BYTES = 128 << 20 };

/* What a page table entry can name (Intel SDM vol. 3A §4.4.2): 52 bits. */
#define PHYSICAL_BYTES (UINT64_C(1) << 52)

static void on_exception(uc_engine *uc, uint32_t vector, void *user) {
    Core *core = user;

    (void)uc;
    (void)vector;
    if (core->raising_host_pc)
        core_exception_leaves_block(core, core->raising_host_pc);
    core->raising_host_pc = 0;
    core->tail.instructions = 0;
    if (ENV_EXCEPTION_IS_INT(core->env))
        ENV_EIP(core->env) = core->interrupt_eip;
    x86_cpu_do_interrupt_x86_64(core->cpu);
}

/* The engine asks what to do of an invalid instruction; a PC raises #UD. */
static bool on_invalid_instruction(uc_engine *uc, void *user) {
    on_exception(uc, EXCEPTION_UD, user);
    return true;
}

static uc_err open_engine(Core *core, uint64_t memory_bytes) {
    uc_err error;
    uc_hook hook;

    if ((error = uc_open(UC_ARCH_X86, UC_MODE_32, &core->uc)) != UC_ERR_OK ||
        (error = uc_ctl_set_cpu_model(core->uc, UC_CPU_X86_QEMU32)) != UC_ERR_OK ||
        (error = uc_ctl_exits_enable(core->uc)) != UC_ERR_OK ||
        (error = uc_ctl_set_tcg_buffer_size(core->uc, CODE_BUFFER_BYTES)) != UC_ERR_OK ||
        (error = uc_mem_map_ptr(core->uc, 0, memory_bytes, UC_PROT_ALL, core->ram)) != UC_ERR_OK ||
        (error = uc_mmio_map(core->uc, memory_bytes, PHYSICAL_BYTES - memory_bytes,
                             device_memory_read, core, device_memory_write, core)) != UC_ERR_OK ||
        (error = uc_hook_add(core->uc, &hook, UC_HOOK_INTR, (void *)on_exception, core, 1, 0)) !=
            UC_ERR_OK ||
        (error = uc_hook_add(core->uc, &hook, UC_HOOK_INSN_INVALID, (void *)on_invalid_instruction,
                             core, 1, 0)) != UC_ERR_OK)
        return error;
    core->cpu = UC_CPU(core->uc);
    core->env = CPU_ENV(core->cpu);
    UC_NO_EXIT_REQUEST(core->uc) = true;
    if (UC_MEMORY_MAPPING(core->uc) != find_memory_mapping_x86_64)
        return UC_ERR_VERSION;
    core->ram_region = find_memory_mapping_x86_64(core->uc, 0);
    UC_MEMORY_MAPPING(core->uc) = memory_region;
    state_reset_features(core);
    return tlb_open(core);
}

static bool allocate(Core *core, uint64_t memory_bytes) {
    core->ram_pages = (uint32_t)(memory_bytes >> PAGE_SHIFT);
    core->log.capacity = LOG_BYTES;
    core->log.bytes = malloc(LOG_BYTES);
    core->page_flags = calloc(core->ram_pages, sizeof *core->page_flags);
    core->page_hashes = calloc(core->ram_pages, sizeof *core->page_hashes);
    core->code_tlb[0] = calloc(LINEAR_PAGES, sizeof(uint64_t));
    core->code_tlb[1] = calloc(LINEAR_PAGES, sizeof(uint64_t));
    core->ram = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (core->ram == MAP_FAILED)
        core->ram = NULL;
    return core->log.bytes && core->page_flags && core->page_hashes && core->code_tlb[0] &&
           core->code_tlb[1] && core->ram;
}

/* Makes a machine of `memory_bytes`, a multiple of the page size below 4 GiB.
 * NULL on failure; `error` says why. */
Core *core_new(uint64_t memory_bytes, void *handle, CoreCallbacks callbacks, char *error,
               size_t error_bytes) {
    Core *core = calloc(1, sizeof *core);

    if (!core || !allocate(core, memory_bytes)) {
        snprintf(error, error_bytes, "the host has no %llu MiB of memory for a guest",
                 (unsigned long long)(memory_bytes >> 20));
        core_free(core);
        return NULL;
    }
    core->handle = handle;
    core->callbacks = callbacks;
    clock_start(&core->clock);
    core->a20_wanted = -1;
    core->timer_ns = core->devices_ns = core->entry_stop = UINT64_MAX;
    core->wake_descriptor = -1;
    core->gather_ns = CORE_GATHER_NS;
    uc_err engine_error = open_engine(core, memory_bytes);
    if (engine_error != UC_ERR_OK) {
        snprintf(error, error_bytes, "the CPU engine does not start: %s",
                 uc_strerror(engine_error));
        core_free(core);
        return NULL;
    }
    core_set_guest_ns(core, 0);
    core_set_count(core, 0);
    return core;
}

void core_free(Core *core) {
    if (!core)
        return;
    if (core->uc)
        uc_close(core->uc);
    if (core->ram)
        munmap(core->ram, (size_t)core->ram_pages << PAGE_SHIFT);
    free(core->log.bytes);
    free(core->page_flags);
    free(core->page_hashes);
    free(core->code_tlb[0]);
    free(core->code_tlb[1]);
    free(core);
}

/* Where results come from. Replaying starts with an empty log; the next entry
 * goes on from the last one recorded or taken. */
void core_set_mode(Core *core, CoreMode mode) {
    uint64_t base_count, base_time;

    core_log_bases(core, &base_count, &base_time);
    core_set_log_bases(core, base_count, base_time);
    core->mode = mode;
    CPU_INTERRUPT_REQUEST(core->cpu) &= ~CPU_INTERRUPT_HARD;
    if (mode != CORE_REPLAY && core->interrupt_line)
        CPU_INTERRUPT_REQUEST(core->cpu) |= CPU_INTERRUPT_HARD;
    core->log.begin = core->log.end = core->scan = 0;
    core->has_next_event = false;
}
