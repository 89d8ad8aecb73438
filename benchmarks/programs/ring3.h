/* Ring 3 for programs that measure the way in and out of it: code and stack lie in the image. */
#pragma once

#include "cpu.h"
#include "guest.h"
#include "paging.h"
#include "segments.h"
#include "traps.h"

#define RING3_STACK_WORDS 1024
#define RING3_FLAGS (FLAG_FIXED | FLAG_INTERRUPT)

/* A system call: number and result in EAX. */
static inline uint32_t system_call(uint32_t number) {
    __asm__ volatile("int %1" : "+a"(number) : "i"(TRAP_SYSTEM_CALL) : "memory");
    return number;
}

/* An address space in which ring 3 may use all that the kernel may. */
static inline void ring3_space(struct address_space *space) {
    space_init(space);
    for (uint32_t address = 0; address < IDENTITY_BYTES; address += LARGE_PAGE_BYTES)
        *directory_entry(space, address) |= PAGE_USER;
}

/* Let ring 3 make system calls, and traps out of it have a stack. */
static inline void ring3_init(trap_handler system_calls) {
    static struct task_state task;
    static uint32_t trap_stack[1024];

    task_init(&task, trap_stack + 1024);
    trap_set(TRAP_SYSTEM_CALL, system_calls);
    trap_allow_user(TRAP_SYSTEM_CALL);
}

/* Go on in ring 3 at a function that never returns. */
static inline _Noreturn void ring3_enter(void (*function)(void), uint32_t *stack) {
    user_enter((uint32_t)function, (uint32_t)(stack + RING3_STACK_WORDS), RING3_FLAGS, 0, 0);
}
