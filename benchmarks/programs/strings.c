/*
 * String instructions: fill, copy, search and compare by REP. Each iteration of
 * a REP instruction is a step of its own.
 *
 * Options: size=N bytes (default 262,144, at most 1 MiB); rounds=N (default 48).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "strings";

#define SIZE_MAX_BYTES 1048576

static uint8_t from[SIZE_MAX_BYTES], to[SIZE_MAX_BYTES];

static void fill_words(void *at, uint32_t word, uint32_t words) {
    __asm__ volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(word) : "memory");
}

static void copy_words(void *target, const void *source, uint32_t words) {
    __asm__ volatile("rep movsl" : "+D"(target), "+S"(source), "+c"(words) : : "memory");
}

static uint32_t search(const void *in, uint8_t byte, uint32_t bytes) {
    uint32_t left = bytes;
    __asm__ volatile("repne scasb" : "+D"(in), "+c"(left) : "a"(byte) : "memory", "cc");
    return bytes - left;
}

static uint32_t compare(const void *one, const void *other, uint32_t bytes) {
    uint32_t left = bytes;
    __asm__ volatile("repe cmpsb" : "+S"(one), "+D"(other), "+c"(left) : : "memory", "cc");
    return bytes - left;
}

int guest_main(void) {
    uint32_t size = option_number("size", 262144, 16, SIZE_MAX_BYTES) & ~3u;
    uint32_t rounds = option_number("rounds", 48, 1, UINT32_MAX);
    uint32_t sum = 0;

    for (uint32_t round = 0; round < rounds; round++) {
        fill_words(from, round * 0x01010101u, size / 4);
        from[size - 1] = (uint8_t)~round;
        copy_words(to, from, size / 4);
        memcpy(to, from + 1, size / 2);
        sum += search(to, (uint8_t)~round, size);
        sum += compare(to, from, size);
    }
    print("strings: %u bytes, %u rounds, sum %u\n", size, rounds, sum);
    return EXIT_OK;
}
