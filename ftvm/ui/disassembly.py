"""Guest code as people read it."""

from functools import cache

import capstone  # type: ignore[import-untyped]

from ftvm.machine.cpu import Cpu
from ftvm.machine.linear import code_at


@cache
def _disassembler(is_16_bit: bool) -> capstone.Cs:
    return capstone.Cs(
        capstone.CS_ARCH_X86, capstone.CS_MODE_16 if is_16_bit else capstone.CS_MODE_32
    )


def disassemble(code: bytes, address: int, is_16_bit: bool, limit: int) -> list[tuple[int, str]]:
    """Return address and text of up to `limit` instructions; what is none ends them."""
    decoded = _disassembler(is_16_bit).disasm_lite(code, address, limit)
    return [(at, f"{name} {operands}".rstrip()) for at, _, name, operands in decoded]


def instruction_at(cpu: Cpu) -> tuple[int, str]:
    """Return linear address and text of the instruction that the CPU executes next."""
    address, code, is_16_bit = code_at(cpu)
    found = disassemble(code, address, is_16_bit, 1)
    if found:
        return found[0]
    return address, f"(no instruction: {code[:4].hex(' ')})" if code else "(not mapped)"


def following(cpu: Cpu, limit: int) -> list[tuple[int, str]]:
    """Return the instructions that stand where the CPU is, in order of their addresses."""
    address, code, is_16_bit = code_at(cpu, limit)
    return disassemble(code, address, is_16_bit, limit) or [instruction_at(cpu)]
