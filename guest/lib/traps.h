/*
 * Traps: exceptions, interrupts and `int n`, brought into C with one frame for
 * all of them. Intel SDM vol. 3A chapter 6.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRAP_DIVIDE = 0,
    TRAP_DEBUG = 1,
    TRAP_BREAKPOINT = 3,
    TRAP_OVERFLOW = 4,
    TRAP_BOUND = 5,
    TRAP_INVALID_OPCODE = 6,
    TRAP_NO_DEVICE = 7,
    TRAP_DOUBLE_FAULT = 8,
    TRAP_NOT_PRESENT = 11,
    TRAP_STACK = 12,
    TRAP_PROTECTION = 13,
    TRAP_PAGE = 14,
    TRAP_EXCEPTIONS = 32, /* vectors below are the processor's */
    TRAP_SYSTEM_CALL = 0x80,
    TRAP_VECTORS = 256,
};

/*
 * What lies on the stack during a trap, lowest address first. traps.S pushes the
 * registers; the processor has pushed the rest, with user_esp and user_ss only
 * if the trap came out of ring 3.
 */
struct trap_frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp_here, ebx, edx, ecx, eax;
    uint32_t vector, error; /* error is 0 where the processor gives none */
    uint32_t eip, cs, eflags;
    uint32_t user_esp, user_ss;
};

typedef void (*trap_handler)(struct trap_frame *frame);

/* Fill and load the trap table. Every trap is unexpected at first. */
void traps_init(void);

/*
 * Call `handler` for a vector; NULL makes it unexpected again. When the handler
 * returns, the program goes on with whatever the frame then says.
 */
void trap_set(unsigned vector, trap_handler handler);

/* Let ring 3 raise a vector by `int n`. */
void trap_allow_user(unsigned vector);

/* Clear or set a gate's present bit. */
void trap_set_present(unsigned vector, bool present);

/* Let a vector switch to another task; NULL handler or not, it is not called. */
void trap_set_task(unsigned vector, uint16_t task_selector);

/* Make it an ordinary gate again. */
void trap_set_gate(unsigned vector);

/* Load the trap table with only its first `vectors` entries in force. */
void traps_load(unsigned vectors);
