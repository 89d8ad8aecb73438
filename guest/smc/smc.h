/* The checks of the `smc` guest, in groups, and what they share. */
#pragma once

#include "paging.h"

/* The groups, in the order in which they run; paging is on from the second. */
void check_rewritten(void);
void check_spaces(void);
void check_strings(void);

/*
 * Write a function `return value;` at an address: MOVL $value, %eax; RET. Its
 * operand is the four bytes from OPERAND on. Every byte is really stored, since
 * for all the compiler knows nobody ever reads them.
 */
enum {
    OPCODE_MOVL_EAX = 0xb8,
    OPCODE_INC_EDX = 0x42,
    OPCODE_INC_EAX = 0x40,
    OPCODE_NOP = 0x90,
    OPCODE_RET = 0xc3,
    OPERAND = 1,
    CONSTANT_BYTES = 6,
};

static inline void put_word(uint32_t address, uint32_t value) {
    *(volatile uint32_t *)address = value;
}

static inline void put_constant(uint32_t address, uint32_t value) {
    volatile uint8_t *code = (volatile uint8_t *)address;
    code[0] = OPCODE_MOVL_EAX;
    put_word(address + OPERAND, value);
    code[CONSTANT_BYTES - 1] = OPCODE_RET;
}

/* Call whatever code is at an address. */
static inline uint32_t call(uint32_t address) { return ((uint32_t (*)(void))address)(); }

/* Frames for code and data, and the space of the groups that need one. */
#define FRAMES 8
extern uint8_t frames[FRAMES][PAGE_BYTES];
extern struct address_space space;

/* A part of the space that belongs to whichever check runs. */
#define WINDOW 0x40000000u
#define WRITABLE (PAGE_PRESENT | PAGE_WRITABLE)
