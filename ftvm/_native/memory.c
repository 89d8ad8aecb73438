/*
 * Pages of guest memory: which were fetched from, which were written, and the
 * hash of all of them.
 *
 * The memory hash is the sum over all pages of mix(page number, page content),
 * modulo 2^64: the order of updates does not matter, so after a run only the
 * pages written since are hashed again. Both replicas clear their written-page
 * bits and flush their TLBs at the same instruction (core_synchronize), or the
 * accessed bits that the next walks set would differ. PAGE_TRANSLATED says what
 * the engine has, not what the guest did, and stays. PAGE_UNSENT is PAGE_DIRTY
 * for a state transfer, whose rounds are longer than the span between two digests.
 */
#include "core.h"

#include <string.h>

/* Stores to a page without EXEC do not look for code, so there must be none left
 * from before the page's bits were cleared. */
static void forget_translations(Core *core, uint64_t page) {
    if (!(core->page_flags[page] & PAGE_TRANSLATED))
        return;
    core->page_flags[page] &= ~PAGE_TRANSLATED;
    tb_invalidate_phys_range_x86_64(core->uc, page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT);
}

static void mark_dirty(Core *core, uint64_t page) {
    uint8_t *flags = &core->page_flags[page];

    core->hash_is_fresh = false;
    if (!(*flags & PAGE_DIRTY)) {
        core->dirtied_pages++;
        if (++core->dirty_pages == core->dirty_pages_max)
            core->deadline_ns = 0; /* this run's: it ends within a slice */
    }
    *flags |= PAGE_DIRTY | PAGE_UNSENT;
}

int memory_filter_fill(Core *core, uint64_t physical, int protection, bool *newly_executed) {
    uint64_t page = physical >> PAGE_SHIFT;

    if (page >= core->ram_pages)
        return protection;
    uint8_t *flags = &core->page_flags[page];
    if (core->fill_access == ACCESS_FETCH && !(*flags & PAGE_EXECUTED)) {
        *flags |= PAGE_EXECUTED | PAGE_TRANSLATED;
        *newly_executed = true;
    }
    if (core->fill_access == ACCESS_STORE)
        mark_dirty(core, page);
    if (!(*flags & PAGE_DIRTY))
        protection &= ~PROT_PAGE_WRITE;
    if (!(*flags & PAGE_EXECUTED)) {
        protection &= ~PROT_PAGE_EXEC;
        if (protection & PROT_PAGE_WRITE)
            forget_translations(core, page);
    }
    return protection;
}

void memory_mark_dirty(Core *core, uint64_t physical, uint64_t length) {
    if (!length)
        return;
    uint64_t last = (physical + length - 1) >> PAGE_SHIFT;
    for (uint64_t page = physical >> PAGE_SHIFT; page <= last && page < core->ram_pages; page++)
        mark_dirty(core, page);
}

/* The engine's own look-up, for every access that misses the TLB's fast path,
 * walks its memory map. */
EngineRegion *memory_region(uc_engine *uc, uint64_t physical) {
    const Core *core = core_running;

    if (core && physical >> PAGE_SHIFT < core->ram_pages)
        return core->ram_region;
    return find_memory_mapping_x86_64(uc, physical);
}

