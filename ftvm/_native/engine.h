/*
 * The engine, as far as we touch it: Unicorn 2.1.4's x86 target.
 *
 * The wheel ships the static library but no internal headers, so the few
 * fields that ftvm reads or writes are named here by their offset. The offsets
 * hold for exactly the pinned release; selftest.c proves each group of them at
 * start-up by what the engine does, and refuses to go on otherwise.
 *
 * Memory layout of one virtual CPU (all in one allocation):
 *
 *   X86CPU  +0        CPUState          the engine's run state, jump cache
 *           +33216    CPUTLB            just below the guest's registers
 *           +35408    CPUX86State       "env": in RBP while translated code runs
 */
#ifndef FTVM_ENGINE_H
#define FTVM_ENGINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unicorn/unicorn.h>

typedef struct EngineCpu EngineCpu;       /* CPUState */
typedef struct EngineEnv EngineEnv;       /* CPUX86State */
typedef struct EngineTb EngineTb;         /* TranslationBlock */
typedef struct EngineRegion EngineRegion; /* MemoryRegion */
typedef EngineRegion *(*EngineMapping)(uc_engine *uc, uint64_t physical);

#define ENGINE_FIELD(base, offset, type) (*(type *)((char *)(base) + (offset)))

/* uc_struct */
#define UC_MEMORY_MAPPING(uc) ENGINE_FIELD(uc, 288, EngineMapping)
#define UC_CPU(uc) ENGINE_FIELD(uc, 440, EngineCpu *)
#define UC_TCG(uc) ENGINE_FIELD(uc, 768, void *)
#define UC_NO_EXIT_REQUEST(uc) ENGINE_FIELD(uc, 2034, bool)

/* TCGContext */
#define TCG_CODE_BUFFER(tcg) ENGINE_FIELD(tcg, 160, uintptr_t)
#define TCG_CODE_BUFFER_BYTES(tcg) ENGINE_FIELD(tcg, 184, size_t)
#define TCG_CODE_POINTER(tcg) ENGINE_FIELD(tcg, 192, uint8_t *)

/* CPUState */
#define CPU_OF_ENV(env) ((EngineCpu *)((char *)(env) - 35408))
#define CPU_CFLAGS_NEXT_TB(cpu) ENGINE_FIELD(cpu, 24, uint32_t)
#define CPU_INTERRUPT_REQUEST(cpu) ENGINE_FIELD(cpu, 28, uint32_t)
#define CPU_ENV(cpu) ENGINE_FIELD(cpu, 296, EngineEnv *)
#define CPU_JUMP_CACHE(cpu) ((void **)((char *)(cpu) + 312))
#define CPU_MEM_IO_PC(cpu) ENGINE_FIELD(cpu, 33144, uintptr_t)
#define CPU_CLUSTER(cpu) ENGINE_FIELD(cpu, 33172, uint32_t)
#define CPU_HALTED(cpu) ENGINE_FIELD(cpu, 33176, uint32_t)
#define CPU_JUMP_CACHE_ENTRIES 4096
#define JUMP_CACHE_MIX(pc) ((pc) ^ (pc) >> 6)
#define JUMP_CACHE_INDEX(pc) ((JUMP_CACHE_MIX(pc) >> 6 & 0xfc0) | (JUMP_CACHE_MIX(pc) & 0x3f))
#define CPU_INTERRUPT_HARD 0x0002u

/* CPUTLB: what the MMU modes have each, and behind it their tables */
#define CPU_TLB_MODES(cpu) ((TlbMode *)((char *)(cpu) + 33248))
#define CPU_TLB_TABLES(cpu) ((TlbTable *)((char *)(cpu) + 35344))
#define TLB_MODES 3
#define TLB_VICTIMS 8
#define TLB_INVALID 0x800u   /* in an address: miss, and fill it again */
#define TLB_NOT_DIRTY 0x400u /* in `write`: look for translated code */

typedef struct TlbEntry {
    uint64_t read, write, code; /* the page, where allowed; else all ones */
    uint64_t physical;
    uint64_t addend; /* from linear to host address */
    uint64_t padding[3];
} TlbEntry;

typedef struct TlbIoEntry {
    uint64_t address; /* of the page in its region, less the linear one */
    uint32_t attributes, padding;
} TlbIoEntry;

typedef struct TlbMode {
    uint64_t large_page, large_mask;
    uint64_t sizing[3];
    size_t next_victim;
    TlbEntry victims[TLB_VICTIMS];
    TlbIoEntry victim_io[TLB_VICTIMS];
    TlbIoEntry *io;
} TlbMode;

typedef struct TlbTable {
    uintptr_t mask;
    TlbEntry *entries;
} TlbTable;

_Static_assert(sizeof(TlbEntry) == 64 && sizeof(TlbMode) == 696, "layout of the engine's TLB");

