/*
 * The start-up self-test: that every seam is in effect, that the count is
 * right, and that the engine's layout is the one of engine.h. A few hundred
 * instructions, run to known ends; nothing is trusted because it was written
 * down.
 */
#include "core.h"
#include "seam_links.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_BYTES = 1 << 20, CODE = 0x1000, DATA = 0x8000, STACK = 0x7000, IDT = 0x2000 };

typedef struct Probe {
    uint32_t port_reads, port_writes, last_value;
} Probe;

static uint32_t probe_read(void *handle, uint32_t port, uint32_t size) {
    Probe *probe = handle;

    (void)size;
    probe->port_reads++;
    return port;
}

static void probe_write(void *handle, uint32_t port, uint32_t size, uint32_t value) {
    Probe *probe = handle;

    (void)port;
    (void)size;
    probe->port_writes++;
    probe->last_value = value;
}

static int probe_acknowledge(void *handle) {
    (void)handle;
    return 0x20;
}

/*
 *  0  mov ecx, 3
 *  5  inc eax            three times round: 9 steps
 *  6  dec ecx
 *  7  jnz 5
 *  9  rdtsc
 *  b  rdrand ebx
 *  e  in al, 0x55
 * 10  out 0x66, al
 * 12  mov [DATA], eax
 * 17  mov ecx, 4
 * 1c  mov edi, DATA
 * 21  rep stosb          5 steps
 * 23  ud2                1 step, to the handler at 0x40
 * 25  sti
 * 26  nop                interrupt shadow
 * 27  nop                the interrupt is taken before this
 * 28  hlt
 * 40  add dword [esp], 2; iret       handler of #UD, 2 steps
 * 48  inc esi; iret                  handler of vector 0x20, 2 steps
 */
static const uint8_t program[] = {0xb9, 3,    0,    0,    0,    0x40, 0x49, 0x75, 0xfc, 0x0f, 0x31,
                                  0x0f, 0xc7, 0xf3, 0xe4, 0x55, 0xe6, 0x66, 0xa3, 0,    0x80, 0,
                                  0,    0xb9, 4,    0,    0,    0,    0xbf, 0,    0x80, 0,    0,
                                  0xf3, 0xaa, 0x0f, 0x0b, 0xfb, 0x90, 0x90, 0xf4};
static const uint8_t undefined_handler[] = {0x83, 0x04, 0x24, 0x02, 0xcf};
static const uint8_t interrupt_handler[] = {0x46, 0xcf};

/*
 *  0  mov eax, 7; xor ecx, ecx
 *  7  cpuid
 *  9  mov esi, ebx
 *  b  rdtscp
 *  e  xor ecx, ecx
 * 10  rdpmc                 1 step, to the handler of #UD, 2 steps
 * 12  mov eax, 0x7fffffff; inc eax
 * 18  into                  1 step, to the handler at 0x50, 1 step
 * 19  mov byte [SEAMS + 0x21], 0x5a
 * 20  mov bl, 0             overwritten: mov bl, 0x5a
 * 22  invlpg [DATA]
 * 29  mov ecx, 0x10         IA32_TIME_STAMP_COUNTER, which the engine has not
 * 2e  wrmsr; rdmsr
 * 32  mov edi, eax
 * 34  mov ecx, 0x174; mov eax, 8; wrmsr            IA32_SYSENTER_CS
 * 40  mov cl, 0x76; mov eax, SEAMS + 0x60; wrmsr   IA32_SYSENTER_EIP
 * 49  mov cl, 0x75; mov eax, STACK; wrmsr          IA32_SYSENTER_ESP
 * 52  sysenter
 * 60  mov eax, 8; mov cr4, eax    DE: breakpoints on ports
 * 68  mov al, 0x66; mov dr0, eax
 * 6d  mov eax, 0x20401; mov dr7, eax
 * 75  out 0x66, al          1 step, to the handler of #DB at 0x50, 1 step
 * 77  syscall               1 step, to the handler of #UD, 2 steps
 * 79  lidt [SEAMS + 0x100]  an empty table
 * 80  ud2                   to a triple fault
 */
