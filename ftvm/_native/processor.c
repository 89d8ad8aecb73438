/*
 * What the processor says of itself, CPUID, and its model-specific registers.
 *
 * The processor is one of the P6 family. A model-specific register that it does
 * not have raises #GP (Intel SDM vol. 2B, RDMSR), by which kernels find out.
 * Numbers and bits are those of SDM vol. 4, tables 2-2 and 2-53, and AMD's of
 * TSC_AUX and EFER.
 */
#include "core.h"

/* --- CPUID --------------------------------------------------------------------- */

enum { RDSEED = 1u << 18, TSC_INVARIANT = 1u << 8, ADDRESS_BITS = 32 << 8 | 36 };
#define HYPERVISOR_LEAF 0x40000000u
#define EXTENDED_LEAF 0x80000000u
#define LAST_EXTENDED_LEAF 0x80000008u

static const uint32_t hypervisor_name = 'f' | 't' << 8 | 'v' << 16 | 'm' << 24;

typedef struct Leaf {
    uint32_t eax, ebx, ecx, edx;
} Leaf;

/* Leaves 15h and 16h: by these a kernel knows its clocks and need not measure. */
enum { CRYSTAL_HZ = 100000000, TSC_PER_CRYSTAL = 10, TSC_MHZ = 1000, CRYSTAL_MHZ = 100 };

static Leaf cpuid_leaf(EngineEnv *env, uint32_t leaf, uint32_t subleaf) {
    Leaf l = {0, 0, 0, 0};

    switch (leaf) {
    case 0x14: /* no tracing */
        return l;
    case 0x15:
        return (Leaf){1, TSC_PER_CRYSTAL, CRYSTAL_HZ, 0};
    case 0x16:
        return (Leaf){TSC_MHZ, TSC_MHZ, CRYSTAL_MHZ, 0};
    case EXTENDED_LEAF:
        return (Leaf){LAST_EXTENDED_LEAF, 0, 0, 0};
    case 0x80000007:
        return (Leaf){0, 0, 0, TSC_INVARIANT};
    case LAST_EXTENDED_LEAF:
        return (Leaf){ADDRESS_BITS, 0, 0, 0};
    case HYPERVISOR_LEAF: /* the last of these leaves, and who we are */
        return (Leaf){HYPERVISOR_LEAF, hypervisor_name, hypervisor_name, hypervisor_name};
    default:
        cpu_x86_cpuid_x86_64(env, leaf, subleaf, &l.eax, &l.ebx, &l.ecx, &l.edx);
        if (leaf == 7 && subleaf == 0)
            l.ebx |= RDSEED; /* which the engine decodes but does not list */
        return l;
    }
}

void do_cpuid(Core *core) {
    uint64_t *regs = ENV_REGS(core->env);
    Leaf leaf = cpuid_leaf(core->env, (uint32_t)regs[0], (uint32_t)regs[1]);

    regs[0] = leaf.eax;
    regs[3] = leaf.ebx;
    regs[1] = leaf.ecx;
    regs[2] = leaf.edx;
}

/* --- model-specific registers ---------------------------------------------------- */

enum {
    P5_MC_ADDR = 0x0,
    P5_MC_TYPE = 0x1,
    IA32_TIME_STAMP_COUNTER = 0x10,
    IA32_PLATFORM_ID = 0x17,
    IA32_APIC_BASE = 0x1b,
    EBL_CR_POWERON = 0x2a,
    IA32_BIOS_UPDT_TRIG = 0x79,
    IA32_BIOS_SIGN_ID = 0x8b,
    IA32_SYSENTER_CS = 0x174,
    IA32_SYSENTER_ESP = 0x175,
    IA32_SYSENTER_EIP = 0x176,
    IA32_DEBUGCTL = 0x1d9,
    IA32_MISC_ENABLE = 0x1a0,
    IA32_PAT = 0x277,
};
#define IA32_EFER 0xc0000080u
#define IA32_TSC_AUX 0xc0000103u
/* At 0xfee00000, on, of the processor that boots. */
#define APIC_BASE 0xfee00900u
#define MICROCODE_REVISION (UINT64_C(1) << 32)