/* CPUX86State */
#define ENV_REGS(env) ((uint64_t *)(env))
#define ENV_EIP(env) ENGINE_FIELD(env, 128, uint64_t)
#define ENV_EFLAGS(env) ENGINE_FIELD(env, 136, uint64_t)
#define ENV_CC_DST(env) ENGINE_FIELD(env, 144, uint64_t)
#define ENV_CC_SRC(env) ENGINE_FIELD(env, 152, uint64_t)
#define ENV_CC_SRC2(env) ENGINE_FIELD(env, 160, uint64_t)
#define ENV_CC_OP(env) ENGINE_FIELD(env, 168, uint32_t)
#define ENV_DF(env) ENGINE_FIELD(env, 172, int32_t)
#define ENV_HFLAGS(env) ENGINE_FIELD(env, 176, uint32_t)
#define ENV_HFLAGS2(env) ENGINE_FIELD(env, 180, uint32_t)
#define ENV_SEGMENTS(env) ((EngineSegment *)((char *)(env) + 184)) /* ES CS SS DS FS GS */
#define ENV_LDT(env) ((EngineSegment *)((char *)(env) + 328))
#define ENV_TR(env) ((EngineSegment *)((char *)(env) + 352))
#define ENV_GDT(env) ((EngineSegment *)((char *)(env) + 376))
#define ENV_IDT(env) ((EngineSegment *)((char *)(env) + 400))
#define ENV_CR(env) ((uint64_t *)((char *)(env) + 424))
#define ENV_A20_MASK(env) ENGINE_FIELD(env, 496, int32_t)
#define ENV_EFER(env) ENGINE_FIELD(env, 592, uint64_t)
#define ENV_FPSTT(env) ENGINE_FIELD(env, 604, uint32_t)
#define ENV_FPUS(env) ENGINE_FIELD(env, 608, uint16_t)
#define ENV_FPUC(env) ENGINE_FIELD(env, 610, uint16_t)
#define ENV_FPTAGS(env) ((uint8_t *)(env) + 612)
#define ENV_FPREGS(env) ((uint8_t *)(env) + 624) /* 8 registers, 16 bytes apart */
#define ENV_FPOP(env) ENGINE_FIELD(env, 752, uint16_t)
#define ENV_FPIP(env) ENGINE_FIELD(env, 760, uint64_t)
#define ENV_FPDP(env) ENGINE_FIELD(env, 768, uint64_t)
#define ENV_FP_STATUS(env) ENGINE_FIELD(env, 776, uint64_t)
#define ENV_MMX_STATUS(env) ENGINE_FIELD(env, 800, uint64_t)
#define ENV_SSE_STATUS(env) ENGINE_FIELD(env, 808, uint64_t)
#define ENV_MXCSR(env) ENGINE_FIELD(env, 816, uint32_t)
#define ENV_XMM(env) ((uint8_t *)(env) + 824) /* registers 64 bytes apart */
#define ENV_SYSENTER_CS(env) ENGINE_FIELD(env, 4800, uint32_t)
#define ENV_SYSENTER_ESP(env) ENGINE_FIELD(env, 4808, uint64_t)
#define ENV_SYSENTER_EIP(env) ENGINE_FIELD(env, 4816, uint64_t)
#define ENV_TSC_AUX(env) ENGINE_FIELD(env, 4896, uint64_t)
#define ENV_XCR0(env) ENGINE_FIELD(env, 4904, uint64_t)
#define ENV_MISC_ENABLE(env) ENGINE_FIELD(env, 4920, uint64_t)
#define ENV_PAT(env) ENGINE_FIELD(env, 5280, uint64_t)
#define ENV_EXCEPTION_IS_INT(env) ENGINE_FIELD(env, 5388, int32_t)
#define ENV_DR(env) ((uint64_t *)((char *)(env) + 5400))
#define ENV_OLD_EXCEPTION(env) ENGINE_FIELD(env, 5496, int32_t)
#define ENV_CPUID_LEVEL(env) ENGINE_FIELD(env, 5604, uint32_t)
#define ENV_FEATURES(env) ((uint64_t *)((char *)(env) + 5632))

/*
 * R8 to R15 do not exist for a 32-bit guest, and the engine's CPU state has
 * room for them within reach of an 8-bit displacement from RBP. The last one
 * holds what is left of the instruction budget (blocks.c).
 */
#define ENV_BUDGET(env) ENGINE_FIELD(env, 120, int32_t)
#define ENV_BUDGET_DISPLACEMENT 120

/* Feature words, by their index in the engine's table (FEAT_*). */
enum { FEATURE_1_ECX = 1, FEATURE_8000_0001_EDX = 6 };

