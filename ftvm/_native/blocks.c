/*
 * Blocks that count themselves.
 *
 * The engine begins every translated block with a call of its exit check:
 *
 *     movabs rdi, <uc>      48 bf imm64, or lea rdi, [rip+rel32] 48 8d 3d rel32,
 *                           or mov edi, imm32 bf imm32
 *     xor    esi, esi       33 f6  (or 31 f6)
 *     call   check          e8 rel32, or ff 15 rel32
 *
 * We put in its place what costs a block the least, with no branch taken; the
 * instruction budget is kept beside the guest's registers:
 *
 *     sub    dword [rbp+120], n   83 6d 78 imm8, or 81 6d 78 imm32
 *     js     stub                 0f 88 rel32
 *     nop ...
 *
 * and into the code buffer behind the block the stub for when the budget is used
 * up. The engine's registers are saved there, as for its own call.
 *
 *     movabs rdi, <block>         48 bf imm64
 *     movabs rax, limit_reached   48 b8 imm64
 *     call   rax                  ff d0
 *     jmp    behind the nops      e9 rel32
 *
 * Where that does not fit (a long block, and <uc> within 4 GiB) the engine's call
 * stays, and the check subtracts.
 *
 * A block is one straight line of instructions, so n is all there is to
 * count. The places where a block is left before its end are few, and each
 * gives back what did not run: a fault (seams.c, cpu_restore_state), a store
 * into the block itself (cpu_loop_exit_noexc).
 *
 * Behind a block's code the engine keeps a table of its instructions, a row
 * each: guest pc, condition-code state, and end of the host code, as signed
 * LEB128 differences from the row before. By it a host address becomes the
 * index of an instruction.
 */
#include "core.h"

#include <string.h>

enum { STUB_BYTES = 32, STUB_DISTANCE_MAX = 1 << 20, JUMP_BYTES = 6 };

/* Bytes before the call at the start of a block, 0 if these are not they. */
static uint8_t setup_bytes(const uint8_t *code, uint64_t uc) {
    uint64_t argument = 0;
    uint8_t bytes;

    if (code[0] == 0x48 && code[1] == 0xbf) {
        memcpy(&argument, code + 2, 8);
        bytes = 10;
    } else if (code[0] == 0x48 && code[1] == 0x8d && code[2] == 0x3d) {
        int32_t distance;
        memcpy(&distance, code + 3, 4);
        bytes = 7;
        argument = (uint64_t)(uintptr_t)code + bytes + (uint64_t)distance;
    } else if (code[0] == 0xbf) {
        memcpy(&argument, code + 1, 4);
        bytes = 5;
    } else {
        return 0;
    }
    bool zeroes_esi = (code[bytes] == 0x33 || code[bytes] == 0x31) && code[bytes + 1] == 0xf6;
    return argument == uc && zeroes_esi ? bytes + 2 : 0;
}

static uint8_t call_bytes(const uint8_t *code) {
    return code[0] == 0xe8 ? 5 : code[0] == 0xff && code[1] == 0x15 ? 6 : 0;
}

bool block_counts_itself(EngineTb *block) {
    const uint8_t *code = TB_CODE(block);

    return (code[0] == 0x83 || code[0] == 0x81) && code[1] == 0x6d;
}

/* The instructions that Intel SDM vol. 2B, NOP, recommends for doing nothing. */
static void fill_with_nops(uint8_t *code, size_t bytes) {
    static const char nops[10][10] = {"",
                                      "\x90",
                                      "\x66\x90",
                                      "\x0f\x1f\x00",
                                      "\x0f\x1f\x40\x00",
                                      "\x0f\x1f\x44\x00\x00",
                                      "\x66\x0f\x1f\x44\x00\x00",
                                      "\x0f\x1f\x80\x00\x00\x00\x00",
                                      "\x0f\x1f\x84\x00\x00\x00\x00\x00",
                                      "\x66\x0f\x1f\x84\x00\x00\x00\x00\x00"};

    while (bytes) {
        size_t n = bytes < 9 ? bytes : 9;
        memcpy(code, nops[n], n);
        code += n;
        bytes -= n;
    }
}

static uint8_t *put(uint8_t *at, const char *opcode, size_t opcode_bytes, uint64_t operand,
                    size_t operand_bytes) {
    memcpy(at, opcode, opcode_bytes);
    memcpy(at + opcode_bytes, &operand, operand_bytes);
    return at + opcode_bytes + operand_bytes;
}

