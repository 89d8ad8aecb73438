/*
 * What a guest is: a name and a main function. The library brings it up with
 * console, interrupt controllers and trap table initialised, interrupts and
 * paging off, and every interrupt line masked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each guest defines these two. */
extern const char guest_name[];
int guest_main(void); /* returns the exit status, 0 to 255 */

/* Exit statuses. What went well is 0, as everywhere. */
enum {
    EXIT_OK = 0,
    EXIT_CHECK_FAILED = 1,
    EXIT_BAD_OPTION = 2,
    EXIT_UNEXPECTED_TRAP = 99,
};

/* Print everything that is still to be printed, then leave the machine. */
_Noreturn void guest_exit(uint8_t status);

/* The memory functions that the compiler may call by itself. */
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
int memcmp(const void *a, const void *b, size_t count);
