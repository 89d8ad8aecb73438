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
 * We rewrite what is before the call, so that it happens only when the
 * instruction budget, kept beside the guest's registers, is used up:
 *
 *     sub    dword [rbp+120], n   83 6d 78 imm8, or 81 6d 78 imm32
 *     jns    behind the call      79 rel8
 *     nop ...                     up to the call
 *     call   check
 *
 * Where that does not fit (a long block, and <uc> within 4 GiB) the call
 * happens always, and the check subtracts.
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

    return code[0] == 0xeb || ((code[0] == 0x83 || code[0] == 0x81) && code[1] == 0x6d);
}

bool block_count(EngineTb *block, Core *core) {
    uint8_t *code = TB_CODE(block);
    uint32_t n = TB_INSTRUCTIONS(block);

    if (block_counts_itself(block))
        return true; /* the engine found the block made already */
    uint8_t setup = setup_bytes(code, (uint64_t)(uintptr_t)core->uc);
    uint8_t call = setup ? call_bytes(code + setup) : 0;
    if (!call)
        return false;

    if ((uintptr_t)code < core->newest_block) /* the code buffer started again */
        memset(&core->rest, 0, sizeof core->rest);
    core->newest_block = (uintptr_t)code;

    uint8_t subtract = n < 128 ? 4 : 7;
    if (core->uncounted) {
        code[0] = 0xeb;
        code[1] = (uint8_t)(setup + call - 2);
    } else if (subtract + 2 <= setup) {
        memset(code, 0x90, setup);
        code[0] = n < 128 ? 0x83 : 0x81;
        code[1] = 0x6d;
        code[2] = ENV_BUDGET_DISPLACEMENT;
        memcpy(code + 3, &n, subtract - 3u);
        code[subtract] = 0x79;
        code[subtract + 1] = (uint8_t)(setup + call - subtract - 2);
    }
    return true;
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

/* The exact count before the instruction that called out of its block. */
uint64_t core_count_at(Core *core, uintptr_t host_pc) {
    uint64_t block_end = core->limit - (uint64_t)ENV_BUDGET(core->env);

    if (!host_pc)
        return block_end;
    size_t slot = (host_pc ^ host_pc >> 12) % REST_CACHE_ENTRIES;
    if (core->rest.host_pc[slot] != host_pc) {
        EngineTb *block = tcg_tb_lookup_x86_64(UC_TCG(core->uc), host_pc);
        core->rest.host_pc[slot] = host_pc;
        core->rest.rest[slot] = block ? (uint16_t)block_rest_at(block, host_pc) : 0;
    }
    return block_end - core->rest.rest[slot];
}