static void limit_reached(EngineTb *block) { core_block_limit(core_running, block); }

/* NULL if the code buffer does not go on where it should. */
static uint8_t *make_stub(EngineTb *block, Core *core, const uint8_t *back) {
    void *tcg = UC_TCG(core->uc);
    uint8_t *stub = TCG_CODE_POINTER(tcg), *at = stub;

    if ((uintptr_t)stub - (uintptr_t)back > STUB_DISTANCE_MAX)
        return NULL;
    at = put(at, "\x48\xbf", 2, (uintptr_t)block, 8);
    at = put(at, "\x48\xb8", 2, (uintptr_t)limit_reached, 8);
    put(at, "\xff\xd0\xe9", 3, (uint64_t)(back - (at + 7)), 4);
    TCG_CODE_POINTER(tcg) = stub + STUB_BYTES;
    return stub;
}

bool block_count(EngineTb *block, Core *core) {
    uint8_t *code = TB_CODE(block);
    uint32_t n = TB_INSTRUCTIONS(block);

    if (block_counts_itself(block))
        return true; /* the engine found the block made already */
    size_t setup = setup_bytes(code, (uint64_t)(uintptr_t)core->uc);
    size_t call = setup ? call_bytes(code + setup) : 0;
    if (!call)
        return core->uncounted;

    if ((uintptr_t)code < core->newest_block) /* the code buffer started again */
        memset(&core->rest, 0, sizeof core->rest);
    core->newest_block = (uintptr_t)code;

    size_t check = setup + call, subtract = n < 128 ? 4 : 7;
    if (core->uncounted) {
        fill_with_nops(code, check);
    } else if (subtract + JUMP_BYTES <= check) {
        const uint8_t *stub = make_stub(block, core, code + check);
        if (!stub)
            return false;
        uint8_t *jump = put(code, n < 128 ? "\x83\x6d" : "\x81\x6d", 2,
                            (uint64_t)n << 8 | ENV_BUDGET_DISPLACEMENT, subtract - 2);
        put(jump, "\x0f\x88", 2, (uint64_t)(stub - (jump + JUMP_BYTES)), 4);
        fill_with_nops(jump + JUMP_BYTES, check - subtract - JUMP_BYTES);
    }
    return true;
}

/* Intel SDM vol. 2A §2.1.1 */
bool opcode_is_prefix(uint8_t byte) {
    static const char prefixes[] = "\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65";

    return memchr(prefixes, byte, sizeof prefixes - 1) != NULL;
}

enum { OPCODE_BYTES = 3 };

/* SETcc to memory; RCL (/2) and RCR (/3) of memory. */
static bool computes_flags_first(const uint8_t code[OPCODE_BYTES]) {
    bool rotates = (code[0] & 0xfe) == 0xc0 || (code[0] & 0xfc) == 0xd0;
    uint8_t modrm = code[0] == 0x0f ? code[2] : code[1];

    if (modrm >= 0xc0)
        return false;
    return code[0] == 0x0f ? (code[1] & 0xf0) == 0x90 : rotates && (modrm >> 4 & 3) == 1;
}

/*
 * How far a block reaches must not show, because a stop inside it makes two of
 * it. So a block ends where the engine goes by what is before in the block:
 *
 * - before an instruction that may reach into the next page. If that page is not
 *   there, the engine faults at the start of the block; and it sets the page's
 *   accessed bit before the guest gets there.
 * - before BT, BTS, BTR and BTC, which leave most flags undefined: the engine
 *   makes of them what is shortest behind the instructions before.
 * - before LOOPNE and LOOPE (E0, E1), where it forgets flags that instructions
 *   before left to be computed, if the count runs out.
 * - before SETcc to memory (0F 90 to 0F 9F), and RCL and RCR of memory, which
 *   compute the flags before they fault (block_computed_flags()).
 */
bool block_must_end_before(Core *core, uint32_t pc) {
    const uint32_t instruction_bytes_max = 15, in_page = pc & (PAGE_BYTES - 1);
    uint32_t end = pc + instruction_bytes_max - 2;
    uint8_t code[OPCODE_BYTES];

    if (in_page == 0 || in_page + instruction_bytes_max > PAGE_BYTES)
        return true;
    do
        code[0] = (uint8_t)cpu_ldub_code_x86_64(core->env, pc++);
    while (opcode_is_prefix(code[0]) && pc < end);
    for (int i = 1; i < OPCODE_BYTES; i++)
        code[i] = (uint8_t)cpu_ldub_code_x86_64(core->env, pc++);
    if (code[0] == 0xe0 || code[0] == 0xe1 || computes_flags_first(code))
        return true;
    return code[0] == 0x0f && (code[1] == 0xa3 || code[1] == 0xab || code[1] == 0xb3 ||
                               code[1] == 0xbb || code[1] == 0xba);
}

