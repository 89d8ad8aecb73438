/*
 * The string instructions of every width, once and repeated, up and down, within
 * a page and across two, each held against a plain model of it.
 */
#include "strings.h"

#include "check.h"
#include "guest.h"
#include "smc.h"

#define CASES 24
#define COUNT_MAX 40

/* A port where a PC has nothing: reads give ones, writes are lost. */
#define EMPTY_PORT 0xe0

/*
 * The two areas that the instructions work on. Each has two pages, whose frames
 * are not next to each other; an instruction may begin anywhere from EDGE to
 * AREA_BYTES - EDGE, and so never leaves its area.
 */
#define AREA_BYTES 512
#define EDGE (COUNT_MAX * 4)
#define SOURCE_PAGES (WINDOW + 0x100000)
#define TARGET_PAGES (WINDOW + 0x200000)
#define WITHIN_PAGE 0x321
#define ACROSS_PAGES (PAGE_BYTES - AREA_BYTES / 2)

/* The model's memory and, once a case is set up, where it is for the processor. */
struct area {
    uint8_t bytes[AREA_BYTES];
    uint32_t address;
};

static struct area source, target;

static uint32_t random_next(void) {
    /* Numerical Recipes' generator; its upper bits are the good ones. */
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static uint32_t element_read(const struct area *area, uint32_t address, uint32_t width) {
    uint32_t value = 0;
    memcpy(&value, area->bytes + (address - area->address), width);
    return value;
}

static void element_write(struct area *area, uint32_t address, uint32_t width, uint32_t value) {
    memcpy(area->bytes + (address - area->address), &value, width);
}

/* The flags of a subtraction, Intel SDM vol. 1 section 3.4.3.1. */
static uint32_t subtract_flags(uint32_t a, uint32_t b, uint32_t width) {
    uint32_t sign = 1u << (width * 8 - 1);
    uint32_t mask = sign | (sign - 1);
    uint32_t result = (a - b) & mask;
    uint32_t flags = 0;
    if (a < b)
        flags |= FLAG_CARRY;
    if (!__builtin_parity(result & 0xff))
        flags |= FLAG_PARITY;
    if ((a ^ b ^ result) & 0x10)
        flags |= FLAG_ADJUST;
    if (!result)
        flags |= FLAG_ZERO;
    if (result & sign)
        flags |= FLAG_SIGN;
    if ((a ^ b) & (a ^ result) & sign)
        flags |= FLAG_OVERFLOW;
    return flags;
}

/* One element. */
static void model_step(const struct string_operation *operation, struct string_registers *r) {
    uint32_t width = operation->width;
    uint32_t mask = width == 4 ? 0xffffffff : (1u << width * 8) - 1;
    uint32_t step = r->eflags & FLAG_DIRECTION ? -width : width;
    uint32_t value = r->eax & mask;
    bool uses_source = false, uses_target = false, compares = false;

    switch (operation->kind) {
    case KIND_MOVS:
        element_write(&target, r->edi, width, element_read(&source, r->esi, width));
        uses_source = uses_target = true;
        break;
    case KIND_STOS:
        element_write(&target, r->edi, width, value);
        uses_target = true;
        break;
    case KIND_LODS:
        r->eax = (r->eax & ~mask) | element_read(&source, r->esi, width);
        uses_source = true;
        break;
    case KIND_CMPS:
        value = element_read(&source, r->esi, width);
        uses_source = uses_target = compares = true;
        break;
    case KIND_SCAS:
        uses_target = compares = true;
        break;
    case KIND_INS:
        element_write(&target, r->edi, width, 0xffffffff);
        uses_target = true;
        break;
    case KIND_OUTS:
        uses_source = true;
        break;
    }
    if (compares)
        r->eflags = (r->eflags & ~FLAGS_ARITHMETIC) |
                    subtract_flags(value, element_read(&target, r->edi, width), width);
    if (uses_source)
        r->esi += step;
    if (uses_target)
        r->edi += step;
}

static void model_run(const struct string_operation *operation, struct string_registers *r) {
    if (operation->repeat == REPEAT_NOT) {
        model_step(operation, r);
        return;
    }
    while (r->ecx) {
        model_step(operation, r);
        r->ecx--;
        bool is_equal = r->eflags & FLAG_ZERO;
        if ((operation->repeat == REPEAT_EQUAL && !is_equal) ||
            (operation->repeat == REPEAT_UNEQUAL && is_equal))
            return;
    }
}

/*
 * Fill an area with mostly the same byte, so that comparisons go on for a while
 * whether they look for equality (both areas usual) or for the contrary.
 */
static void area_fill(struct area *area, uint32_t pages, uint32_t offset, uint8_t usual) {
    for (uint32_t i = 0; i < AREA_BYTES; i++)
        area->bytes[i] = random_next() % 32 ? usual : (uint8_t)random_next();
    area->address = pages + offset;
    memcpy((void *)area->address, area->bytes, AREA_BYTES);
}

static uint32_t random_position(const struct area *area) {
    return area->address + EDGE + random_next() % (AREA_BYTES - 2 * EDGE);
}

static void check_case(const struct string_operation *operation, uint32_t number) {
    area_fill(&source, SOURCE_PAGES, number & 1 ? WITHIN_PAGE : ACROSS_PAGES, 0);
    area_fill(&target, TARGET_PAGES, number & 2 ? WITHIN_PAGE : ACROSS_PAGES,
              number & 4 ? 0 : 0xff);

    struct string_registers real = {
        .eax = number & 8 ? 0 : random_next() << 8 | (random_next() & 0xff),
        .ecx = number < 2 ? 0 : random_next() % (COUNT_MAX + 1),
        .edx = EMPTY_PORT,
        .esi = random_position(&source),
        .edi = random_position(&target),
        .eflags = FLAG_FIXED | (random_next() & (FLAGS_ARITHMETIC | FLAG_DIRECTION)),
    };
    struct string_registers model = real;
    string_run(&real, operation->run);
    model_run(operation, &model);

    expect("eax", real.eax, model.eax);
    expect("ecx", real.ecx, model.ecx);
    expect("edx", real.edx, model.edx);
    expect("esi", real.esi, model.esi);
    expect("edi", real.edi, model.edi);
    expect("eflags", real.eflags, model.eflags);
    expect("source", memcmp((void *)source.address, source.bytes, AREA_BYTES), 0);
    expect("target", memcmp((void *)target.address, target.bytes, AREA_BYTES), 0);
}

/* Source one element below target: the first element runs through all others. */
static void check_overlap(void) {
    static const uint32_t widths[] = {1, 2, 4};
    static const char *const names[] = {
        "rep movsb over itself",
        "rep movsw over itself",
        "rep movsl over itself",
    };
    for (uint32_t i = 0; i < 3; i++) {
        const struct string_operation *operation = string_operations;
        while (operation->kind != KIND_MOVS || operation->repeat != REPEAT_ECX ||
               operation->width != widths[i])
            operation++;

        check_begin(names[i]);
        area_fill(&source, SOURCE_PAGES, ACROSS_PAGES, 0x5a);
        put_word(source.address, 0x12345678);
        struct string_registers r = {
            .ecx = AREA_BYTES / widths[i] - 1,
            .esi = source.address,
            .edi = source.address + widths[i],
            .eflags = FLAG_FIXED,
        };
        string_run(&r, operation->run);
        expect("ecx", r.ecx, 0);
        for (uint32_t at = 0; at < AREA_BYTES; at++)
            expect("byte", *(uint8_t *)(source.address + at),
                   0x12345678 >> at % widths[i] * 8 & 0xff);
        check_end();
    }
}

/* A copy of eight pages, whose frames lie in another order than they. */
static void check_many_pages(void) {
    check_begin("rep movsb over eight pages");
    for (uint32_t page = 0; page < FRAMES; page++)
        page_map(&space, SOURCE_PAGES + page * PAGE_BYTES, frames[(page * 3 + 1) % FRAMES],
                 WRITABLE);
    const uint32_t words = FRAMES * PAGE_BYTES / 4;
    for (uint32_t i = 0; i < words; i++)
        put_word(SOURCE_PAGES + i * 4, i);
    /* Down by three bytes, so that every page boundary is met in mid-word. */
    memmove((void *)SOURCE_PAGES, (void *)(SOURCE_PAGES + 3), words * 4 - 3);
    for (uint32_t i = 0; i < words - 1; i++)
        expect("word", *(volatile uint32_t *)(SOURCE_PAGES + i * 4), i >> 24 | (i + 1) << 8);
    check_end();
}

/* In low memory, which nobody else uses once the loader's data has been read. */
static void check_addr16(void) {
    check_begin("addr16 rep stosw");
    const uint32_t low = 0x1ffc; /* across a page boundary */
    for (uint32_t i = 0; i < 4; i++)
        put_word(low + i * 4, 0x11111111);
    struct string_registers r = {
        .eax = 0xaaaa2222,
        .ecx = 0x56780004,
        .edi = 0x12340000 + low,
        .eflags = FLAG_FIXED,
    };
    string_run(&r, string_stos_addr16);
    expect("ecx", r.ecx, 0x56780000);
    expect("edi", r.edi, 0x12340000 + low + 8);
    for (uint32_t i = 0; i < 4; i++)
        expect("word", *(volatile uint32_t *)(low + i * 4), i < 2 ? 0x22222222 : 0x11111111);
    check_end();
}

void check_strings(void) {
    space_enter(&space);
    page_map(&space, SOURCE_PAGES, frames[1], WRITABLE);
    page_map(&space, SOURCE_PAGES + PAGE_BYTES, frames[0], WRITABLE);
    page_map(&space, TARGET_PAGES, frames[3], WRITABLE);
    page_map(&space, TARGET_PAGES + PAGE_BYTES, frames[2], WRITABLE);

    for (const struct string_operation *operation = string_operations;
         operation < string_operations_end; operation++) {
        check_begin(operation->name);
        for (uint32_t number = 0; number < CASES; number++)
            check_case(operation, number);
        check_end();
    }
    check_overlap();
    check_many_pages();
    check_addr16();
}
