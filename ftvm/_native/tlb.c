/*
 * The engine's TLB, filled and emptied.
 *
 * The engine's own functions ask its memory map at each fill, mark each new
 * entry so that the first store through it looks for translated code, empty
 * whole tables, and resize them by how much of them was used and by host time.
 * Ours do what is left when all memory is one region, a page that was not executed
 * has no translated code (memory.c), and a table's size never changes:
 *
 *   table    one per MMU mode, direct-mapped: the page's number picks the entry
 *   victims  the eight entries that a table lost last, looked at on a miss
 *   fills    which entries were filled, so that emptying a table costs no more
 *            than filling it did
 *
 * What falls out of the TLB shows in the accessed bits of the guest's page
 * tables: all of this is a function of the guest's execution alone.
 *
 * Two caches stand behind the TLB. The code TLB has the first fetch from each
 * page since the TLB was emptied. The engine's jump cache has blocks by guest
 * address, and may know no page that the code TLB does not; each block that
 * enters it is looked up by page first, so that those are listed too.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum { TLB_ENTRIES = 4096, TLB_SIZE_MASK = (TLB_ENTRIES - 1) * sizeof(TlbEntry) };

static const uint64_t page_mask = ~(uint64_t)(PAGE_BYTES - 1);

static TlbMode *mode_of(Core *core, int mode) { return &CPU_TLB_MODES(core->cpu)[mode]; }

static TlbEntry *table_of(Core *core, int mode) { return CPU_TLB_TABLES(core->cpu)[mode].entries; }

static uint32_t index_of(uint64_t linear) { return (linear >> PAGE_SHIFT) % TLB_ENTRIES; }

/* Gives the engine tables of our size, once, in place of those it begins with. */
uc_err tlb_open(Core *core) {
    const uintptr_t first_mask = 255 * sizeof(TlbEntry);

    for (int mode = 0; mode < TLB_MODES; mode++) {
        TlbTable *table = &CPU_TLB_TABLES(core->cpu)[mode];
        if (table->mask != first_mask || mode_of(core, mode)->large_page != UINT64_MAX)
            return UC_ERR_VERSION;
        void *entries = realloc(table->entries, TLB_ENTRIES * sizeof(TlbEntry));
        if (entries)
            table->entries = entries;
        void *io = realloc(mode_of(core, mode)->io, TLB_ENTRIES * sizeof(TlbIoEntry));
        if (io)
            mode_of(core, mode)->io = io;
        if (!entries || !io)
            return UC_ERR_NOMEM;
        table->mask = TLB_SIZE_MASK;
        core->tlb_fills[mode].count = TLB_FILLS_LISTED + 1;
    }
    core->jumps.count = TLB_FILLS_LISTED + 1;
    tlb_empty(core);
    return UC_ERR_OK;
}

/* --- filling ------------------------------------------------------------------ */

static bool is_of_page(const TlbEntry *entry, uint64_t page) {
    const uint64_t bits = page_mask | TLB_INVALID;

    return (entry->read & bits) == page || (entry->write & bits) == page ||
           (entry->code & bits) == page;
}

static bool is_empty(const TlbEntry *entry) {
    return (entry->read & entry->write & entry->code) == UINT64_MAX;
}

static void forget_victim(TlbMode *mode, uint64_t page) {
    for (size_t i = 0; i < TLB_VICTIMS && i < mode->next_victim; i++)
        if (is_of_page(&mode->victims[i], page))
            memset(&mode->victims[i], -1, sizeof(TlbEntry));
}

/* There is no large page in the TLB; but where one was looked up, forgetting a
 * page forgets all. The region may cover more than the large pages in it. */
static void add_large_page(TlbMode *mode, uint64_t linear, uint64_t bytes) {
    uint64_t mask = ~(bytes - 1);

    if (mode->large_page == UINT64_MAX) {
        mode->large_page = linear;
    } else {
        mask &= mode->large_mask;
        while ((mode->large_page ^ linear) & mask)
            mask <<= 1;
    }
    mode->large_page &= mask;
    mode->large_mask = mask;
}

static void note(TlbFills *fills, uint32_t value) {
    if (fills->count < TLB_FILLS_LISTED)
        fills->listed[fills->count] = (uint16_t)value;
    if (fills->count <= TLB_FILLS_LISTED)
        fills->count++;
}

/* A page that the engine's own function put into the TLB. */
void tlb_note_fill(Core *core, uint64_t linear, int mode) {
    note(&core->tlb_fills[mode], index_of(linear));
}

