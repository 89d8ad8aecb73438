/* Paging in ring 0: what faults, with which error code, and what A and D say. */
#include "faults.h"

#include "check.h"
#include "cpu.h"
#include "guest.h"

#define PRESENT PAGE_PRESENT
#define WRITABLE (PAGE_PRESENT | PAGE_WRITABLE)
#define NEXT (WINDOW + PAGE_BYTES)

/* A 4 MiB window, and the 4 MiB it shows: the first, where our image lies. */
#define LARGE_WINDOW 0x80000000u

/* PSE-36 leaves bit 21 of a 4 MiB page's entry reserved: SDM vol. 3A figure 4-4. */
#define LARGE_RESERVED (1u << 21)

#define OPCODE_RET 0xc3
#define OPCODE_MOVL_EAX 0xb8

static const uint32_t here = WINDOW + 0x128;

static void unmap_window(void) {
    page_map(&space, WINDOW, NULL, 0);
    page_map(&space, NEXT, NULL, 0);
}

/* The accesses that fault: one check each. */
static void check_page_fault(const char *name, probe *run, uint32_t address, uint32_t error,
                             uint32_t eip) {
    check_begin(name);
    struct outcome outcome = attempt(run, address);
    expect_page_fault(&outcome, error, eip, address);
    check_end();
}

static void check_refused(void) {
    check_page_fault("page fault, read", probe_read, here, 0, (uint32_t)probe_read_at);
    check_page_fault("page fault, write", probe_write, here, FAULT_WRITE, (uint32_t)probe_write_at);
    check_page_fault("page fault, fetch", probe_fetch, here, 0, here);
    check_page_fault("page fault, no page table", probe_read, 0xc0000000, 0,
                     (uint32_t)probe_read_at);

    page_map(&space, WINDOW, frames[0], PRESENT);
    check_page_fault("page fault, write to a read-only page", probe_write, here,
                     FAULT_PROTECTION | FAULT_WRITE, (uint32_t)probe_write_at);
    check_begin("read of a read-only page");
    expect("trapped", attempt(probe_read, here).trapped, false);
    check_end();

    check_begin("write to a read-only page, WP off");
    cr0_write(cr0_read() & ~CR0_WRITE_PROTECT);
    expect("trapped", attempt(probe_write, here).trapped, false);
    cr0_write(cr0_read() | CR0_WRITE_PROTECT);
    expect("word", frames[0][here % PAGE_BYTES / 4], WRITTEN);
    struct outcome outcome = attempt(probe_write, here);
    expect("trapped, WP on", outcome.trapped, true);
    check_end();

    page_map(&space, WINDOW, frames[0], WRITABLE);
    *directory_entry(&space, WINDOW) &= ~(uint32_t)PAGE_WRITABLE;
    cr3_write((uint32_t)&space);
    check_page_fault("page fault, directory read-only", probe_write, here,
                     FAULT_PROTECTION | FAULT_WRITE, (uint32_t)probe_write_at);
    *directory_entry(&space, WINDOW) |= PAGE_WRITABLE;
    cr3_write((uint32_t)&space);
    unmap_window();
}

/* Pages that the handler brings in, as an operating system does. */
static unsigned pages_brought;

static void bring_page(struct trap_frame *frame) {
    (void)frame;
    uint32_t page = cr2_read() & ~(PAGE_BYTES - 1u);
    page_map(&space, page, frames[(page - WINDOW) / PAGE_BYTES % FRAMES], WRITABLE);
    pages_brought++;
}

static void expect_brought(probe *run, uint32_t argument, unsigned pages) {
    pages_brought = 0;
    trap_set(TRAP_PAGE, bring_page);
    expect("trapped", attempt(run, argument).trapped, false);
    trap_set(TRAP_PAGE, attempt_end);
    expect("pages brought", pages_brought, pages);
}

