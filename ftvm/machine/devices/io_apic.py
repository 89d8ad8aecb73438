"""The I/O APIC of a PC: Intel 82093AA (data sheet 290566) at 0xfec00000.

What it does is in io_apic.c; here is what its state may be.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, Any

from ftvm.errors import StateError
from ftvm.machine.cpu import lib
from ftvm.machine.devices.fields import Byte, Length, Mask, Range, checked

PAGE = 0xFEC00
PINS = 24
VERSION = 0x11
ENTRY_BYTES = 8
ID_BITS = 0xF
_TABLE = struct.Struct(f"<{PINS}Q")


@dataclass(frozen=True, slots=True)
class IoApicState:
    """Registers, and the levels at the pins as a bit each."""

    select: Byte
    id: Annotated[int, Range(0, ID_BITS)]
    table: Annotated[bytes, Length(PINS * ENTRY_BYTES, PINS * ENTRY_BYTES)]
    lines: Annotated[int, Mask((1 << PINS) - 1)]


class IoApic:
    """The registers at 0xfec00000, part of an `Interrupts *` of api.h."""

    def __init__(self, native: Any) -> None:
        self.name = "ioapic"
        self.ports: tuple[range, ...] = ()
        self._native = native

    def read(self, port: int, size: int) -> int:
        """Answer no port: the registers are in memory."""
        raise ValueError(f"the I/O APIC has no port {port:#x}")

    def write(self, port: int, size: int, value: int) -> None:
        """Take no port: the registers are in memory."""
        raise ValueError(f"the I/O APIC has no port {port:#x}")

    def state(self) -> IoApicState:
        """Return registers and lines."""
        io = self._native.io
        return IoApicState(io.select, io.id, _TABLE.pack(*io.table), io.lines)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal IoApicState."""
        new = checked(self.name, state, IoApicState)
        table = _TABLE.unpack(new.table)
        if not all(lib.io_apic_entry_legal(entry) for entry in table):
            raise StateError(f"{self.name}: table has an entry with reserved bits")
        io = self._native.io
        io.select, io.id, io.table, io.lines = new.select, new.id, table, new.lines
