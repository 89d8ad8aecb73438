/*
 * Everything a program can ask a PC that has no answer known beforehand: the
 * time-stamp counter, the processor's random numbers, the clock of day, and how
 * far the timer has come.
 *
 * Option: n=N rounds (default 4).
 */
#include "cmos.h"
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "entropy";

/* CPUID feature bits, Intel SDM vol. 2A table 3-8. */
#define LEAF_1_EDX_TSC (1u << 4)
#define LEAF_1_ECX_RDRAND (1u << 30)
#define LEAF_7_EBX_RDSEED (1u << 18)
#define LEAF_EXTENDED_1 0x80000001u
#define LEAF_EXTENDED_1_EDX_RDTSCP (1u << 27)

/* As often as Intel SDM vol. 1 section 7.3.17 says to retry. */
#define RANDOM_TRIES 10

static bool rdrand(uint32_t *value) {
    bool valid;
    __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(valid));
    return valid;
}

static bool rdseed(uint32_t *value) {
    bool valid;
    __asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(valid));
    return valid;
}

static uint64_t rdtscp(void) {
    uint64_t value;
    __asm__ volatile("rdtscp" : "=A"(value) : : "ecx");
    return value;
}

static void print_random(const char *name, bool (*draw)(uint32_t *)) {
    uint32_t value;
    for (int i = 0; i < RANDOM_TRIES; i++) {
        if (draw(&value)) {
            print("%s 0x%08x\n", name, value);
            return;
        }
    }
    print("%s had nothing to give\n", name);
}

int guest_main(void) {
    uint32_t rounds = option_number("n", 4, 1, UINT32_MAX);
    print("entropy: %u rounds\n", rounds);

    uint32_t last_leaf = cpuid(0).eax;
    struct cpuid features = cpuid(1);
    bool has_tsc = features.edx & LEAF_1_EDX_TSC;
    bool has_rdrand = features.ecx & LEAF_1_ECX_RDRAND;
    bool has_rdseed = last_leaf >= 7 && cpuid(7).ebx & LEAF_7_EBX_RDSEED;
    bool has_rdtscp = cpuid(0x80000000u).eax >= LEAF_EXTENDED_1 &&
                      cpuid(LEAF_EXTENDED_1).edx & LEAF_EXTENDED_1_EDX_RDTSCP;

    pit_periodic(PIT_RATE_MIN);
    uint64_t before = has_tsc ? rdtsc() : 0;
    for (uint32_t round = 1; round <= rounds; round++) {
        print("round %u\n", round);
        if (has_tsc) {
            uint64_t now = rdtsc();
            print("tsc %llu, %llu later\n", now, now - before);
            before = now;
        }
        if (has_rdtscp)
            print("tscp %llu\n", rdtscp());
        if (has_rdrand)
            print_random("rdrand", rdrand);
        if (has_rdseed)
            print_random("rdseed", rdseed);
        struct date date = cmos_date();
        print("rtc %04u-%02u-%02u %02u:%02u:%02u\n", date.year, date.month, date.day, date.hour,
              date.minute, date.second);
        print("pit %u\n", pit_count());
    }
    print("entropy: done\n");
    return EXIT_OK;
}