static void check_brought(void) {
    frames_fill();
    check_begin("page brought for a read");
    expect_brought(probe_read, here, 1);
    check_end();
    unmap_window();

    check_begin("page brought for a write");
    expect_brought(probe_write, here, 1);
    expect("word", frames[0][here % PAGE_BYTES / 4], WRITTEN);
    check_end();
    unmap_window();

    check_begin("page brought for a fetch");
    ((uint8_t *)frames[0])[here % PAGE_BYTES] = OPCODE_RET;
    expect_brought(probe_fetch, here, 1);
    check_end();
    unmap_window();

    check_begin("two pages brought for one word");
    frames_fill();
    expect_brought(probe_write, NEXT - 2, 2);
    expect("low half", frames[0][PAGE_BYTES / 4 - 1] >> 16, WRITTEN & 0xffff);
    expect("high half", frames[1][0] & 0xffff, WRITTEN >> 16);
    check_end();
    unmap_window();
}

/* Accesses that touch two pages, the second of which is not there. */
static void check_straddling(void) {
    frames_fill();
    page_map(&space, WINDOW, frames[0], WRITABLE);
    uint32_t last_word = frames[0][PAGE_BYTES / 4 - 1];

    check_begin("write across pages does nothing by half");
    struct outcome outcome = attempt(probe_write, NEXT - 2);
    expect_page_fault(&outcome, FAULT_WRITE, (uint32_t)probe_write_at, NEXT);
    expect("word", frames[0][PAGE_BYTES / 4 - 1], last_word);
    check_end();

    check_begin("instruction across pages");
    ((uint8_t *)frames[0])[PAGE_BYTES - 1] = OPCODE_MOVL_EAX;
    outcome = attempt(probe_fetch, NEXT - 1);
    expect_page_fault(&outcome, 0, NEXT - 1, NEXT);
    ((uint8_t *)frames[1])[4] = OPCODE_RET;
    expect_brought(probe_fetch, NEXT - 1, 1);
    check_end();
    page_map(&space, NEXT, NULL, 0);

    /* The copy's first 8 words go to the end of the page, the others beyond. */
    check_begin("repeated copy stops at the page's end");
    frames_fill();
    uint32_t from = NEXT - PAGE_BYTES - 64;
    page_map(&space, from & ~(PAGE_BYTES - 1u), frames[2], WRITABLE);
    outcome = attempt(probe_copy, from);
    expect_page_fault(&outcome, FAULT_WRITE, (uint32_t)probe_copy_at, NEXT);
    expect("ecx", outcome.frame.ecx, 8);
    expect("esi", outcome.frame.esi, from + 32);
    expect("edi", outcome.frame.edi, NEXT);
    expect("last word copied", frames[0][PAGE_BYTES / 4 - 1],
           FRAME_WORD(2, PAGE_BYTES / 4 - 16 + 7));
    check_end();

    check_begin("repeated copy goes on where it stopped");
    frames_fill();
    expect_brought(probe_copy, from, 1);
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t word = i < 8 ? frames[0][PAGE_BYTES / 4 - 8 + i] : frames[1][i - 8];
        expect("word", word, FRAME_WORD(2, PAGE_BYTES / 4 - 16 + i));
    }
    check_end();
    page_map(&space, from & ~(PAGE_BYTES - 1u), NULL, 0);
    unmap_window();
}

/* The accessed and dirty bits, Intel SDM vol. 3A section 4.8. */
static void expect_bits(uint32_t entry, uint32_t wanted) {
    expect("accessed and dirty", entry & (PAGE_ACCESSED | PAGE_DIRTY), wanted);
}

