/*
 * The processor: instructions that C has no words for, and the bits of the
 * registers they move. Intel SDM vol. 3A chapter 2 and vol. 2.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* EFLAGS, Intel SDM vol. 1 section 3.4.3. */
enum {
    FLAG_CARRY = 1 << 0,
    FLAG_FIXED = 1 << 1, /* always reads as one */
    FLAG_PARITY = 1 << 2,
    FLAG_ADJUST = 1 << 4,
    FLAG_ZERO = 1 << 6,
    FLAG_SIGN = 1 << 7,
    FLAG_TRAP = 1 << 8,
    FLAG_INTERRUPT = 1 << 9,
    FLAG_DIRECTION = 1 << 10,
    FLAG_OVERFLOW = 1 << 11,
    FLAG_IOPL_3 = 3 << 12,
    FLAGS_ARITHMETIC = FLAG_CARRY | FLAG_PARITY | FLAG_ADJUST | FLAG_ZERO | FLAG_SIGN |
        FLAG_OVERFLOW,
};

/* CR0 and CR4, Intel SDM vol. 3A section 2.5. */
#define CR0_TASK_SWITCHED 0x00000008u
#define CR0_WRITE_PROTECT 0x00010000u
#define CR0_PAGING 0x80000000u
#define CR4_LARGE_PAGES 0x00000010u

static inline uint8_t in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void interrupts_on(void) { __asm__ volatile("sti" : : : "memory"); }

static inline void interrupts_off(void) { __asm__ volatile("cli" : : : "memory"); }

/*
 * Sleep until the next interrupt. Call with interrupts off, after having looked
 * whether there is anything to do: STI lets nothing in before the instruction
 * behind it, so that no interrupt can slip between the look and the HLT.
 * Interrupts are off again when it returns.
 */
static inline void wait_for_interrupt(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

static inline uint32_t cr0_read(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}

static inline void cr0_write(uint32_t value) {
    __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory");
}

/* The address that the last page fault was about. */
static inline uint32_t cr2_read(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr2, %0" : "=r"(value));
    return value;
}

static inline uint32_t cr3_read(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}

/* Change the page directory; the TLB is emptied with it. */
static inline void cr3_write(uint32_t value) {
    __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint32_t cr4_read(void) {
    uint32_t value;
    __asm__ volatile("movl %%cr4, %0" : "=r"(value));
    return value;
}

static inline void cr4_write(uint32_t value) {
    __asm__ volatile("movl %0, %%cr4" : : "r"(value) : "memory");
}

/* Forget what the TLB knows of one page. */
static inline void invlpg(uint32_t address) {
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline uint64_t rdtsc(void) {
    uint64_t value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf) {
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(0));
    return r;
}