/* hflags and eflags bits */
enum {
    HFLAG_CPL = 3,
    HFLAG_INHIBIT_IRQ = 1 << 3,
    HFLAG_CODE32 = 1 << 4,
    HFLAG_STACK32 = 1 << 5,
    HFLAG_ADDSEG = 1 << 6,
    HFLAG_IO_BREAKPOINT = 1 << 24,
    EFLAG_CARRY = 1 << 0,
    EFLAG_INTERRUPT = 1 << 9,
    EFLAG_DIRECTION = 1 << 10,
    EFLAG_RESUME = 1 << 16,
    EFLAG_VM86 = 1 << 17,
};
#define EFLAGS_ARITHMETIC 0x8d5u
#define EFER_NXE (UINT64_C(1) << 11)
#define CC_OP_EFLAGS 1u

typedef struct EngineSegment {
    uint32_t selector;
    uint32_t padding;
    uint64_t base;
    uint32_t limit;
    uint32_t flags;
} EngineSegment;

/* TranslationBlock */
#define TB_PC(tb) ENGINE_FIELD(tb, 0, uint64_t)
#define TB_CS_BASE(tb) ENGINE_FIELD(tb, 8, uint64_t)
#define TB_GUEST_BYTES(tb) ENGINE_FIELD(tb, 20, uint16_t)
#define TB_INSTRUCTIONS(tb) ENGINE_FIELD(tb, 22, uint16_t)
#define TB_FLAGS(tb) ENGINE_FIELD(tb, 16, uint32_t)
#define TB_CFLAGS(tb) ENGINE_FIELD(tb, 24, uint32_t)
#define CFLAGS_COUNT 0x7fff /* instructions at most, 0 for no limit */
#define TB_CODE(tb) ENGINE_FIELD(tb, 32, uint8_t *)
#define TB_CODE_BYTES(tb) ENGINE_FIELD(tb, 40, size_t)
/* Physical, of its first and second page. */
#define TB_PAGES(tb) ((uint64_t *)((char *)(tb) + 72))

/* Translation: the functions for one target, and the context they work on */
typedef void EngineTranslateFn(void *context, EngineCpu *cpu);
typedef struct EngineTranslator {
    EngineTranslateFn *begin, *begin_block, *begin_instruction;
    bool (*is_breakpoint)(void *context, EngineCpu *cpu, const void *breakpoint);
    EngineTranslateFn *translate_instruction, *end_block, *sync_pc;
} EngineTranslator;
#define DISAS_PC_NEXT(context) ENGINE_FIELD(context, 16, uint64_t)
#define DISAS_IS_JUMP(context) ENGINE_FIELD(context, 24, int)
enum { DISAS_NEXT = 0, DISAS_TOO_MANY = 1 };

/* What QEMU calls an access, and what a page table entry allows. */
enum { ACCESS_LOAD = 0, ACCESS_STORE = 1, ACCESS_FETCH = 2 };
enum { PROT_PAGE_READ = 1, PROT_PAGE_WRITE = 2, PROT_PAGE_EXEC = 4 };
typedef uint32_t EngineMemAttrs;

/* Exceptions (Intel SDM vol. 3A table 6-1) and the engine's own. */
enum { EXCEPTION_DB = 1, EXCEPTION_OF = 4, EXCEPTION_UD = 6, EXCEPTION_GP = 13 };

/* Engine functions that are called, not replaced. */
EngineRegion *find_memory_mapping_x86_64(uc_engine *uc, uint64_t physical);
void x86_cpu_do_interrupt_x86_64(EngineCpu *cpu);
void do_interrupt_x86_hardirq_x86_64(EngineEnv *env, int vector, int is_hardware);
EngineTb *tcg_tb_lookup_x86_64(void *tcg, uintptr_t host_pc);
void tb_invalidate_phys_range_x86_64(uc_engine *uc, uint64_t start, uint64_t end);
bool __real_cpu_restore_state_x86_64(EngineCpu *cpu, uintptr_t host_pc, bool will_exit);
_Noreturn void raise_exception_err_ra_x86_64(EngineEnv *env, int vector, int error_code,
                                             uintptr_t host_pc);
void cpu_x86_cpuid_x86_64(EngineEnv *env, uint32_t leaf, uint32_t subleaf, uint32_t *eax,
                          uint32_t *ebx, uint32_t *ecx, uint32_t *edx);
void cpu_x86_update_dr7_x86_64(EngineEnv *env, uint32_t value);
uint64_t helper_read_eflags_x86_64(EngineEnv *env);
uint32_t cpu_ldub_code_x86_64(EngineEnv *env, uint64_t address);
uint64_t cpu_ldq_data_ra_x86_64(EngineEnv *env, uint64_t address, uintptr_t host_pc);
void cpu_stq_data_ra_x86_64(EngineEnv *env, uint64_t address, uint64_t value, uintptr_t host_pc);
uint32_t cpu_lduw_mmuidx_ra_x86_64(EngineEnv *env, uint64_t address, int mmu_index,
                                   uintptr_t host_pc);

#endif