enum { SEAMS = 0x4000, STEPS_SEAMS = 43 };
static const uint8_t seams_program[] = {
    0xb8, 7,    0,    0,    0,    0x31, 0xc9, 0xf,  0xa2, 0x89, 0xde, 0xf,  1,    0xf9, 0x31,
    0xc9, 0xf,  0x33, 0xb8, 0xff, 0xff, 0xff, 0x7f, 0x40, 0xce, 0xc6, 5,    0x21, 0x40, 0,
    0,    0x5a, 0xb3, 0,    0xf,  1,    0x3d, 0,    0x80, 0,    0,    0xb9, 0x10, 0,    0,
    0,    0xf,  0x30, 0xf,  0x32, 0x89, 0xc7, 0xb9, 0x74, 1,    0,    0,    0xb8, 8,    0,
    0,    0,    0xf,  0x30, 0xb1, 0x76, 0xb8, 0x60, 0x40, 0,    0,    0xf,  0x30, 0xb1, 0x75,
    0xb8, 0,    0x70, 0,    0,    0xf,  0x30, 0xf,  0x34, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 8,    0,    0,    0,    0xf,  0x22, 0xe0, 0xb0,
    0x66, 0xf,  0x23, 0xc0, 0xb8, 1,    4,    2,    0,    0xf,  0x23, 0xf8, 0xe6, 0x66, 0xf,
    5,    0xf,  1,    0x1d, 0,    0x41, 0,    0,    0xf,  0xb};
static const uint8_t overflow_handler[] = {0xcf};

/* Steps from the start to each of these points. */
enum {
    STEPS_LOOP_END = 1 + 9,
    STEPS_RDTSC = STEPS_LOOP_END,
    STEPS_UD2 = STEPS_LOOP_END + 2 + 2 + 1 + 2 + 5,
    STEPS_HLT = STEPS_UD2 + 1 + 2 + 2 + 2 + 1 + 1,
};

static void put_gate(uint8_t *idt, int vector, uint32_t handler) {
    const uint8_t gate[8] = {(uint8_t)handler,         (uint8_t)(handler >> 8), 8, 0, 0, 0x8e,
                             (uint8_t)(handler >> 16), (uint8_t)(handler >> 24)};

    memcpy(idt + 8 * vector, gate, sizeof gate);
}

static void load(Core *core, uint32_t entry) {
    /* null, flat code, flat data (Intel SDM vol. 3A §3.4.5) */
    static const uint8_t gdt[24] = {0, 0,    0,    0, 0,    0,    0, 0, 0xff, 0xff, 0,    0,
                                    0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0,    0x93, 0xcf, 0};
    uint8_t *ram = core_memory(core);
    CoreCpu cpu;

    memcpy(ram + CODE, program, sizeof program);
    memcpy(ram + CODE + 0x40, undefined_handler, sizeof undefined_handler);
    memcpy(ram + CODE + 0x48, interrupt_handler, sizeof interrupt_handler);
    memcpy(ram + 0x3000, gdt, sizeof gdt);
    memcpy(ram + CODE + 0x50, overflow_handler, sizeof overflow_handler);
    memcpy(ram + SEAMS, seams_program, sizeof seams_program);
    put_gate(ram + IDT, EXCEPTION_DB, CODE + 0x50);
    put_gate(ram + IDT, EXCEPTION_OF, CODE + 0x50);
    put_gate(ram + IDT, EXCEPTION_UD, CODE + 0x40);
    put_gate(ram + IDT, 0x20, CODE + 0x48);
    core_memory_written(core, 0, MEMORY_BYTES);

    core_get_cpu(core, &cpu);
    cpu.gdt = (CoreSegment){0, 0x3000, sizeof gdt - 1, 0};
    cpu.idt = (CoreSegment){0, IDT, 0x7ff, 0};
    cpu.segments[1] = (CoreSegment){8, 0, 0xffffffff, 0xcf9b00};
    for (int i = 0; i < 6; i++)
        if (i != 1)
            cpu.segments[i] = (CoreSegment){16, 0, 0xffffffff, 0xcf9300};
    cpu.gpr[4] = STACK;
    cpu.eip = entry;
    core_set_cpu(core, &cpu);
}

static int fail(char *error, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *error, size_t bytes, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, bytes, format, arguments);
    va_end(arguments);
    return -1;
}

static int run_to(Core *core, uint64_t count, char *error, size_t bytes) {
    CoreReason reason = core_run(core, count, UINT64_MAX);

    if (core->failed)
        return fail(error, bytes, "%s", core_error(core));
    if (reason != CORE_TARGET || core_count(core) != count)
        return fail(error, bytes, "a run to count %llu ended at %llu", (unsigned long long)count,
                    (unsigned long long)core_count(core));
    return 0;
}

#define EXPECT(condition, ...)                                                                     \
    if (!(condition))                                                                              \
    return fail(error, bytes, __VA_ARGS__)

