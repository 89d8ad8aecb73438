/*
 * The seams: every place where the engine meets the host, or where we must
 * count, is one small function here.
 *
 * The linker (--wrap=SYMBOL, listed in CMakeLists.txt) makes the engine call
 * __wrap_SYMBOL instead of SYMBOL; ours may call __real_SYMBOL. Whatever is
 * more than a few lines is handed to the file that owns the subject.
 *
 * HOST_PC is where translated code called us: the engine finds block and
 * instruction by it. It is right only in the function that was called, so it
 * is handed on from there.
 */
#include "core.h"
#include "transcendental.h"

#include <string.h>
#include <sys/time.h>

#define HOST_PC ((uintptr_t)__builtin_return_address(0))
#define RETURN_ADDRESS_ADJUST 2

_Thread_local Core *core_running __attribute__((tls_model("initial-exec")));

/* --- blocks: count and stop ------------------------------------------------ */

EngineTb *__real_tb_gen_code_x86_64(EngineCpu *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags,
                                    int cflags);

/* A block has been translated: make it count itself. The engine clears RF at the
 * end of a block, a CPU behind the instruction (Intel SDM vol. 3B §17.3.1.1), and
 * how far a block reaches must not show: so with RF it has one instruction. */
EngineTb *__wrap_tb_gen_code_x86_64(EngineCpu *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags,
                                    int cflags) {
    if (flags & EFLAG_RESUME)
        cflags = (cflags & ~CFLAGS_COUNT) | 1;
    EngineTb *block = __real_tb_gen_code_x86_64(cpu, pc, cs_base, flags, cflags);

    if (!block_count(block, core_running))
        core_fail(core_running, CORE_ENGINE_ERROR,
                  "the block at %#llx does not start as the engine's blocks do",
                  (unsigned long long)pc);
    return block;
}

void __real_translator_loop_x86_64(const EngineTranslator *translator, void *context,
                                   EngineCpu *cpu, EngineTb *block, int instructions_max);

static void translate_instruction(void *context, EngineCpu *cpu) {
    Core *core = core_running;

    core->translate_instruction(context, cpu);
    if (DISAS_IS_JUMP(context) == DISAS_NEXT &&
        block_must_end_before(core, (uint32_t)DISAS_PC_NEXT(context)))
        DISAS_IS_JUMP(context) = DISAS_TOO_MANY;
}

/* The engine's loop over the instructions of a new block. */
void __wrap_translator_loop_x86_64(const EngineTranslator *translator, void *context,
                                   EngineCpu *cpu, EngineTb *block, int instructions_max) {
    EngineTranslator ours = *translator;

    core_running->translate_instruction = translator->translate_instruction;
    ours.translate_instruction = translate_instruction;
    __real_translator_loop_x86_64(&ours, context, cpu, block, instructions_max);
}

/* Called by a block whose budget ran out, before its first instruction; or by
 * one that does not count itself. */
void __wrap_helper_check_exit_request_x86_64(void *uc, uint32_t in_delay_slot) {
    (void)uc;
    (void)in_delay_slot;
    core_block_limit(core_running, tcg_tb_lookup_x86_64(UC_TCG(core_running->uc), HOST_PC));
}

/* An instruction in the middle of a block faults: what follows it in the block
 * was counted and does not run. */
bool __wrap_cpu_restore_state_x86_64(EngineCpu *cpu, uintptr_t host_pc, bool will_exit) {
    if (will_exit)
        core_exception_leaves_block(core_running, host_pc);
    bool found = __real_cpu_restore_state_x86_64(cpu, host_pc, will_exit);
    core_running->restored_block = NULL;
    return found;
}

void __real_restore_state_to_opc_x86_64(EngineEnv *env, EngineTb *block, uint64_t *data);

