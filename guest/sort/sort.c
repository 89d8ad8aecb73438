/*
 * Quicksort: a compute guest of recursion and branches that no predictor
 * guesses. It runs with paging on, in 4 KiB pages, so that its megabyte is also
 * 256 pages to be looked up.
 *
 * Options: size=N numbers of 4 bytes (default 262,144, which is also the most);
 * rounds=N (default 2).
 */
#include "guest.h"
#include "options.h"
#include "paging.h"
#include "print.h"

const char guest_name[] = "sort";

#define SIZE_MAX_NUMBERS 262144
#define ARRAY_ADDRESS 0x40000000u
#define INSERTION_LIMIT 12

static struct address_space space;
static uint32_t frames[SIZE_MAX_NUMBERS] __attribute__((aligned(PAGE_BYTES)));

/* Marsaglia's xorshift generator, "Xorshift RNGs" (2003), page 4. */
static uint32_t random_next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void insertion_sort(uint32_t *first, uint32_t *end) {
    for (uint32_t *next = first + 1; next < end; next++) {
        uint32_t value = *next, *hole = next;
        for (; hole > first && hole[-1] > value; hole--)
            *hole = hole[-1];
        *hole = value;
    }
}

/* Sort [first, end): Hoare's partition about the middle element. */
static void quicksort(uint32_t *first, uint32_t *end) {
    if (end - first <= INSERTION_LIMIT) {
        insertion_sort(first, end);
        return;
    }
    uint32_t pivot = first[(end - first) / 2];
    uint32_t *left = first - 1, *right = end;
    for (;;) {
        do
            left++;
        while (*left < pivot);
        do
            right--;
        while (*right > pivot);
        if (left >= right)
            break;
        uint32_t swapped = *left;
        *left = *right;
        *right = swapped;
    }
    /* With this partition everything up to `right` is at most the pivot. */
    uint32_t *middle = right + 1;
    if (middle == end)
        middle--;
    quicksort(first, middle);
    quicksort(middle, end);
}

/* Map the array page by page, in an order of frames that is not its own. */
static void map_array(void) {
    space_init(&space);
    uint32_t pages = sizeof frames / PAGE_BYTES;
    for (uint32_t page = 0; page < pages; page++)
        page_map(&space, ARRAY_ADDRESS + page * PAGE_BYTES,
                 (uint8_t *)frames + (pages - 1 - page) * PAGE_BYTES, PAGE_PRESENT | PAGE_WRITABLE);
    space_enter(&space);
}

int guest_main(void) {
    uint32_t size = option_number("size", SIZE_MAX_NUMBERS, 1, SIZE_MAX_NUMBERS);
    uint32_t rounds = option_number("rounds", 2, 1, UINT32_MAX);
    print("sort: %u numbers, %u rounds\n", size, rounds);

    map_array();
    uint32_t *numbers = (uint32_t *)ARRAY_ADDRESS;
    uint32_t state = 1, checksum = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < size; i++)
            numbers[i] = random_next(&state);
        quicksort(numbers, numbers + size);
        for (uint32_t i = 0; i < size; i++) {
            if (i > 0 && numbers[i - 1] > numbers[i]) {
                print("sort: FAIL, element %u is out of order\n", i);
                return EXIT_CHECK_FAILED;
            }
            checksum += numbers[i] * (i + 1);
        }
    }
    print("sort: least %u greatest %u checksum %u\n", numbers[0], numbers[size - 1], checksum);
    return EXIT_OK;
}