static int test(Core *core, Probe *probe, char *error, size_t bytes) {
    CoreCpu cpu;

    for (const SeamLink *seam = seam_links; seam->name; seam++)
        EXPECT(seam->called == seam->ours, "the seam %s is not linked", seam->name);
    unsigned version = uc_version(NULL, NULL);
    EXPECT(version >> 8 == 0x020104, "the engine is Unicorn %u.%u.%u, not 2.1.4", version >> 24,
           version >> 16 & 0xff, version >> 8 & 0xff);
    load(core, CODE);
    core_set_mode(core, CORE_RECORD);
    if (run_to(core, 5, error, bytes)) /* in the middle of the loop's block */
        return -1;
    core_get_cpu(core, &cpu);
    EXPECT(cpu.eip == CODE + 6 && cpu.gpr[0] == 2 && cpu.gpr[1] == 2,
           "the stop at count 5 is not where it should be (EIP %#x)", cpu.eip);
    if (run_to(core, STEPS_UD2, error, bytes))
        return -1;
    core_get_cpu(core, &cpu);
    EXPECT(cpu.eip == CODE + 0x23, "REP is not counted by iterations (EIP %#x)", cpu.eip);
    EXPECT(probe->port_reads == 1 && probe->port_writes == 1 && probe->last_value == 0x55,
           "the port seam is not in effect");
    EXPECT(core->entries == 2, "the result seams are not in effect");
    EXPECT((cpu.eflags & ~EFLAGS_ARITHMETIC) == 2, "EFLAGS are not where they should be");
    uint64_t base_count = 0, base_time = 0;
    CoreEvent entry;
    int used =
        core_log_decode(core->log.bytes, core_log_pending(core), &base_count, &base_time, &entry);
    EXPECT(used > 0 && entry.kind == CORE_TSC && entry.count == STEPS_RDTSC,
           "RDTSC is logged at the wrong count");
    EXPECT((core->page_flags[DATA >> PAGE_SHIFT] & PAGE_DIRTY) &&
               (core->page_flags[CODE >> PAGE_SHIFT] & PAGE_EXECUTED) &&
               !(core->page_flags[DATA >> PAGE_SHIFT] & PAGE_EXECUTED),
           "the page seams are not in effect");

    core_set_interrupt_line(core, true);
    CoreReason reason = core_run(core, STEPS_HLT - 3, UINT64_MAX);
    EXPECT(reason == CORE_TARGET, "the interrupt seam is not in effect");
    core_set_interrupt_line(core, false);
    reason = core_run(core, UINT64_MAX, UINT64_MAX);
    core_get_cpu(core, &cpu);
    EXPECT(reason == CORE_HALTED && cpu.halted && cpu.gpr[6] == 1 && cpu.eip == CODE + 0x29,
           "the interrupt is not taken where it should be (EIP %#x, ESI %u)", cpu.eip, cpu.gpr[6]);
    EXPECT(core_count(core) == STEPS_HLT, "the count at HLT is %llu, not %d",
           (unsigned long long)core_count(core), STEPS_HLT);
    return 0;
}

/* The seams that the first program does not pass. */
static int test_seams(Core *core, char *error, size_t bytes) {
    CoreCpu cpu;

    load(core, SEAMS);
    core_set_mode(core, CORE_RECORD);
    CoreReason reason = core_run(core, UINT64_MAX, UINT64_MAX);
    core_get_cpu(core, &cpu);
    EXPECT(!core->failed, "%s", core_error(core));
    EXPECT(reason == CORE_SHUTDOWN, "the seam of the triple fault is not in effect");
    EXPECT(cpu.gpr[6] & 1u << 18, "the seam of CPUID is not in effect");
    EXPECT(core->entries == 1, "the seams of the time-stamp counter are not in effect");
    EXPECT(cpu.gpr[7] >> 31, "the seams of RDMSR and WRMSR are not in effect");
    EXPECT((cpu.gpr[3] & 0xff) == 0x5a, "a store into the running block is not seen");
    EXPECT(core_count(core) == STEPS_SEAMS,
           "the count behind RDPMC, INTO, a store into the running block, SYSENTER, a breakpoint "
           "on a port and SYSCALL is %llu, not %d",
           (unsigned long long)core_count(core), STEPS_SEAMS);
    EXPECT(core->code_tlb_generation > 2, "the seam of INVLPG is not in effect");
    return 0;
}

/* Runs the self-test; takes milliseconds. 0, or -1 and `error` says what is
 * wrong with this engine. */
int core_selftest(char *error, size_t error_bytes) {
    Probe probe = {0};
    CoreCallbacks callbacks = {probe_read, probe_write, probe_acknowledge};
    Core *core = core_new(MEMORY_BYTES, &probe, callbacks, error, error_bytes);

    if (!core)
        return -1;
    int result = test(core, &probe, error, error_bytes);
    core_free(core);
    if (result)
        return result;
    core = core_new(MEMORY_BYTES, &probe, callbacks, error, error_bytes);
    if (!core)
        return -1;
    result = test_seams(core, error, error_bytes);
    core_free(core);
    return result;
}
