"""Guest memory as the guest's program addresses it: through its page tables.

For looking from outside: nothing is marked as accessed, and no TLB is asked, so
what the guest itself would see differs where its TLB is stale.
"""

from typing import Any

from ftvm.machine.cpu import Cpu
from ftvm.units import PAGE_BYTES

# Intel SDM vol. 3A §4.3 (32-bit paging), §4.4 (PAE paging).
_PRESENT, _LARGE = 1 << 0, 1 << 7
_CR0_PAGING, _CR4_LARGE_PAGES, _CR4_PAE = 1 << 31, 1 << 4, 1 << 5
_PAE_ADDRESS = 0x000F_FFFF_FFFF_F000

INSTRUCTION_BYTES_MAX = 15
"""Intel SDM vol. 2A §2.3.11."""


def physical(cpu: Cpu, registers: Any, linear: int) -> int | None:
    """Return the guest-physical address of a linear one; None if nothing is mapped there."""
    if not registers.cr[0] & _CR0_PAGING:
        return linear
    if registers.cr[4] & _CR4_PAE:
        return _pae(cpu, registers.cr[3], linear)
    directory = _word(cpu, (registers.cr[3] & ~0xFFF) + (linear >> 22) * 4, 4)
    if not directory & _PRESENT:
        return None
    if directory & _LARGE and registers.cr[4] & _CR4_LARGE_PAGES:
        return (directory & 0xFFC0_0000) | (linear & 0x3F_FFFF)
    table = _word(cpu, (directory & ~0xFFF) + (linear >> 12 & 0x3FF) * 4, 4)
    return (table & ~0xFFF) | (linear & 0xFFF) if table & _PRESENT else None


def _pae(cpu: Cpu, cr3: int, linear: int) -> int | None:
    entry = _word(cpu, (cr3 & ~0x1F) + (linear >> 30) * 8, 8)
    for shift in (21, 12):
        if not entry & _PRESENT:
            return None
        entry = _word(cpu, (entry & _PAE_ADDRESS) + (linear >> shift & 0x1FF) * 8, 8)
        if shift == 21 and entry & _PRESENT and entry & _LARGE:
            return (entry & _PAE_ADDRESS & ~0x1F_FFFF) | (linear & 0x1F_FFFF)
    return (entry & _PAE_ADDRESS) | (linear & 0xFFF) if entry & _PRESENT else None


def _word(cpu: Cpu, address: int, size: int) -> int:
    """A little-endian word of memory; 0 where there is none."""
    return int.from_bytes(cpu.memory[address : address + size], "little")


def read_linear(cpu: Cpu, registers: Any, linear: int, length: int) -> bytes:
    """Return memory at a linear address, as far as it is mapped."""
    data = b""
    while len(data) < length:
        at = (linear + len(data)) & 0xFFFF_FFFF
        place = physical(cpu, registers, at)
        if place is None or place >= cpu.memory_bytes:
            break
        piece = min(length - len(data), PAGE_BYTES - at % PAGE_BYTES)
        data += cpu.memory[place : place + piece]
    return data


def code_at(cpu: Cpu, instructions: int = 1) -> tuple[int, bytes, bool]:
    """Return where the CPU is: linear address, the bytes there, whether it is 16-bit code.

    The bytes are enough for so many instructions.
    """
    registers = cpu.registers
    segment = registers.segments[1]
    address = (segment.base + registers.eip) & 0xFFFF_FFFF
    wide = bool(segment.flags & 1 << 22)  # D, Intel SDM vol. 3A figure 3-8
    code = read_linear(cpu, registers, address, instructions * INSTRUCTION_BYTES_MAX)
    return address, code, not wide