static uint64_t word_at(const uint8_t *bytes) {
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

enum { PREFETCH_BYTES = 1024 };

/* A page of zeros hashes to 0, and no other, so that untouched memory need not be read. The
 * four chains let the CPU multiply four at a time. */
static uint64_t hash_page(const uint8_t *bytes, uint64_t page) {
    const uint64_t k0 = 0x9e3779b97f4a7c15, k1 = 0xd1b54a32d192ed03, k2 = 0x8cb92ba72f3d8dd7;
    uint64_t a = k0, b = k1, c = k2, d = k0 ^ k1;

    if (bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0)
        return 0;
    for (size_t i = 0; i < PAGE_BYTES; i += 64) {
        const uint8_t *at = bytes + i;
        __builtin_prefetch(at + PREFETCH_BYTES); /* the CPU's own stops at a page's end */
        a = fold(a ^ word_at(at), word_at(at + 8) ^ k2) + i;
        b = fold(b ^ word_at(at + 16), word_at(at + 24) ^ k0) + i;
        c = fold(c ^ word_at(at + 32), word_at(at + 40) ^ k1) + i;
        d = fold(d ^ word_at(at + 48), word_at(at + 56) ^ k0) + i;
    }
    uint64_t hash = fold(fold(a ^ k0, b ^ k1) ^ page, fold(c ^ k1, d ^ k2) ^ k0);
    return hash ? hash : 1;
}

/* The next page written, from `page` on; ram_pages if there is none. */
static uint32_t next_dirty(const Core *core, uint32_t page) {
    const uint64_t eight_dirty = 0x0101010101010101 * PAGE_DIRTY;

    while (page < core->ram_pages && !(core->page_flags[page] & PAGE_DIRTY))
        if (page + 8 <= core->ram_pages && !(word_at(core->page_flags + page) & eight_dirty))
            page += 8;
        else
            page++;
    return page;
}

/* Hash of all memory, as of now; only pages written since core_synchronize() are
 * read, whose bits are left for it to clear, and none if nothing has run since. */
uint64_t core_hash_memory(Core *core) {
    if (core->hash_is_fresh)
        return core->memory_hash;
    for (uint32_t page = next_dirty(core, 0); page < core->ram_pages;
         page = next_dirty(core, page + 1)) {
        uint64_t hash = hash_page(core->ram + (size_t)page * PAGE_BYTES, page);
        core->memory_hash += hash - core->page_hashes[page];
        core->page_hashes[page] = hash;
    }
    core->hash_is_fresh = true;
    return core->memory_hash;
}

/* How many pages were written since the last core_synchronize(). */
uint32_t core_dirty_page_count(const Core *core) { return core->dirty_pages; }

/* The sum of that over all spans between two of them. */
uint64_t core_dirtied_pages(const Core *core) { return core->dirtied_pages; }

/* Makes core_run() return CORE_DEADLINE within a slice once there are so many: what
 * is to be hashed bounds how long the guest stands still for its digest. */
void core_set_dirty_pages_max(Core *core, uint32_t pages) { core->dirty_pages_max = pages; }

/* Numbers of the pages written since the last core_synchronize(). Returns how
 * many there are; at most `capacity` of them are stored. */
size_t core_dirty_pages(Core *core, uint32_t *pages, size_t capacity) {
    size_t found = 0;

    for (uint32_t page = next_dirty(core, 0); page < core->ram_pages;
         page = next_dirty(core, page + 1)) {
        if (found < capacity)
            pages[found] = page;
        found++;
    }
    return found;
}

/* The same of the pages that are not all zeros, as of the last hash. */
size_t core_used_pages(Core *core, uint32_t *pages, size_t capacity) {
    size_t found = 0;

    for (uint32_t page = 0; page < core->ram_pages; page++)
        if (core->page_hashes[page]) {
            if (found < capacity)
                pages[found] = page;
            found++;
        }
    return found;
}

/* How many pages were written since the last core_take_unsent(). */
size_t core_unsent_pages(const Core *core) {
    size_t found = 0;

    for (uint32_t page = 0; page < core->ram_pages; page++)
        found += !!(core->page_flags[page] & PAGE_UNSENT);
    return found;
}

/* Whether a page is one of them. */
bool core_is_unsent(const Core *core, uint32_t page) {
    return core->page_flags[page] & PAGE_UNSENT;
}

/* The pages written since it was called last: those with content and those that
 * are zeros, each list with room for all there are. Returns how many have content.
 * Only right behind core_synchronize(): the hashes are up to date, and every store
 * from here on passes memory_filter_fill(). */
size_t core_take_unsent(Core *core, uint32_t *pages, uint32_t *zeros, size_t *zero_count) {
    size_t found = 0;

    *zero_count = 0;
    for (uint32_t page = 0; page < core->ram_pages; page++) {
        if (!(core->page_flags[page] & PAGE_UNSENT))
            continue;
        core->page_flags[page] &= ~PAGE_UNSENT;
        if (core->page_hashes[page])
            pages[found++] = page;
        else
            zeros[(*zero_count)++] = page;
    }
    return found;
}

uint8_t *core_memory(Core *core) { return core->ram; }
