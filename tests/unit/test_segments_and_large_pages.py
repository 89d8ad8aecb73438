"""What kernels do seldom: a local descriptor table, and single addresses of large pages forgotten.

Sections are those of the Intel SDM, volume 3A.
"""

import pytest
from assembler import EAX, EBX, ECX, EDX, Assembler, absolute, le32
from bare import (
    CODE,
    DATA,
    GDT,
    PAGE_DIRECTORY,
    PAGING,
    bare_machine,
    descriptor,
    global_table,
)

from ftvm.machine import snapshot
from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount

MIB = 1 << 20
MEMORY = 16 * MIB
STEPS = InstructionCount(10_000)
LDT, GDT_POINTER = DATA + 0x400, DATA + 0x500
LDT_SELECTOR, FIRST_LOCAL = len(global_table()), 0b100  # TI
PAGE_SIZE_EXTENSION, PAE = 1 << 4, 1 << 5
LARGE = 0x83  # present, writable, a large page


def word(machine: Machine, address: int) -> int:
    return int.from_bytes(machine.cpu.memory[address : address + 4], "little")


@pytest.mark.parametrize("stop", [None, 7, 8, 9, 10])
def test_a_segment_of_the_local_table_is_where_that_says(stop: int | None) -> None:
    """§3.5.1; also in a machine that is restored between LLDT and the accesses."""
    table = descriptor(DATA + 0x100, 0xFF, 0x93, 0x4) + descriptor(CODE, 0xFFF, 0x9B, 0x4)
    code = Assembler(CODE).raw(0x0F, 0x01).add_bytes(absolute(2, GDT_POINTER))  # lgdt
    code.mov(EAX, LDT_SELECTOR).raw(0x0F, 0x00, 0xD0)  # lldt ax
    code.mov(EBX, FIRST_LOCAL).raw(0x8E, 0xC3)  # mov es, bx
    code.raw(0x26, 0xC7, 0x05).add_bytes(le32(4)).add_bytes(le32(0x1234))  # mov es:[4], 1234h
    code.raw(0xEA).add_bytes(le32(code.here - CODE + 7)).raw(FIRST_LOCAL | 8, 0)  # jmp far
    code.raw(0x66, 0x8C, 0xC9, 0x66, 0x90)  # mov cx, cs; nop
    code.raw(0x0F, 0x00, 0xC2)  # sldt edx
    code.hlt()
    pointer = (len(global_table()) + 7).to_bytes(2, "little") + le32(GDT)
    machine = bare_machine(
        (CODE, code.bytes()),
        (GDT + LDT_SELECTOR, descriptor(LDT, len(table) - 1, 0x82, 0)),
        (LDT, table),
        (GDT_POINTER, pointer),
    )
    if stop is not None:
        machine.run(InstructionCount(stop))
        machine = snapshot.restore(snapshot.take(machine))
    assert machine.run(STEPS) is Reason.HALTED
    assert word(machine, DATA + 0x104) == 0x1234
    registers = machine.cpu.registers
    assert registers.gpr[ECX] & 0xFFFF == FIRST_LOCAL | 8
    assert registers.gpr[EDX] & 0xFFFF == LDT_SELECTOR


@pytest.mark.parametrize("inside", [0, 0x1000, 0x1FF000])
@pytest.mark.parametrize("is_pae", [False, True], ids=["PSE", "PAE"])
def test_invlpg_inside_a_large_page_forgets_all_of_it(inside: int, is_pae: bool) -> None:
    """§4.10.4.1: INVLPG of any address in the page."""
    first, second, linear, at = 4 * MIB, 8 * MIB, 12 * MIB, 0x3000
    pointers, directory = PAGE_DIRECTORY, PAGE_DIRECTORY + 0x1000
    entry_bytes, page_bytes = (8, 2 * MIB) if is_pae else (4, 4 * MIB)
    directory = directory if is_pae else PAGE_DIRECTORY
    entry = directory + linear // page_bytes * entry_bytes
    code = Assembler(CODE)
    if is_pae:
        for number in range(8):
            code.store_value(directory + 8 * number, number * page_bytes | LARGE)
            code.store_value(directory + 8 * number + 4, 0)
        code.store_value(pointers, directory | 1).store_value(pointers + 4, 0)
    else:
        for number in range(4):
            code.store_value(directory + 4 * number, number * page_bytes | LARGE)
    code.store_value(entry, first | LARGE)
    code.mov(EAX, PAE if is_pae else PAGE_SIZE_EXTENSION).mov_cr(4, EAX)
    code.mov(EAX, pointers).mov_cr(3, EAX).mov(EAX, PAGING | 0x11).mov_cr(0, EAX)
    code.load(EBX, linear + at).load(ECX, linear + inside)
    code.store_value(entry, second | LARGE)
    code.raw(0x0F, 0x01).add_bytes(absolute(7, linear + inside))  # invlpg
    code.load(EDX, linear + at).hlt()
    machine = bare_machine(
        (CODE, code.bytes()),
        (first + at, le32(1)),
        (second + at, le32(2)),
        memory_bytes=MEMORY,
    )
    machine.run(STEPS)
    registers = machine.cpu.registers
    assert (registers.gpr[EBX], registers.gpr[EDX]) == (1, 2)
