/*
 * Try something that may trap, and get to know what happened: the guest
 * programs' `try` and `catch`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traps.h"

/* What became of an attempt. */
struct outcome {
    bool trapped;            /* false: the probe returned, and the rest is zero */
    uint32_t cr2;            /* as the trap found it */
    uint32_t frame_address;  /* where on which stack the frame lay */
    struct trap_frame frame; /* a copy */
};

/*
 * Call probe(argument) until it returns or a trap is given up to attempt_end().
 * In the latter case everything the probe left on the stack is forgotten;
 * registers, flags and stack are those of the caller. Attempts do not nest.
 */
struct outcome attempt(void (*probe)(uint32_t argument), uint32_t argument);

/* The trap handler that ends the attempt; give it to trap_set(). */
_Noreturn void attempt_end(struct trap_frame *frame);
