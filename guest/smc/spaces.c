/* Code and addresses: two addresses of one page, two pages at one address. */
#include "smc.h"

#include "check.h"
#include "guest.h"

/* patches.S */
extern const uint8_t alias_code[], alias_code_operand[], alias_code_end[], calling_code[],
    calling_code_operand[], calling_code_end[];

#define ROUNDS 100
#define FIRST WINDOW
#define SECOND (WINDOW + 0x10000)

static struct address_space other;

static void check_aliases(void) {
    /* Three ways to one frame: two 4 KiB pages and the kernel's 4 MiB page. */
    const uint32_t ways[] = {FIRST, SECOND, (uint32_t)frames[0]};
    page_map(&space, FIRST, frames[0], WRITABLE);
    page_map(&space, SECOND, frames[0], WRITABLE);

    check_begin("code written through another address");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(ways[round % 3], round);
        for (uint32_t way = 0; way < 3; way++)
            expect("result", call(ways[way]), round);
    }
    check_end();

    check_begin("next instruction overwritten through another address");
    uint32_t operand = (uint32_t)(alias_code_operand - alias_code);
    memcpy(frames[0], alias_code, (size_t)(alias_code_end - alias_code));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t (*code)(uint32_t, uint32_t) = (uint32_t (*)(uint32_t, uint32_t))ways[round % 3];
        for (uint32_t way = 0; way < 3; way++) {
            uint32_t value = round * 3 + way;
            expect("result", code(ways[way] + operand, value), value);
        }
    }
    check_end();

    check_begin("code across pages written through another address");
    page_map(&space, FIRST, frames[3], WRITABLE);
    page_map(&space, FIRST + PAGE_BYTES, frames[1], WRITABLE);
    page_map(&space, SECOND, frames[3], WRITABLE);
    page_map(&space, SECOND + PAGE_BYTES, frames[1], WRITABLE);
    uint32_t offset = PAGE_BYTES - OPERAND - 2;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(SECOND + offset, round * 0x10001);
        expect("result", call(FIRST + offset), round * 0x10001);
        put_word(FIRST + offset + OPERAND, ~round);
        expect("result", call(SECOND + offset), ~round);
    }
    check_end();
    page_map(&space, FIRST + PAGE_BYTES, NULL, 0);
    page_map(&space, SECOND + PAGE_BYTES, NULL, 0);
}

static void check_same_address(void) {
    /* Each space shows a frame of its own at FIRST, and the other's at SECOND. */
    page_map(&space, FIRST, frames[4], WRITABLE);
    page_map(&space, SECOND, frames[5], WRITABLE);
    page_map(&other, FIRST, frames[5], WRITABLE);
    page_map(&other, SECOND, frames[4], WRITABLE);

    check_begin("same address, two address spaces");
    put_constant((uint32_t)frames[4], 1);
    put_constant((uint32_t)frames[5], 2);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        space_enter(&space);
        expect("result in one", call(FIRST), 1);
        space_enter(&other);
        expect("result in the other", call(FIRST), 2);
    }
    check_end();

    check_begin("same address, one space writes the other's code");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        space_enter(&space);
        put_constant(SECOND, round);
        expect("result in one", call(SECOND), round);
        space_enter(&other);
        expect("result in the other", call(FIRST), round);
        put_constant(SECOND, ~round);
        space_enter(&space);
        expect("result in one, written by the other", call(FIRST), ~round);
    }
    check_end();
}

static void check_remapped(void) {
    check_begin("page exchanged");
    for (uint32_t frame = 0; frame < 4; frame++)
        put_constant((uint32_t)frames[frame], frame);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        page_map(&space, FIRST, frames[round % 4], WRITABLE);
        expect("result", call(FIRST), round % 4);
    }
    check_end();
}

/* Called by calling_code, which does not lie where it did when this returns. */
static void exchange(void) { page_map(&space, FIRST, frames[1], WRITABLE); }

static void check_remapped_running(void) {
    check_begin("page exchanged under running code");
    size_t operand = (size_t)(calling_code_operand - calling_code);
    for (uint32_t frame = 0; frame < 2; frame++) {
        memcpy(frames[frame], calling_code, (size_t)(calling_code_end - calling_code));
        put_word((uint32_t)frames[frame] + operand, frame);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        page_map(&space, FIRST, frames[0], WRITABLE);
        expect("result", ((uint32_t (*)(void (*)(void)))FIRST)(exchange), 1);
    }
    check_end();
}

void check_spaces(void) {
    space_init(&other);
    check_aliases();
    check_same_address();
    check_remapped();
    check_remapped_running();
}