/* Puts a page of memory into the TLB. */
void tlb_fill(Core *core, uint64_t linear, uint64_t physical, EngineMemAttrs attributes,
              int protection, int mode_index, uint64_t bytes) {
    TlbMode *mode = mode_of(core, mode_index);
    uint64_t page = linear & page_mask, frame = physical & page_mask;
    uint32_t index = index_of(page);
    TlbEntry *entry = &table_of(core, mode_index)[index];
    bool has_code = core->page_flags[frame >> PAGE_SHIFT] & PAGE_EXECUTED;
    uint64_t write = has_code ? page | TLB_NOT_DIRTY : page;

    if (bytes > PAGE_BYTES)
        add_large_page(mode, linear, bytes);
    forget_victim(mode, page);
    if (!is_empty(entry) && !is_of_page(entry, page)) {
        size_t victim = mode->next_victim++ % TLB_VICTIMS;
        mode->victims[victim] = *entry;
        mode->victim_io[victim] = mode->io[index];
    }
    mode->io[index] = (TlbIoEntry){frame - page, attributes, 0};
    entry->read = protection & PROT_PAGE_READ ? page : UINT64_MAX;
    entry->write = protection & PROT_PAGE_WRITE ? write : UINT64_MAX;
    entry->code = protection & PROT_PAGE_EXEC ? page : UINT64_MAX;
    entry->physical = frame;
    entry->addend = (uintptr_t)core->ram + frame - page;
    note(&core->tlb_fills[mode_index], index);
}

/* --- emptying ------------------------------------------------------------------ */

static void empty_mode(Core *core, int mode_index) {
    TlbMode *mode = mode_of(core, mode_index);
    TlbEntry *table = table_of(core, mode_index);
    TlbFills *fills = &core->tlb_fills[mode_index];

    if (fills->count > TLB_FILLS_LISTED)
        memset(table, -1, TLB_ENTRIES * sizeof *table);
    else
        for (uint32_t i = 0; i < fills->count; i++)
            memset(&table[fills->listed[i]], -1, sizeof *table);
    fills->count = 0;
    memset(mode->victims, -1, sizeof mode->victims);
    mode->next_victim = 0;
    mode->large_page = mode->large_mask = UINT64_MAX;
}

static void empty_jump_cache(Core *core) {
    TlbFills *jumps = &core->jumps;

    if (jumps->count > TLB_FILLS_LISTED)
        memset(CPU_JUMP_CACHE(core->cpu), 0, CPU_JUMP_CACHE_ENTRIES * sizeof(void *));
    else
        for (uint32_t i = 0; i < jumps->count; i++)
            CPU_JUMP_CACHE(core->cpu)[jumps->listed[i]] = NULL;
    jumps->count = 0;
}

static void empty_code_caches(Core *core) {
    core->code_tlb_generation++;
    empty_jump_cache(core);
}

void tlb_empty(Core *core) {
    for (int mode = 0; mode < TLB_MODES; mode++)
        empty_mode(core, mode);
    empty_code_caches(core);
}

/* INVLPG. The page may be part of a large one, so all cached fetches go. */
void tlb_forget_page(Core *core, uint64_t linear) {
    uint64_t page = linear & page_mask;

    for (int i = 0; i < TLB_MODES; i++) {
        TlbMode *mode = mode_of(core, i);
        TlbEntry *entry = &table_of(core, i)[index_of(page)];
        if ((page & mode->large_mask) == mode->large_page) {
            empty_mode(core, i);
            continue;
        }
        if (is_of_page(entry, page))
            memset(entry, -1, sizeof *entry);
        forget_victim(mode, page);
    }
    empty_code_caches(core);
}

/* --- fetches ------------------------------------------------------------------- */

static uint64_t *code_tlb_entry(Core *core, uint64_t linear) {
    bool user = (ENV_HFLAGS(core->env) & HFLAG_CPL) == 3;

    return &core->code_tlb[user][(uint32_t)linear >> PAGE_SHIFT];
}

/* Where a fetch from this page goes; UINT64_MAX if the TLB must be asked. */
uint64_t code_tlb_find(Core *core, uint64_t linear) {
    uint64_t known = *code_tlb_entry(core, linear);

    if (known / LINEAR_PAGES != core->code_tlb_generation)
        return UINT64_MAX;
    return known % LINEAR_PAGES << PAGE_SHIFT | (linear & (PAGE_BYTES - 1));
}

void code_tlb_add(Core *core, uint64_t linear, uint64_t physical) {
    *code_tlb_entry(core, linear) =
        core->code_tlb_generation * LINEAR_PAGES + (physical >> PAGE_SHIFT);
}

/* A block is looked up by its page; next, it is put into the jump cache. */
void jump_cache_note(Core *core, uint64_t pc) {
    note(&core->jumps, (uint32_t)JUMP_CACHE_INDEX(pc));
}