/* Table 12-10: memory types 2, 3 and above 7 are reserved. */
static bool pat_is_possible(uint64_t value) {
    for (int i = 0; i < 8; i++, value >>= 8)
        if ((value & 0xff) > 7 || (value & 0xfe) == 2)
            return false;
    return true;
}

static bool read_msr(Core *core, uint32_t number, uint64_t *value, uintptr_t host_pc) {
    EngineEnv *env = core->env;

    switch (number) {
    case IA32_TIME_STAMP_COUNTER:
        *value = core_tsc(core, host_pc);
        return true;
    case IA32_SYSENTER_CS:
        *value = ENV_SYSENTER_CS(env);
        return true;
    case IA32_SYSENTER_ESP:
        *value = (uint32_t)ENV_SYSENTER_ESP(env);
        return true;
    case IA32_SYSENTER_EIP:
        *value = (uint32_t)ENV_SYSENTER_EIP(env);
        return true;
    case IA32_MISC_ENABLE:
        *value = ENV_MISC_ENABLE(env);
        return true;
    case IA32_PAT:
        *value = ENV_PAT(env);
        return true;
    case IA32_EFER:
        *value = ENV_EFER(env);
        return true;
    case IA32_TSC_AUX:
        *value = ENV_TSC_AUX(env);
        return true;
    case IA32_APIC_BASE:
        *value = APIC_BASE;
        return true;
    case IA32_BIOS_SIGN_ID:
        *value = MICROCODE_REVISION;
        return true;
    case P5_MC_ADDR: /* nothing went wrong, no platform, no options, nothing traced */
    case P5_MC_TYPE:
    case IA32_PLATFORM_ID:
    case EBL_CR_POWERON:
    case IA32_DEBUGCTL:
        *value = 0;
        return true;
    default:
        return false;
    }
}

static bool write_msr(Core *core, uint32_t number, uint64_t value, uintptr_t host_pc) {
    EngineEnv *env = core->env;

    switch (number) {
    case IA32_TIME_STAMP_COUNTER:
        core->tsc_offset += value - core_tsc(core, host_pc);
        return true;
    case IA32_SYSENTER_CS:
        ENV_SYSENTER_CS(env) = value & 0xffff;
        return true;
    case IA32_SYSENTER_ESP:
        ENV_SYSENTER_ESP(env) = (uint32_t)value;
        return true;
    case IA32_SYSENTER_EIP:
        ENV_SYSENTER_EIP(env) = (uint32_t)value;
        return true;
    case IA32_MISC_ENABLE:
        ENV_MISC_ENABLE(env) = value;
        return true;
    case IA32_PAT:
        if (!pat_is_possible(value))
            return false;
        ENV_PAT(env) = value;
        return true;
    case IA32_EFER: /* until NXE is set no page with its bit gets into the TLB */
        if (value & ~EFER_NXE)
            return false;
        if (ENV_EFER(env) & ~value)
            tlb_empty(core);
        ENV_EFER(env) = value;
        return true;
    case IA32_TSC_AUX:
        if (value > UINT32_MAX)
            return false;
        ENV_TSC_AUX(env) = (uint32_t)value;
        return true;
    case IA32_APIC_BASE: /* it can be neither moved nor switched off */
        return value == APIC_BASE;
    case P5_MC_ADDR:
    case P5_MC_TYPE:
    case EBL_CR_POWERON:
    case IA32_BIOS_UPDT_TRIG: /* no microcode to replace, no branches to trace */
    case IA32_BIOS_SIGN_ID:
    case IA32_DEBUGCTL:
        return true;
    default:
        return false;
    }
}

void do_rdmsr(Core *core, uintptr_t host_pc) {
    uint64_t *regs = ENV_REGS(core->env), value = 0;

    if (!read_msr(core, (uint32_t)regs[1], &value, host_pc))
        raise_exception_err_ra_x86_64(core->env, EXCEPTION_GP, 0, host_pc);
    regs[0] = (uint32_t)value;
    regs[2] = value >> 32;
}

void do_wrmsr(Core *core, uintptr_t host_pc) {
    uint64_t *regs = ENV_REGS(core->env);
    uint64_t value = (uint32_t)regs[0] | (uint64_t)(uint32_t)regs[2] << 32;

    if (!write_msr(core, (uint32_t)regs[1], value, host_pc))
        raise_exception_err_ra_x86_64(core->env, EXCEPTION_GP, 0, host_pc);
}
