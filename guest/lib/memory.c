/*
 * The four functions that GCC expects of any environment, even a freestanding
 * one. Copying and filling are one instruction on this processor.
 */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t count) {
    void *end = to;
    __asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    if ((uintptr_t)to - (uintptr_t)from >= count)
        return memcpy(to, from, count);
    /* The target begins inside the source: copy from the end downwards. */
    uint8_t *last_to = (uint8_t *)to + count - 1;
    const uint8_t *last_from = (const uint8_t *)from + count - 1;
    __asm__ volatile("std; rep movsb; cld"
                     : "+D"(last_to), "+S"(last_from), "+c"(count)
                     :
                     : "memory");
    return to;
}

void *memset(void *to, int byte, size_t count) {
    void *end = to;
    __asm__ volatile("rep stosb" : "+D"(end), "+c"(count) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t count) {
    const uint8_t *left = a, *right = b;
    for (size_t i = 0; i < count; i++)
        if (left[i] != right[i])
            return left[i] - right[i];
    return 0;
}
