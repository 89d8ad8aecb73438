"""Two machines side by side: nothing that the CPU has is left out."""

from typing import Any

from ftvm._native._core import ffi
from ftvm.log.state_difference import compare_machines
from ftvm.machine.machine import Machine, MachineConfig

CONFIG = MachineConfig(memory_bytes=1 << 20, epoch_s=0)


def numbers_in(kind: Any) -> int:
    """How many numbers a C type holds, where a register of 16 bytes is one."""
    if kind.kind == "struct":
        return sum(numbers_in(field.type) for _, field in kind.fields)
    if kind.kind == "array":
        return 1 if kind.cname == "uint8_t[16]" else kind.length * numbers_in(kind.item)
    return 1


def test_every_register_is_compared() -> None:
    found = compare_machines(Machine(CONFIG), Machine(CONFIG), 1)
    assert len(found.registers) == numbers_in(ffi.typeof("CoreCpu"))
    assert not any(register.differs for register in found.registers)
