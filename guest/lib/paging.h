/*
 * Paging: 32-bit, two levels, 4 KiB and 4 MiB pages. Intel SDM vol. 3A
 * section 4.3. An entry of either level, figure 4-4:
 *
 *    31                  12 11   9 8 7  6 5 4   3   2   1   0
 *   | physical page address | free |G|PS|D|A|PCD|PWT|U/S|R/W|P|
 */
#pragma once

#include <stdint.h>

#include "cpu.h"

enum {
    PAGE_PRESENT = 1 << 0,
    PAGE_WRITABLE = 1 << 1,
    PAGE_USER = 1 << 2,
    PAGE_ACCESSED = 1 << 5, /* set by the processor at the first use */
    PAGE_DIRTY = 1 << 6,    /* set by the processor at the first write */
    PAGE_LARGE = 1 << 7,    /* in the directory: a 4 MiB page */

    PAGE_BYTES = 4096,
    LARGE_PAGE_BYTES = 4 << 20,
    PAGE_ENTRIES = 1024,
    IDENTITY_BYTES = 16 << 20,
};

/* A page fault's error code, Intel SDM vol. 3A figure 4-12. */
enum {
    FAULT_PROTECTION = 1 << 0, /* the page was present, but the access not allowed */
    FAULT_WRITE = 1 << 1,
    FAULT_USER = 1 << 2,
    FAULT_RESERVED = 1 << 3, /* a reserved bit of an entry was set */
};

struct address_space {
    uint32_t directory[PAGE_ENTRIES];
} __attribute__((aligned(PAGE_BYTES)));

/*
 * Make the first 16 MiB appear where they are, in 4 MiB pages, writable and for
 * the kernel only; everything else is not present.
 */
void space_init(struct address_space *space);

/* Translate by this space from now on; paging goes on if it was off. */
void space_enter(struct address_space *space);

/*
 * Map a 4 KiB page with the flags above; 0 unmaps it. Takes a page table from a
 * fixed pool if the address's 4 MiB has none, with every right in the directory
 * so that the page's own flags decide. The TLB forgets the page.
 */
void page_map(struct address_space *space, uint32_t address, const void *frame, uint32_t flags);

/* Map a 4 MiB page; `frame` is a multiple of 4 MiB. */
void page_map_large(struct address_space *space, uint32_t address, uint32_t frame, uint32_t flags);

/* The page table's entry for an address that page_map() was called for. */
uint32_t *page_entry(struct address_space *space, uint32_t address);

/* The directory's entry for an address. */
static inline uint32_t *directory_entry(struct address_space *space, uint32_t address) {
    return &space->directory[address / LARGE_PAGE_BYTES];
}