void __wrap_restore_state_to_opc_x86_64(EngineEnv *env, EngineTb *block, uint64_t *data) {
    core_running->restored_block = block;
    core_running->restored_pc = data[0];
    __real_restore_state_to_opc_x86_64(env, block, data);
    if (data[0] == TB_PC(block) && block_computed_flags(core_running, block))
        ENV_CC_OP(env) = CC_OP_EFLAGS;
}

_Noreturn void __real_cpu_loop_exit_noexc_x86_64(EngineCpu *cpu);

/* A store into the running block: the engine goes back to the instruction
 * before it stores, and runs it again alone. It was counted, it did not run. */
_Noreturn void __wrap_cpu_loop_exit_noexc_x86_64(EngineCpu *cpu) {
    Core *core = core_running;

    if (core->restored_block) {
        ENV_BUDGET(core->env) += (int32_t)block_rest_from(core->restored_block, core->restored_pc);
        core->restored_block = NULL;
        core->tail.instructions = 0;
    }
    __real_cpu_loop_exit_noexc_x86_64(cpu);
}

/* --- interrupts ------------------------------------------------------------ */

/* The engine asks between blocks while CPU_INTERRUPT_HARD is requested. */
bool __wrap_x86_cpu_exec_interrupt_x86_64(EngineCpu *cpu, int request) {
    (void)cpu;
    (void)request;
    return core_take_interrupt(core_running);
}

/* Triple fault (Intel SDM vol. 3A §6.15, interrupt 8). */
void __wrap_qemu_system_reset_request(uc_engine *uc) {
    (void)uc;
    core_running->shutdown = CORE_SHUTDOWN_TRIPLE_FAULT;
}

void *__real_helper_lookup_tb_ptr_x86_64(EngineEnv *env);

/* A return, or another jump to where only the guest knows: the block to go on
 * with. Nearly always the jump cache has it. */
void *__wrap_helper_lookup_tb_ptr_x86_64(EngineEnv *env) {
    const uint32_t eflags_in_flags = 0x73100, cflags_compared = 0xff0effff;
    EngineCpu *cpu = CPU_OF_ENV(env);
    uint64_t cs_base = ENV_SEGMENTS(env)[1].base, pc = ENV_EIP(env) + cs_base;
    uint32_t flags = ENV_HFLAGS(env) | (ENV_EFLAGS(env) & eflags_in_flags);
    EngineTb *block = CPU_JUMP_CACHE(cpu)[JUMP_CACHE_INDEX(pc)];

    if (__builtin_expect(block && TB_PC(block) == pc && TB_CS_BASE(block) == cs_base &&
                             TB_FLAGS(block) == flags &&
                             (TB_CFLAGS(block) & cflags_compared) == CPU_CLUSTER(cpu) << 24,
                         1))
        return TB_CODE(block);
    return __real_helper_lookup_tb_ptr_x86_64(env);
}

/* --- results ---------------------------------------------------------------- */

static void read_tsc(EngineEnv *env, uintptr_t host_pc) {
    if ((ENV_CR(env)[4] & 4) && (ENV_HFLAGS(env) & HFLAG_CPL)) /* CR4.TSD */
        raise_exception_err_ra_x86_64(env, EXCEPTION_GP, 0, host_pc);
    uint64_t value = core_tsc(core_running, host_pc);
    ENV_REGS(env)[0] = (uint32_t)value;
    ENV_REGS(env)[2] = value >> 32;
}

void __wrap_helper_rdtsc_x86_64(EngineEnv *env) { read_tsc(env, HOST_PC); }

void __wrap_helper_rdtscp_x86_64(EngineEnv *env) {
    read_tsc(env, HOST_PC);
    ENV_REGS(env)[1] = (uint32_t)ENV_TSC_AUX(env);
}

/* RDRAND and RDSEED: always ready, CF=1 and the other arithmetic flags 0. */
uint64_t __wrap_helper_rdrand_x86_64(EngineEnv *env) {
    ENV_CC_SRC(env) = EFLAG_CARRY;
    return core_result(core_running, CORE_RANDOM, HOST_PC);
}

