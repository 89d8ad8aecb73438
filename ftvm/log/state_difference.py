"""In what two machines differ: registers, bytes of memory, fields of devices."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ftvm.machine.cpu import Cpu
from ftvm.machine.machine import Machine
from ftvm.units import PAGE_BYTES, GuestPhysical

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")


@dataclass(frozen=True)
class Field:
    """A number or text that each of the machines has, by its name."""

    name: str
    a: Any
    b: Any

    @property
    def differs(self) -> bool:
        """Whether they have different ones."""
        return bool(self.a != self.b)


@dataclass(frozen=True)
class StateDifference:
    """Two machines side by side.

    ``registers`` are all of them; ``memory`` the bytes that differ, by
    guest-physical address, at most `limit` of ``memory_bytes``; ``devices`` the
    fields of devices that differ.
    """

    registers: tuple[Field, ...]
    memory: tuple[tuple[GuestPhysical, int, int], ...]
    memory_bytes: int
    devices: tuple[Field, ...]


def compare_machines(a: Machine, b: Machine, limit: int) -> StateDifference:
    """Compare two machines of one configuration, as they are now."""
    registers = tuple(
        Field(name, one, other)
        for (name, one), (_, other) in zip(_registers(a.cpu), _registers(b.cpu), strict=True)
    )
    memory = []
    differing = 0
    for address, one, other in _memory(a, b):
        differing += 1
        if differing <= limit:
            memory.append((address, one, other))
    ours, theirs = device_fields(a), device_fields(b)
    devices = tuple(
        Field(name, ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    )
    return StateDifference(registers, tuple(memory), differing, devices)


def device_fields(machine: Machine) -> dict[str, Any]:
    """Return the numbers and texts that are the state of the machine's devices, by name."""
    return dict(_flat("", dict(machine.bus.state())))


def _registers(cpu: Cpu) -> Iterator[tuple[str, int]]:
    state = cpu.registers
    yield from zip(GENERAL, state.gpr, strict=True)
    yield "eip", state.eip
    yield "eflags", state.eflags
    for name, segment in zip(SEGMENTS, state.segments, strict=True):
        yield from _segment(name, segment)
    for name in ("ldt", "tr", "gdt", "idt"):
        yield from _segment(name, getattr(state, name))
    for name in ("cr", "dr", "fptags"):
        for index, value in enumerate(getattr(state, name)):
            yield f"{name}{index}", value
    for name in ("fpregs", "xmm"):
        for index, content in enumerate(getattr(state, name)):
            yield f"{name}{index}", int.from_bytes(bytes(content), "little")
    for name in _PLAIN:
        yield name, getattr(state, name)


_PLAIN = (
    *("hflags", "hflags2", "a20_mask", "sysenter_cs", "sysenter_esp", "sysenter_eip", "mxcsr"),
    *("efer", "tsc_aux", "tsc_offset", "xcr0", "misc_enable", "pat", "fpip", "fpdp"),
    *("fp_status", "mmx_status", "sse_status", "fpus", "fpuc", "fpop", "fpstt"),
    *("halted", "shutdown", "old_exception"),
)


def _segment(name: str, segment: Any) -> Iterator[tuple[str, int]]:
    yield name, segment.selector
    for part in ("base", "limit", "flags"):
        yield f"{name}.{part}", getattr(segment, part)


def _memory(a: Machine, b: Machine) -> Iterator[tuple[GuestPhysical, int, int]]:
    one, other = a.cpu.memory, b.cpu.memory
    for start in range(0, a.config.memory_bytes, PAGE_BYTES):
        page, twin = one[start : start + PAGE_BYTES], other[start : start + PAGE_BYTES]
        if page != twin:
            for at, (byte, its) in enumerate(zip(page, twin, strict=True)):
                if byte != its:
                    yield GuestPhysical(start + at), byte, its


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of nested plain data, by dotted names."""
    if is_dataclass(value):
        for field in fields(value):
            yield from _flat(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}" if name else key, part)
    elif isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from _flat(f"{name}[{index}]", part)
    else:
        yield name, value
