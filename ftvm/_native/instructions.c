/*
 * Instructions that the engine leaves out, or does otherwise than the CPU it
 * tells the guest of. `host_pc` is where translated code called.
 */
#include "core.h"

#include <string.h>

/* The engine forgets to say which flags are not computed yet before it asks for
 * them here, and what they then are depends on where its block began. Otherwise
 * as in its mem_helper.c (Intel SDM vol. 2A, CMPXCHG8B). */
void do_cmpxchg8b(Core *core, uint64_t address, uintptr_t host_pc) {
    const uint64_t zero_flag = 1 << 6;
    EngineEnv *env = core->env;
    uint64_t *regs = ENV_REGS(env);

    __real_cpu_restore_state_x86_64(core->cpu, host_pc, false);
    core->restored_block = NULL;
    uint64_t flags = helper_read_eflags_x86_64(env) & EFLAGS_ARITHMETIC;
    uint64_t expected = (uint32_t)regs[0] | (uint64_t)(uint32_t)regs[2] << 32;
    uint64_t replacement = (uint32_t)regs[3] | (uint64_t)(uint32_t)regs[1] << 32;
    uint64_t found = cpu_ldq_data_ra_x86_64(env, address, host_pc);
    cpu_stq_data_ra_x86_64(env, address, found == expected ? replacement : found, host_pc);
    if (found != expected) {
        regs[0] = (uint32_t)found;
        regs[2] = found >> 32;
    }
    ENV_CC_SRC(env) = found == expected ? flags | zero_flag : flags & ~zero_flag;
}

/* The engine has only a hook in its place, and goes on somewhere in the block
 * (Intel SDM vol. 2B, SYSENTER). */
void do_sysenter(Core *core, uintptr_t host_pc) {
    const uint32_t descriptor_code = 0xc09b00, descriptor_data = 0xc09300; /* flat, 32 bits */
    EngineEnv *env = core->env;
    EngineSegment *segments = ENV_SEGMENTS(env);
    uint32_t selector = ENV_SYSENTER_CS(env) & 0xfffc;

    if (!selector)
        raise_exception_err_ra_x86_64(env, EXCEPTION_GP, 0, host_pc);
    segments[1] = (EngineSegment){selector, 0, 0, UINT32_MAX, descriptor_code};
    segments[2] = (EngineSegment){selector + 8, 0, 0, UINT32_MAX, descriptor_data};
    ENV_EFLAGS(env) &= ~(uint64_t)(EFLAG_VM86 | EFLAG_INTERRUPT);
    ENV_HFLAGS(env) &= ~(HFLAG_CPL | HFLAG_ADDSEG);
    ENV_HFLAGS(env) |= HFLAG_CODE32 | HFLAG_STACK32;
    if (segments[0].base | segments[3].base)
        ENV_HFLAGS(env) |= HFLAG_ADDSEG;
    ENV_REGS(env)[4] = (uint32_t)ENV_SYSENTER_ESP(env);
    ENV_EIP(env) = (uint32_t)ENV_SYSENTER_EIP(env);
}

/* Intel SDM vol. 1 §19.5.2: the bitmap in the TSS is asked when CPL > IOPL or
 * in virtual-8086 mode; all bits of the access must be clear. */
static void check_port(EngineEnv *env, uint32_t port, uint32_t size, uintptr_t host_pc) {
    const int kernel_mmu_index = 2;
    uint32_t cpl = ENV_HFLAGS(env) & HFLAG_CPL;
    uint32_t iopl = (ENV_EFLAGS(env) >> 12) & 3;

    if (!(ENV_CR(env)[0] & 1) || (cpl <= iopl && !(ENV_EFLAGS(env) & EFLAG_VM86)))
        return;
    EngineSegment *tss = ENV_TR(env);
    uint32_t type = (tss->flags >> 8) & 15;
    if ((tss->flags & 0x8000) && (type == 9 || type == 11) && tss->limit >= 103) {
        uint32_t map = cpu_lduw_mmuidx_ra_x86_64(env, tss->base + 0x66, kernel_mmu_index, host_pc);
        uint32_t at = map + port / 8;
        if (at + 1 <= tss->limit) {
            uint32_t bits =
                cpu_lduw_mmuidx_ra_x86_64(env, tss->base + at, kernel_mmu_index, host_pc);
            if (!((bits >> (port & 7)) & ((1u << size) - 1)))
                return;
        }
    }
    raise_exception_err_ra_x86_64(env, EXCEPTION_GP, 0, host_pc);
}

/* Whether an access moves a block of data, and does not end it. */
static inline bool moves_block(const CorePortBuffer *buffer, CorePortUse use, uint32_t port,
                               uint32_t size) {
    return buffer->use == use && port == buffer->port && size > 1 &&
           buffer->length - buffer->position > size;
}

CorePortBuffer *core_port_buffer(Core *core) { return &core->port_buffer; }

/* The device's answer; what is above `size` bytes of it is dropped. */
uint64_t do_in(Core *core, uint32_t port, uint32_t size, uintptr_t host_pc) {
    port &= 0xffff;
    check_port(core->env, port, size, host_pc);
    if (moves_block(&core->port_buffer, CORE_PORT_READ, port, size)) {
        uint32_t block = 0;
        memcpy(&block, core->port_buffer.bytes + core->port_buffer.position, size);
        core->port_buffer.position += size;
        return block;
    }
    core->port_host_pc = host_pc;
    uint32_t value = core_port_read(core, port, size);
    core->port_host_pc = 0;
    forget_clock_reading(core);
    return value & UINT32_MAX >> (32 - 8 * size);
}

void do_out(Core *core, uint32_t port, uint32_t size, uint32_t value, uintptr_t host_pc) {
    port &= 0xffff;
    value &= UINT32_MAX >> (32 - 8 * size);
    check_port(core->env, port, size, host_pc);
    if (moves_block(&core->port_buffer, CORE_PORT_WRITE, port, size)) {
        memcpy(core->port_buffer.bytes + core->port_buffer.position, &value, size);
        core->port_buffer.position += size;
        return;
    }
    core->port_host_pc = host_pc;
    core_port_write(core, port, size, value);
    core->port_host_pc = 0;
    forget_clock_reading(core);
    if (core->stop_after_port)
        core_leave_after_port(core, host_pc);
}