void __real_helper_raise_interrupt_x86_64(EngineEnv *env, int vector, int next_eip_addend);
void __real_helper_into_x86_64(EngineEnv *env, int next_eip_addend);

/* INT n. Before it reports one, the engine moves EIP behind the instruction,
 * where a fault in the delivery itself (a gate that is not present) must not
 * see it; core.c moves it back. */
void __wrap_helper_raise_interrupt_x86_64(EngineEnv *env, int vector, int next_eip_addend) {
    core_running->interrupt_eip = ENV_EIP(env);
    __real_helper_raise_interrupt_x86_64(env, vector, next_eip_addend);
}

/* INTO does the same, and from inside its block, without telling where. */
void __wrap_helper_into_x86_64(EngineEnv *env, int next_eip_addend) {
    core_running->interrupt_eip = ENV_EIP(env);
    core_running->raising_host_pc = HOST_PC;
    __real_helper_into_x86_64(env, next_eip_addend);
    core_running->raising_host_pc = 0;
}

void __real_helper_bpt_io_x86_64(EngineEnv *env, uint32_t port, uint32_t size, uint64_t next_eip);

/* A breakpoint on a port: as INTO, behind its instruction. */
void __wrap_helper_bpt_io_x86_64(EngineEnv *env, uint32_t port, uint32_t size, uint64_t next_eip) {
    core_running->raising_host_pc = HOST_PC;
    __real_helper_bpt_io_x86_64(env, port, size, next_eip);
    core_running->raising_host_pc = 0;
}

/* QEMU resizes its TLB by host time, and what falls out of the TLB shows in
 * the accessed bits of the guest's page tables: the engine's time stands still. */
int __wrap_gettimeofday(struct timeval *tv, void *tz) {
    (void)tz;
    tv->tv_sec = 0;
    tv->tv_usec = 0;
    return 0;
}

/* --- the C library, whose last bits depend on the host (transcendental.c) --- */

double __wrap_sin(double x) { return exact_sin(x); }

double __wrap_cos(double x) { return exact_cos(x); }

void __wrap_sincos(double x, double *sine, double *cosine) {
    *sine = exact_sin(x);
    *cosine = exact_cos(x);
}

double __wrap_tan(double x) { return exact_tan(x); }

double __wrap_atan2(double y, double x) { return exact_atan2(y, x); }

double __wrap_log(double x) { return exact_log(x); }

/* F2XM1 is all that the engine raises anything for. */
double __wrap_pow(double base, double x) {
    if (base != 2)
        core_fail(core_running, CORE_ENGINE_ERROR, "the engine raises %g, and not 2", base);
    return exact_exp2(x);
}

/* --- instructions that the engine does otherwise than a CPU (instructions.c) --- */

void __wrap_helper_cmpxchg8b_unlocked_x86_64(EngineEnv *env, uint64_t address) {
    (void)env;
    do_cmpxchg8b(core_running, address, HOST_PC);
}

void __wrap_helper_sysenter_x86_64(EngineEnv *env, int next_eip_addend) {
    (void)env;
    (void)next_eip_addend;
    do_sysenter(core_running, HOST_PC);
}

/* SYSCALL is none outside 64-bit mode on the CPU that CPUID tells of. */
void __wrap_helper_syscall_x86_64(EngineEnv *env, int next_eip_addend) {
    (void)next_eip_addend;
    raise_exception_err_ra_x86_64(env, EXCEPTION_UD, 0, HOST_PC);
}

/* There are no performance counters: #UD, as the engine means to raise. */
void __wrap_helper_rdpmc_x86_64(EngineEnv *env) {
    raise_exception_err_ra_x86_64(env, EXCEPTION_UD, 0, HOST_PC);
}

