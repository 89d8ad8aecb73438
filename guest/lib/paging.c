#include "paging.h"

#include "guest.h"
#include "print.h"

enum {
    TABLES = 12,
    ADDRESS_MASK = ~(PAGE_BYTES - 1),
};

static uint32_t tables[TABLES][PAGE_ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static unsigned tables_used;

void space_init(struct address_space *space) {
    memset(space, 0, sizeof *space);
    for (uint32_t address = 0; address < IDENTITY_BYTES; address += LARGE_PAGE_BYTES)
        page_map_large(space, address, address, PAGE_PRESENT | PAGE_WRITABLE);
}

void space_enter(struct address_space *space) {
    cr4_write(cr4_read() | CR4_LARGE_PAGES);
    cr3_write((uint32_t)space);
    cr0_write(cr0_read() | CR0_PAGING | CR0_WRITE_PROTECT);
}

uint32_t *page_entry(struct address_space *space, uint32_t address) {
    uint32_t *table = (uint32_t *)(*directory_entry(space, address) & ADDRESS_MASK);
    return &table[address / PAGE_BYTES % PAGE_ENTRIES];
}

void page_map(struct address_space *space, uint32_t address, const void *frame, uint32_t flags) {
    uint32_t *directory = directory_entry(space, address);
    if (!*directory) {
        if (tables_used == TABLES) {
            print("%s: out of page tables\n", guest_name);
            guest_exit(EXIT_CHECK_FAILED);
        }
        uint32_t *table = tables[tables_used++];
        *directory = (uint32_t)table | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
    }
    *page_entry(space, address) = (uint32_t)frame | flags;
    invlpg(address);
}

void page_map_large(struct address_space *space, uint32_t address, uint32_t frame, uint32_t flags) {
    *directory_entry(space, address) = frame | flags | PAGE_LARGE;
    invlpg(address);
}
