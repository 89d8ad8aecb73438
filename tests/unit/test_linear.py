"""The walk through a guest's page tables, against the tables of the manual."""

import struct
from types import SimpleNamespace

import pytest

from ftvm.machine.cpu import Cpu
from ftvm.machine.linear import physical, read_linear
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import GuestPhysical

PRESENT, LARGE = 1, 1 << 7
PAGING, LARGE_PAGES, PAE = 1 << 31, 1 << 4, 1 << 5
DIRECTORY, TABLE, POINTERS = 0x1000, 0x2000, 0x3000


@pytest.fixture
def cpu() -> Cpu:
    return Machine(MachineConfig(memory_bytes=1 << 20, epoch_s=0)).cpu


def registers(cr0: int = PAGING, cr3: int = DIRECTORY, cr4: int = 0) -> SimpleNamespace:
    return SimpleNamespace(cr=[cr0, 0, 0, cr3, cr4])


def put(cpu: Cpu, address: int, value: int, form: str = "<I") -> None:
    cpu.write_memory(GuestPhysical(address), struct.pack(form, value))


def test_without_paging_addresses_are_physical(cpu: Cpu) -> None:
    assert physical(cpu, registers(cr0=1), 0x12345) == 0x12345


def test_small_pages(cpu: Cpu) -> None:
    put(cpu, DIRECTORY + 4, TABLE | PRESENT)
    put(cpu, TABLE + 4 * 5, 0x7000 | PRESENT)
    assert physical(cpu, registers(), 0x405ABC) == 0x7ABC
    assert physical(cpu, registers(), 0x406ABC) is None
    assert physical(cpu, registers(), 0x805ABC) is None


def test_large_pages_need_their_bit(cpu: Cpu) -> None:
    put(cpu, DIRECTORY + 4, 0x00C00000 | PRESENT | LARGE)
    assert physical(cpu, registers(cr4=LARGE_PAGES), 0x412345) == 0xC12345
    assert physical(cpu, registers(), 0x412345) is None  # a table, which is not there


def test_pae(cpu: Cpu) -> None:
    put(cpu, POINTERS + 8, DIRECTORY | PRESENT, "<Q")
    put(cpu, DIRECTORY + 8 * 2, TABLE | PRESENT, "<Q")
    put(cpu, TABLE + 8 * 3, 0x9000 | PRESENT | 1 << 63, "<Q")
    put(cpu, DIRECTORY + 8 * 4, 0x00600000 | PRESENT | LARGE, "<Q")
    pae = registers(cr3=POINTERS, cr4=PAE)
    assert physical(cpu, pae, (1 << 30) + (2 << 21) + (3 << 12) + 0x123) == 0x9123
    assert physical(cpu, pae, (1 << 30) + (4 << 21) + 0x12345) == 0x612345
    assert physical(cpu, pae, (1 << 30) + (5 << 21)) is None
    assert physical(cpu, pae, 0) is None


def test_reading_crosses_pages_and_ends_where_nothing_is_mapped(cpu: Cpu) -> None:
    put(cpu, DIRECTORY, TABLE | PRESENT)
    put(cpu, TABLE, 0x8000 | PRESENT)
    put(cpu, TABLE + 4, 0x6000 | PRESENT)
    put(cpu, 0x8FFE, 0x2211, "<H")
    put(cpu, 0x6000, 0x4433, "<H")
    assert read_linear(cpu, registers(), 0xFFE, 4) == b"\x11\x22\x33\x44"
    assert len(read_linear(cpu, registers(), 0x1FFE, 8)) == 2