void __wrap_helper_cpuid_x86_64(EngineEnv *env) {
    (void)env;
    do_cpuid(core_running);
}

void __wrap_helper_rdmsr_x86_64(EngineEnv *env) {
    (void)env;
    do_rdmsr(core_running, HOST_PC);
}

void __wrap_helper_wrmsr_x86_64(EngineEnv *env) {
    (void)env;
    do_wrmsr(core_running, HOST_PC);
}

/* --- ports ------------------------------------------------------------------ */

uint64_t __wrap_helper_inb_x86_64(EngineEnv *env, uint32_t port) {
    (void)env;
    return do_in(core_running, port, 1, HOST_PC);
}

uint64_t __wrap_helper_inw_x86_64(EngineEnv *env, uint32_t port) {
    (void)env;
    return do_in(core_running, port, 2, HOST_PC);
}

uint64_t __wrap_helper_inl_x86_64(EngineEnv *env, uint32_t port) {
    (void)env;
    return do_in(core_running, port, 4, HOST_PC);
}

void __wrap_helper_outb_x86_64(EngineEnv *env, uint32_t port, uint32_t value) {
    (void)env;
    do_out(core_running, port, 1, value, HOST_PC);
}

void __wrap_helper_outw_x86_64(EngineEnv *env, uint32_t port, uint32_t value) {
    (void)env;
    do_out(core_running, port, 2, value, HOST_PC);
}

void __wrap_helper_outl_x86_64(EngineEnv *env, uint32_t port, uint32_t value) {
    (void)env;
    do_out(core_running, port, 4, value, HOST_PC);
}

/* --- pages ------------------------------------------------------------------- */

bool __real_x86_cpu_tlb_fill_x86_64(EngineCpu *cpu, uint64_t address, int size, int access,
                                    int mmu_index, bool probe, uintptr_t host_pc);

bool __wrap_x86_cpu_tlb_fill_x86_64(EngineCpu *cpu, uint64_t address, int size, int access,
                                    int mmu_index, bool probe, uintptr_t host_pc) {
    core_running->fill_access = access;
    return __real_x86_cpu_tlb_fill_x86_64(cpu, address, size, access, mmu_index, probe, host_pc);
}

void __real_tlb_set_page_with_attrs_x86_64(EngineCpu *cpu, uint64_t linear, uint64_t physical,
                                           EngineMemAttrs attrs, int protection, int mmu_index,
                                           uint64_t size);

/* The one way into the TLB: a page gets EXEC only once it is fetched from (a
 * store to a page with EXEC is slow for ever), WRITE only once it is written. */
void __wrap_tlb_set_page_with_attrs_x86_64(EngineCpu *cpu, uint64_t linear, uint64_t physical,
                                           EngineMemAttrs attrs, int protection, int mmu_index,
                                           uint64_t size) {
    Core *core = core_running;
    bool newly_executed = false;
    bool watched = ENV_DR(core->env)[7] & 0xff;

    protection = memory_filter_fill(core, physical, protection, &newly_executed);
    if (newly_executed) /* entries of aliases would let writes by, past the translated code */
        tlb_empty(core);
    if (physical >> PAGE_SHIFT < core->ram_pages && size >= PAGE_BYTES && !watched) {
        tlb_fill(core, linear, physical, attrs, protection, mmu_index, size);
    } else {
        __real_tlb_set_page_with_attrs_x86_64(cpu, linear, physical, attrs, protection, mmu_index,
                                              size);
        tlb_note_fill(core, linear, mmu_index);
    }
}

void __real_tlb_flush_x86_64(EngineCpu *cpu);

void __wrap_tlb_flush_x86_64(EngineCpu *cpu) {
    if (core_running)
        tlb_empty(core_running);
    else /* while the engine is made, taken apart or given a state */
        __real_tlb_flush_x86_64(cpu);
}

void __real_tlb_flush_page_x86_64(EngineCpu *cpu, uint64_t address);

