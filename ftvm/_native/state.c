/*
 * The guest CPU's state as plain data, and back.
 *
 * Canonical: lazily kept condition codes are resolved into EFLAGS, and what
 * the engine keeps for itself between blocks is left out. What comes back is
 * bit-identical for the guest.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

/* RDRAND (and RDSEED with it), RDTSCP and pages that do not execute, which the
 * small CPU model lacks, and that there is a hypervisor; the level makes CPUID
 * tell of leaves up to that of the clocks. */
void state_reset_features(Core *core) {
    ENV_FEATURES(core->env)[FEATURE_1_ECX] |= 1u << 30 | 1u << 31;
    ENV_FEATURES(core->env)[FEATURE_8000_0001_EDX] |= 1u << 27 | 1u << 20;
    ENV_CPUID_LEVEL(core->env) = 0x16;
}

static CoreSegment get_segment(const EngineSegment *segment) {
    return (CoreSegment){segment->selector, (uint32_t)segment->base, segment->limit,
                         segment->flags};
}

static void set_segment(EngineSegment *segment, const CoreSegment *from) {
    *segment = (EngineSegment){from->selector, 0, from->base, from->limit, from->flags};
}

void core_get_cpu(const Core *core, CoreCpu *cpu) {
    EngineEnv *env = core->env;

    memset(cpu, 0, sizeof *cpu); /* no stray padding in a digest */
    for (int i = 0; i < 8; i++) {
        cpu->gpr[i] = (uint32_t)ENV_REGS(env)[i];
        cpu->dr[i] = (uint32_t)ENV_DR(env)[i];
        memcpy(cpu->fpregs[i], ENV_FPREGS(env) + 16 * i, 10);
        memcpy(cpu->xmm[i], ENV_XMM(env) + 64 * i, 16);
    }
    cpu->eip = (uint32_t)ENV_EIP(env);
    cpu->eflags = (uint32_t)helper_read_eflags_x86_64(env) | (ENV_EFLAGS(env) & 0x30000);
    cpu->hflags = ENV_HFLAGS(env);
    cpu->hflags2 = ENV_HFLAGS2(env);
    for (int i = 0; i < 6; i++)
        cpu->segments[i] = get_segment(&ENV_SEGMENTS(env)[i]);
    cpu->ldt = get_segment(ENV_LDT(env));
    cpu->tr = get_segment(ENV_TR(env));
    cpu->gdt = get_segment(ENV_GDT(env));
    cpu->idt = get_segment(ENV_IDT(env));
    for (int i = 0; i < 5; i++)
        cpu->cr[i] = (uint32_t)ENV_CR(env)[i];
    cpu->a20_mask = (uint32_t)ENV_A20_MASK(env);
    cpu->sysenter_cs = ENV_SYSENTER_CS(env);
    cpu->sysenter_esp = (uint32_t)ENV_SYSENTER_ESP(env);
    cpu->sysenter_eip = (uint32_t)ENV_SYSENTER_EIP(env);
    cpu->mxcsr = ENV_MXCSR(env);
    cpu->efer = ENV_EFER(env);
    cpu->tsc_aux = ENV_TSC_AUX(env);
    cpu->xcr0 = ENV_XCR0(env);
    cpu->misc_enable = ENV_MISC_ENABLE(env);
    cpu->pat = ENV_PAT(env);
    cpu->tsc_offset = core->tsc_offset;
    cpu->fpip = ENV_FPIP(env);
    cpu->fpdp = ENV_FPDP(env);
    cpu->fp_status = ENV_FP_STATUS(env);
    cpu->mmx_status = ENV_MMX_STATUS(env);
    cpu->sse_status = ENV_SSE_STATUS(env);
    cpu->fpus = ENV_FPUS(env);
    cpu->fpuc = ENV_FPUC(env);
    cpu->fpop = ENV_FPOP(env);
    cpu->fpstt = (uint16_t)ENV_FPSTT(env);
    memcpy(cpu->fptags, ENV_FPTAGS(env), 8);
    cpu->halted = CPU_HALTED(core->cpu);
    cpu->shutdown = core->shutdown;
    cpu->old_exception = ENV_OLD_EXCEPTION(env);
}

/* The engine's float_status: four bytes, then flags of 0 or 1. */
static bool float_status_is_possible(uint64_t status) {
    uint8_t rounding_mode = (uint8_t)(status >> 8), precision = (uint8_t)(status >> 24);

    return !(status & 0xfefefefe000000fe) && rounding_mode <= 3 &&
           (precision == 0 || precision == 32 || precision == 64 || precision == 80);
}

/* What the engine keeps of the state in hflags once more. ADDSEG may be set for
 * nothing: it stays after a switch to protected mode. */
static bool hflags_are_possible(const CoreCpu *cpu) {
    const uint32_t addseg = 1 << 6, descriptor_db = 1 << 22;
    bool protected_mode = cpu->cr[0] & 1, wide_code = cpu->segments[1].flags & descriptor_db;
    uint32_t bases = cpu->segments[0].base | cpu->segments[2].base | cpu->segments[3].base;
    uint32_t free = HFLAG_CPL | HFLAG_INHIBIT_IRQ | addseg | HFLAG_IO_BREAKPOINT;
    uint32_t fixed = (protected_mode ? 1u << 7 : 0) | (cpu->cr[0] & 0xe) << 8 |
                     (cpu->cr[4] & 1 << 9) << 13 | (wide_code ? 1u << 4 : 0) |
                     (cpu->segments[2].flags & descriptor_db ? 1u << 5 : 0);
    bool needs_addseg = !protected_mode || !wide_code || bases;

    return (cpu->hflags & ~free) == fixed && (!needs_addseg || cpu->hflags & addseg);
}

