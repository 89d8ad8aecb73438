/*
 * Computed jumps: an interpreter of a little stack machine, one jump through a
 * table for each of its instructions, as interpreted languages do it.
 *
 * Options: size=N times round the interpreted loop (default 200,000);
 * rounds=N (default 10).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "dispatch";

enum { PUSH, LOAD, STORE, ADD, MULTIPLY, XOR, SHIFT, SUBTRACT, JUMP_UNLESS_0, HALT };

/* do { b = (b * 1103515245 + 12345) ^ b >> 7; } while (--a); */
static const uint32_t code[] = {
    LOAD, 1,     PUSH, 1103515245,    MULTIPLY, PUSH, 12345, ADD,  LOAD, 1,        PUSH,
    7,    SHIFT, XOR,  STORE,         1,        LOAD, 0,     PUSH, 1,    SUBTRACT, STORE,
    0,    LOAD,  0,    JUMP_UNLESS_0, 0,        HALT,
};

static uint32_t interpret(uint32_t a, uint32_t b) {
    static const void *const table[] = {&&push, &&load,  &&store,    &&add,           &&multiply,
                                        &&xor,  &&shift, &&subtract, &&jump_unless_0, &&halt};
    uint32_t variables[2] = {a, b}, stack[8], *top = stack;
    const uint32_t *at = code;

#define NEXT goto *table[*at++]
    NEXT;
push:
    *top++ = *at++;
    NEXT;
load:
    *top++ = variables[*at++];
    NEXT;
store:
    variables[*at++] = *--top;
    NEXT;
add:
    top--;
    top[-1] += top[0];
    NEXT;
multiply:
    top--;
    top[-1] *= top[0];
    NEXT;
xor:
    top--;
    top[-1] ^= top[0];
    NEXT;
shift:
    top--;
    top[-1] >>= top[0];
    NEXT;
subtract:
    top--;
    top[-1] -= top[0];
    NEXT;
jump_unless_0:
    at = *--top ? code + *at : at + 1;
    NEXT;
halt:
    return variables[1];
#undef NEXT
}

int guest_main(void) {
    uint32_t size = option_number("size", 200000, 1, UINT32_MAX);
    uint32_t rounds = option_number("rounds", 10, 1, UINT32_MAX);
    uint32_t value = 1;

    for (uint32_t round = 0; round < rounds; round++)
        value = interpret(size, value);
    print("dispatch: %u times, %u rounds, value %u\n", size, rounds, value);
    return EXIT_OK;
}
