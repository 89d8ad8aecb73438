/* The kinds of operation that stay within processor and memory. */
#include "storm.h"

#include "cpu.h"
#include "guest.h"

#define ARENA_BYTES 65536
#define ARENA_WORDS (ARENA_BYTES / 4)
#define STRING_MAX 512 /* elements */

/* arithmetic.S */
struct arithmetic_registers {
    uint32_t eax, ecx, edx, eflags;
};
struct arithmetic_operation {
    void (*run)(void);
    uint32_t defined_flags;
};
extern const struct arithmetic_operation arithmetic_operations[], arithmetic_operations_end[];
void arithmetic_run(struct arithmetic_registers *registers, void (*operation)(void));

static uint32_t arena[ARENA_WORDS];

/* A chain of instructions, each fed by the one before. */
void storm_arithmetic(void) {
    uint32_t count = (uint32_t)(arithmetic_operations_end - arithmetic_operations);
    struct arithmetic_registers r = {random_next(), random_next(), random_next(), 0};
    for (uint32_t left = 1 + random_below(16); left > 0; left--) {
        const struct arithmetic_operation *operation = &arithmetic_operations[random_below(count)];
        arithmetic_run(&r, operation->run);
        r.eflags &= operation->defined_flags;
        fold(r.eflags);
    }
    fold(r.eax);
    fold(r.ecx);
    fold(r.edx);
}

/* Read, mix and write, at even strides or wherever the words lead. */
void storm_memory_walk(void) {
    uint32_t at = random_below(ARENA_WORDS), stride = random_below(2048);
    bool follow = random_below(2);
    uint32_t value = 0;
    for (uint32_t left = 1 + random_below(200); left > 0; left--) {
        value += arena[at] ^ at;
        arena[at] = value * 2654435761u;
        at = (at + (follow ? value >> 7 : stride)) % ARENA_WORDS;
    }
    fold(value);
}

/* One repeated string instruction somewhere in the arena, up or down. */
void storm_string(void) {
    uint8_t *lowest = (uint8_t *)arena + STRING_MAX * 4;
    uint32_t room = ARENA_BYTES - 2 * STRING_MAX * 4;
    uint8_t *from_first = lowest + random_below(room), *from = from_first;
    uint8_t *to_first = lowest + random_below(room), *to = to_first;
    uint32_t count = random_below(STRING_MAX), value = random_next(), down = random_below(2);

#define REPEAT(instruction)                                                                        \
    __asm__ volatile("cmpl $0, %[down]; je 1f; std; 1: " instruction "; cld"                       \
                     : "+S"(from), "+D"(to), "+c"(count), "+a"(value)                              \
                     : [down] "r"(down)                                                            \
                     : "memory", "cc")
    switch (random_below(8)) {
    case 0:
        REPEAT("rep movsb");
        break;
    case 1:
        REPEAT("rep movsl");
        break;
    case 2:
        REPEAT("rep stosw");
        break;
    case 3:
        REPEAT("rep stosl");
        break;
    case 4:
        REPEAT("rep lodsb");
        break;
    case 5:
        REPEAT("repe cmpsb");
        break;
    case 6:
        REPEAT("repne scasb");
        break;
    default:
        REPEAT("repe scasl");
        break;
    }
#undef REPEAT
    fold(count);
    fold(value);
    fold((uint32_t)(from - from_first));
    fold((uint32_t)(to - to_first));
    fold(arena[random_below(ARENA_WORDS)]);
}

/*
 * A function made a moment ago, in a page that has held others before: MOV an
 * operand to EAX, then ADD and XOR some more, and return.
 */
#define CODE_SLOTS 64
#define SLOT_BYTES 64

enum {
    OPCODE_MOVL_EAX = 0xb8,
    OPCODE_ADDL_EAX = 0x05,
    OPCODE_XORL_EAX = 0x35,
    OPCODE_RET = 0xc3,
    INSTRUCTION_BYTES = 5, /* opcode and operand */
};

static uint8_t code[CODE_SLOTS * SLOT_BYTES] __attribute__((aligned(4096)));

void storm_code(void) {
    /* Volatile, since the compiler does not know that anybody reads code. */
    volatile uint8_t *slot = code + random_below(CODE_SLOTS) * SLOT_BYTES, *at = slot;
    uint8_t opcode = OPCODE_MOVL_EAX;
    for (uint32_t left = 1 + random_below(8); left > 0; left--) {
        *at = opcode;
        *(volatile uint32_t *)(at + 1) = random_next();
        at += INSTRUCTION_BYTES;
        opcode = random_below(2) ? OPCODE_ADDL_EAX : OPCODE_XORL_EAX;
    }
    *at = OPCODE_RET;
    fold(((uint32_t (*)(void))slot)());
}