/* What a CPU can never have, and the engine would trip over; NULL if nothing. */
const char *core_cpu_fault(const CoreCpu *cpu) {
    const uint32_t eflags = 0x3f7fd7, cr0 = 0xe005003f, paging = UINT32_C(1) << 31;

    if (cpu->eflags & ~eflags || !(cpu->eflags & 2))
        return "EFLAGS has reserved bits";
    if (cpu->cr[0] & ~cr0 || cpu->cr[1] || ((cpu->cr[0] & paging) && !(cpu->cr[0] & 1)))
        return "the control registers contradict each other";
    if (!hflags_are_possible(cpu))
        return "hflags are not those of these segments and control registers";
    if (cpu->efer & ~EFER_NXE || (cpu->a20_mask | 1u << 20) != UINT32_MAX)
        return "EFER or A20 mask is not that of this CPU";
    if (cpu->fpstt > 7 || !float_status_is_possible(cpu->fp_status) ||
        !float_status_is_possible(cpu->mmx_status) || !float_status_is_possible(cpu->sse_status))
        return "the floating point state is impossible";
    for (int i = 0; i < 8; i++)
        if (cpu->fptags[i] > 1)
            return "the floating point tags are impossible";
    if (cpu->halted > 1 || cpu->shutdown > CORE_SHUTDOWN_RESET)
        return "halted or shutdown is none that there is";
    if (cpu->old_exception < -1 || cpu->old_exception > 31)
        return "the exception before this one does not exist";
    return NULL;
}

void core_set_cpu(Core *core, const CoreCpu *cpu) {
    EngineEnv *env = core->env;

    cpu_x86_update_dr7_x86_64(env, 0x400); /* drop the breakpoints armed so far */
    for (int i = 0; i < 8; i++) {
        ENV_REGS(env)[i] = cpu->gpr[i];
        ENV_DR(env)[i] = i == 7 ? 0x400 : cpu->dr[i];
        memcpy(ENV_FPREGS(env) + 16 * i, cpu->fpregs[i], 10);
        memcpy(ENV_XMM(env) + 64 * i, cpu->xmm[i], 16);
    }
    ENV_EIP(env) = cpu->eip;
    ENV_CC_SRC(env) = cpu->eflags & EFLAGS_ARITHMETIC;
    ENV_CC_DST(env) = ENV_CC_SRC2(env) = 0;
    ENV_CC_OP(env) = CC_OP_EFLAGS;
    ENV_DF(env) = cpu->eflags & EFLAG_DIRECTION ? -1 : 1;
    ENV_EFLAGS(env) = cpu->eflags; /* all of it: the engine starts from here */
    ENV_HFLAGS(env) = cpu->hflags;
    ENV_HFLAGS2(env) = cpu->hflags2;
    for (int i = 0; i < 6; i++)
        set_segment(&ENV_SEGMENTS(env)[i], &cpu->segments[i]);
    set_segment(ENV_LDT(env), &cpu->ldt);
    set_segment(ENV_TR(env), &cpu->tr);
    set_segment(ENV_GDT(env), &cpu->gdt);
    set_segment(ENV_IDT(env), &cpu->idt);
    for (int i = 0; i < 5; i++)
        ENV_CR(env)[i] = cpu->cr[i];
    ENV_A20_MASK(env) = core->a20_wanted = (int32_t)cpu->a20_mask;
    ENV_SYSENTER_CS(env) = cpu->sysenter_cs;
    ENV_SYSENTER_ESP(env) = cpu->sysenter_esp;
    ENV_SYSENTER_EIP(env) = cpu->sysenter_eip;
    ENV_MXCSR(env) = cpu->mxcsr;
    ENV_EFER(env) = cpu->efer;
    ENV_TSC_AUX(env) = cpu->tsc_aux;
    ENV_XCR0(env) = cpu->xcr0;
    ENV_MISC_ENABLE(env) = cpu->misc_enable;
    ENV_PAT(env) = cpu->pat;
    core->tsc_offset = cpu->tsc_offset;
    ENV_FPIP(env) = cpu->fpip;
    ENV_FPDP(env) = cpu->fpdp;
    ENV_FP_STATUS(env) = cpu->fp_status;
    ENV_MMX_STATUS(env) = cpu->mmx_status;
    ENV_SSE_STATUS(env) = cpu->sse_status;
    ENV_FPUS(env) = cpu->fpus;
    ENV_FPUC(env) = cpu->fpuc;
    ENV_FPOP(env) = cpu->fpop;
    ENV_FPSTT(env) = cpu->fpstt;
    memcpy(ENV_FPTAGS(env), cpu->fptags, 8);
    CPU_HALTED(core->cpu) = cpu->halted;
    core->shutdown = cpu->shutdown;
    ENV_OLD_EXCEPTION(env) = cpu->old_exception;
    cpu_x86_update_dr7_x86_64(env, cpu->dr[7]);
    core_synchronize(core);
}

/* Host writes to guest memory: hashed anew, and code made of it is dropped. */
void core_memory_written(Core *core, uint64_t address, uint64_t length) {
    memory_mark_dirty(core, address, length);
    if (length)
        tb_invalidate_phys_range_x86_64(core->uc, address, address + length);
}

/*
 * Makes what two replicas see from here on independent of what they did
 * before: written and executed pages start anew, the TLB is empty, and where the
 * last stop was in its block does not matter. To be called on both at the same
 * instruction count.
 */
void core_synchronize(Core *core) {
    core_hash_memory(core);
    core->tail.instructions = 0;
    for (uint32_t page = 0; page < core->ram_pages; page++)
        core->page_flags[page] &= PAGE_TRANSLATED | PAGE_UNSENT;
    core->dirty_pages = 0;
    tlb_empty(core);
}