/* The first byte of a block is `at` 0. */
static uint8_t code_byte(const Core *core, EngineTb *block, uint32_t at) {
    uint32_t in_page = (uint32_t)(TB_PC(block) & (PAGE_BYTES - 1)) + at;
    uint64_t page = TB_PAGES(block)[in_page >> PAGE_SHIFT] & ~(uint64_t)(PAGE_BYTES - 1);

    return page >> PAGE_SHIFT < core->ram_pages ? core->ram[page + in_page % PAGE_BYTES] : 0xff;
}

/*
 * Whether the first instruction of a block, about to be left at an access to
 * memory, has put the flags where the engine, which goes by what was before the
 * instruction, does not look for them. For B and AE it asks for CF alone, and
 * moves nothing.
 */
bool block_computed_flags(const Core *core, EngineTb *block) {
    uint8_t code[OPCODE_BYTES];
    uint32_t at = 0, bytes = TB_GUEST_BYTES(block);

    while (at < bytes && opcode_is_prefix(code_byte(core, block, at)))
        at++;
    for (uint32_t i = 0; i < OPCODE_BYTES; i++)
        code[i] = at + i < bytes ? code_byte(core, block, at + i) : 0;
    return computes_flags_first(code) && !(code[0] == 0x0f && (code[1] & 0xe) == 2);
}

static int64_t read_sleb128(const uint8_t **at) {
    uint64_t value = 0;
    int shift = 0;
    uint8_t byte;

    do {
        byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (shift < 64 && (byte & 0x40))
        value |= -(UINT64_C(1) << shift);
    return (int64_t)value;
}

typedef struct Row {
    const uint8_t *at;
    uint64_t pc;
    uintptr_t host_end;
} Row;

static Row first_row(EngineTb *block) {
    return (Row){TB_CODE(block) + TB_CODE_BYTES(block), TB_PC(block), (uintptr_t)TB_CODE(block)};
}

static void next_row(Row *row) {
    row->pc += (uint64_t)read_sleb128(&row->at);
    read_sleb128(&row->at);
    row->host_end += (uintptr_t)read_sleb128(&row->at);
}

/* Instructions of the block from the one at host_pc on, it included; 0 if none is. */
uint32_t block_rest_at(EngineTb *block, uintptr_t host_pc) {
    uint32_t n = TB_INSTRUCTIONS(block);
    Row row = first_row(block);

    for (uint32_t i = 0; i < n; i++) {
        next_row(&row);
        if (row.host_end > host_pc - 2)
            return n - i;
    }
    return 0;
}

/* The same for the instruction whose guest pc is given. */
uint32_t block_rest_from(EngineTb *block, uint64_t pc) {
    uint32_t n = TB_INSTRUCTIONS(block);
    Row row = first_row(block);

    for (uint32_t i = 0; i < n; i++) {
        next_row(&row);
        if (row.pc == pc)
            return n - i;
    }
    return 0;
}

/* Guest pc of an instruction, by its index in the block. */
uint32_t block_pc_of(EngineTb *block, uint32_t index) {
    Row row = first_row(block);

    for (uint32_t i = 0; i <= index; i++)
        next_row(&row);
    return (uint32_t)row.pc;
}

static uint64_t find_rest(Core *core, RestEntry *known, uintptr_t host_pc) {
    EngineTb *block = tcg_tb_lookup_x86_64(UC_TCG(core->uc), host_pc);

    *known = (RestEntry){host_pc, block ? block_rest_at(block, host_pc) : 0};
    return known->rest;
}

/* The exact count before the instruction that called out of its block. */
uint64_t core_count_at(Core *core, uintptr_t host_pc) {
    uint64_t block_end = core->limit - (uint64_t)ENV_BUDGET(core->env);
    RestEntry *known = &core->rest.entries[(host_pc ^ host_pc >> 12) % REST_CACHE_ENTRIES];

    if (!host_pc)
        return block_end;
    return block_end - (known->host_pc == host_pc ? known->rest : find_rest(core, known, host_pc));
}