void __wrap_tlb_flush_page_x86_64(EngineCpu *cpu, uint64_t address) {
    if (core_running)
        tlb_forget_page(core_running, address);
    else
        __real_tlb_flush_page_x86_64(cpu, address);
}

/* A block was translated, and entries of its page must look for code again: in
 * ours, where a page has EXEC, they never stop. */
void __wrap_tlb_reset_dirty_by_vaddr_x86_64(EngineCpu *cpu, uint64_t address, uint64_t length) {
    (void)cpu;
    (void)address;
    (void)length;
}

void __real_x86_stl_phys_notdirty_x86_64(EngineCpu *cpu, uint64_t address, uint32_t value);

/* The page walk sets accessed and dirty bits past the TLB. */
void __wrap_x86_stl_phys_notdirty_x86_64(EngineCpu *cpu, uint64_t address, uint32_t value) {
    memory_mark_dirty(core_running, address, 4);
    __real_x86_stl_phys_notdirty_x86_64(cpu, address, value);
}

uint32_t __real_x86_ldl_phys_x86_64(EngineCpu *cpu, uint64_t address);

/* The page walk reads the guest's tables. */
uint32_t __wrap_x86_ldl_phys_x86_64(EngineCpu *cpu, uint64_t address) {
    const Core *core = core_running;
    uint32_t value;

    if (address >> PAGE_SHIFT >= core->ram_pages || address & 3)
        return __real_x86_ldl_phys_x86_64(cpu, address);
    memcpy(&value, core->ram + address, sizeof value);
    return value;
}

uint64_t __real_get_page_addr_code_x86_64(EngineEnv *env, uint64_t address);

/*
 * The engine looks a fetch up in the guest's TLB whenever it looks for a
 * block; how often it does depends on what is translated and chained already,
 * and so on where the machine was stopped before. A miss sets the accessed bit
 * and evicts another page: a guest could see it. So the first fetch from a
 * page after a flush goes through the TLB, and later ones by code_tlb: the
 * guest-visible lookups become a function of the guest's execution alone.
 */
static uint64_t fetch_address(EngineEnv *env, uint64_t address) {
    Core *core = core_running;
    uint64_t physical = code_tlb_find(core, address);

    if (physical == UINT64_MAX) {
        physical = __real_get_page_addr_code_x86_64(env, address);
        if (physical != UINT64_MAX)
            code_tlb_add(core, address, physical);
    }
    return physical;
}

uint64_t __wrap_get_page_addr_code_x86_64(EngineEnv *env, uint64_t address) {
    uint64_t physical = fetch_address(env, address);

    jump_cache_note(core_running, address);
    return physical;
}

/* Translation reads code past the TLB too, for the same reason. Where there is
 * no memory the bus floats high, and the guest gets #UD for it. */
uint32_t __wrap_cpu_ldub_code_x86_64(EngineEnv *env, uint64_t address) {
    uint64_t physical = fetch_address(env, address & 0xffffffff);

    return physical == UINT64_MAX ? 0xff : core_running->ram[physical];
}

uint32_t __wrap_cpu_lduw_code_x86_64(EngineEnv *env, uint64_t address) {
    return __wrap_cpu_ldub_code_x86_64(env, address) | __wrap_cpu_ldub_code_x86_64(env, address + 1)
                                                           << 8;
}

uint32_t __wrap_cpu_ldl_code_x86_64(EngineEnv *env, uint64_t address) {
    return __wrap_cpu_lduw_code_x86_64(env, address) | __wrap_cpu_lduw_code_x86_64(env, address + 2)
                                                           << 16;
}

uint64_t __wrap_cpu_ldq_code_x86_64(EngineEnv *env, uint64_t address) {
    return __wrap_cpu_ldl_code_x86_64(env, address) |
           (uint64_t)__wrap_cpu_ldl_code_x86_64(env, address + 4) << 32;
}
