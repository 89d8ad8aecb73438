/* Code written over: by itself, by others, before it and behind it. */
#include "smc.h"

#include "check.h"
#include "guest.h"

/* patches.S */
uint32_t patch_next(uint32_t value);
uint32_t patch_next_by_stos(uint32_t opcode);
uint32_t patch_next_by_push(uint32_t opcodes);
uint32_t patch_loop(uint32_t count);
uint32_t patch_way_out(uint32_t count);
uint32_t count_beside(uint32_t count);

#define ROUNDS 200

static void check_own_next(void) {
    check_begin("next instruction overwritten by mov");
    for (uint32_t value = 0; value < ROUNDS; value++)
        expect("result", patch_next(value * 0x01010101), value * 0x01010101);
    check_end();

    check_begin("next instruction overwritten by rep stos");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        expect("result", patch_next_by_stos(OPCODE_INC_EDX), 4);
        expect("result", patch_next_by_stos(OPCODE_NOP), 0);
    }
    check_end();

    check_begin("next instruction overwritten by push");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        expect("result", patch_next_by_push(OPCODE_INC_EDX * 0x01010101u), 4);
        expect("result", patch_next_by_push(OPCODE_NOP * 0x01010101u), 0);
    }
    check_end();
}

static void check_loops(void) {
    check_begin("loop that changes its operand");
    expect("sum", patch_loop(1000), 1000 * 999 / 2);
    expect("sum", patch_loop(10), 10 * 9 / 2);
    check_end();

    check_begin("loop that removes its jump");
    for (uint32_t count = 1; count < 50; count++)
        expect("rounds", patch_way_out(count), count);
    check_end();

    check_begin("data between instructions");
    expect("word", count_beside(1000), 1000);
    check_end();
}

static void check_functions(void) {
    const uint32_t code = (uint32_t)frames[0];

    check_begin("function overwritten");
    for (uint32_t value = 0; value < ROUNDS; value++) {
        put_constant(code, value);
        expect("result", call(code), value);
    }
    check_end();

    check_begin("function overwritten by one byte");
    put_constant(code, 0);
    for (uint32_t value = 0; value < ROUNDS; value++) {
        *(volatile uint8_t *)(code + OPERAND) = (uint8_t)value;
        expect("result", call(code), value);
    }
    check_end();

    check_begin("one of two functions in a page overwritten");
    put_constant(code + 64, 4711);
    for (uint32_t value = 0; value < ROUNDS; value++) {
        put_constant(code, value);
        expect("result", call(code), value);
        expect("result of the other", call(code + 64), 4711);
    }
    check_end();

    check_begin("function across pages overwritten in each");
    const uint32_t boundary = (uint32_t)frames[1];
    put_constant(boundary - 3, 0); /* two bytes of the operand in each page */
    for (uint32_t value = 0; value < ROUNDS; value++) {
        *(volatile uint16_t *)boundary = (uint16_t)value;
        expect("result", call(boundary - 3), value << 16);
    }
    put_constant(boundary - 3, 0);
    for (uint32_t value = 0; value < ROUNDS; value++) {
        *(volatile uint16_t *)(boundary - 2) = (uint16_t)value;
        expect("result", call(boundary - 3), value);
    }
    check_end();

    check_begin("function made longer each time");
    volatile uint8_t *growing = frames[2];
    growing[0] = 0x31; /* XORL %eax, %eax */
    growing[1] = 0xc0;
    for (uint32_t length = 0; length < ROUNDS; length++) {
        growing[2 + length] = OPCODE_RET;
        expect("result", call((uint32_t)growing), length);
        growing[2 + length] = OPCODE_INC_EAX;
    }
    check_end();

    check_begin("function copied over another");
    const uint32_t copies = (uint32_t)frames[3];
    for (uint32_t i = 0; i < 4; i++)
        put_constant(copies + i * 16, i + 100);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memcpy(frames[0], (const void *)(copies + round % 4 * 16), CONSTANT_BYTES);
        expect("result", call(code), round % 4 + 100);
    }
    check_end();

    check_begin("page as code and as data by turns");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(code, round);
        expect("result", call(code), round);
        for (uint32_t i = 0; i < PAGE_BYTES; i += 256)
            put_word(code + i, round);
        expect("word", *(volatile uint32_t *)code, round);
    }
    check_end();
}

void check_rewritten(void) {
    check_own_next();
    check_loops();
    check_functions();
}