static void check_accessed_dirty(void) {
    check_begin("accessed and dirty, 4 KiB page");
    page_map(&space, WINDOW, frames[0], WRITABLE);
    uint32_t *entry = page_entry(&space, WINDOW);
    uint32_t *directory = directory_entry(&space, WINDOW);
    *directory &= ~(uint32_t)PAGE_ACCESSED;
    cr3_write((uint32_t)&space);
    expect_bits(*entry, 0);
    attempt(probe_read, here);
    expect_bits(*entry, PAGE_ACCESSED);
    expect("accessed in the directory", *directory & PAGE_ACCESSED, PAGE_ACCESSED);
    attempt(probe_write, here);
    expect_bits(*entry, PAGE_ACCESSED | PAGE_DIRTY);
    *entry &= ~(uint32_t)(PAGE_ACCESSED | PAGE_DIRTY);
    invlpg(WINDOW);
    ((uint8_t *)frames[0])[here % PAGE_BYTES] = OPCODE_RET;
    attempt(probe_fetch, here);
    expect_bits(*entry, PAGE_ACCESSED);
    check_end();

    check_begin("no accessed or dirty bit by a refused write");
    page_map(&space, WINDOW, frames[0], PRESENT);
    expect("trapped", attempt(probe_write, here).trapped, true);
    expect_bits(*entry, 0);
    check_end();
    unmap_window();
}

static void check_large_pages(void) {
    uint32_t *entry = directory_entry(&space, LARGE_WINDOW);
    uint32_t alias = LARGE_WINDOW + (uint32_t)&frames[1][5];

    check_begin("4 MiB page");
    frames_fill();
    page_map_large(&space, LARGE_WINDOW, 0, WRITABLE);
    expect("word", *(volatile uint32_t *)alias, FRAME_WORD(1, 5));
    expect_bits(*entry, PAGE_ACCESSED);
    attempt(probe_write, alias);
    expect("word written", frames[1][5], WRITTEN);
    expect_bits(*entry, PAGE_ACCESSED | PAGE_DIRTY);
    check_end();

    page_map_large(&space, LARGE_WINDOW, 0, PRESENT);
    check_page_fault("page fault, read-only 4 MiB page", probe_write, alias,
                     FAULT_PROTECTION | FAULT_WRITE, (uint32_t)probe_write_at);
    page_map_large(&space, LARGE_WINDOW, LARGE_RESERVED, WRITABLE);
    /* The manual wants the protection bit too; QEMU 7.2 leaves it clear. */
    check_begin("page fault, reserved bit");
    struct outcome outcome = attempt(probe_read, alias);
    expect("vector", outcome.frame.vector, TRAP_PAGE);
    expect("error code", outcome.frame.error & ~(uint32_t)FAULT_PROTECTION, FAULT_RESERVED);
    expect("cr2", outcome.cr2, alias);
    check_end();
    *entry = 0;
    invlpg(LARGE_WINDOW);
}

/* What the TLB must forget, and when. */
static void check_tlb(void) {
    volatile uint32_t *word = (volatile uint32_t *)here;
    uint32_t index = here % PAGE_BYTES / 4;
    frames_fill();

    check_begin("invlpg after a change");
    for (uint32_t round = 0; round < 8; round++) {
        page_map(&space, WINDOW, frames[round % FRAMES], WRITABLE);
        expect("word", *word, FRAME_WORD(round % FRAMES, index));
    }
    check_end();

    check_begin("cr3 after a change");
    for (uint32_t round = 0; round < 8; round++) {
        *page_entry(&space, WINDOW) = (uint32_t)frames[round % FRAMES] | WRITABLE;
        cr3_write((uint32_t)&space);
        expect("word", *word, FRAME_WORD(round % FRAMES, index));
    }
    check_end();

    unmap_window();
    check_page_fault("page fault, unmapped again", probe_read, here, 0, (uint32_t)probe_read_at);

    check_begin("paging off and on");
    cr0_write(cr0_read() & ~CR0_PAGING);
    expect("word without paging", frames[3][7], FRAME_WORD(3, 7));
    cr0_write(cr0_read() | CR0_PAGING);
    expect("trapped", attempt(probe_read, here).trapped, true);
    check_end();
}

void check_pages(void) {
    space_init(&space);
    space_enter(&space);
    check_refused();
    check_brought();
    check_straddling();
    check_accessed_dirty();
    check_large_pages();
    check_tlb();
}
