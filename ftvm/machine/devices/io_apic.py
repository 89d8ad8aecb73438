"""The I/O APIC of a PC: Intel 82093AA (data sheet 290566) at 0xfec00000.

    0x00  IOREGSEL  which register       register 0x00  ID
    0x10  IOWIN     its content                   0x01  version, last entry
                                                  0x02  arbitration ID
                                                  0x10  redirection table, two each

Interrupt lines are wired as in the tables of the firmware: line n of the ISA bus
at pin n, but the timer's, line 0, at pin 2. Whether a line is active low is a
matter of wires that are not there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, Length, Mask, Range, checked

PAGE = 0xFEC00
PINS = 24
VERSION = 0x11

SELECT, WINDOW = 0x00, 0x10
REGISTER_ID, REGISTER_VERSION, REGISTER_ARBITRATION = 0, 1, 2
TABLE = 0x10

# A redirection entry, §3.2.4
VECTOR = 0xFF
LOGICAL = 1 << 11
REMOTE_IRR = 1 << 14
LEVEL = 1 << 15
MASKED = 1 << 16
WRITABLE = 0xFF << 56 | 0x1AFFF
ENTRY_BITS = WRITABLE | REMOTE_IRR
ENTRY_BYTES = 8
ID_BITS = 0xF


class Deliver(Protocol):
    """How a message reaches the local APIC; tells whether it was for it."""

    def __call__(
        self, destination: int, *, logical: bool, mode: int, vector: int, level: bool
    ) -> bool:
        """Deliver a message."""
        ...


@dataclass(frozen=True, slots=True)
class IoApicState:
    """Registers, and the levels at the pins as a bit each."""

    select: Byte
    id: Annotated[int, Range(0, ID_BITS)]
    table: Annotated[bytes, Length(PINS * ENTRY_BYTES, PINS * ENTRY_BYTES)]
    lines: Annotated[int, Mask((1 << PINS) - 1)]


class IoApic:
    """The registers at 0xfec00000; `deliver` takes what it sends."""

    def __init__(self, *, deliver: Deliver) -> None:
        self.name = "ioapic"
        self.ports: tuple[range, ...] = ()
        self._deliver = deliver
        self._select = 0
        self._id = 0
        self._table = [MASKED] * PINS
        self._lines = 0

    def pin(self, pin: int) -> Callable[[bool], None]:
        """Return what sets the level at a pin."""
        return lambda level: self.set_line(pin, level)

    def set_line(self, pin: int, level: bool) -> None:
        """Take the level at a pin."""
        bit = 1 << pin
        rises = level and not self._lines & bit
        self._lines = self._lines | bit if level else self._lines & ~bit
        if rises or (level and self._table[pin] & LEVEL):
            self._service(pin)

    def end_of_interrupt(self, vector: int) -> None:
        """Take the local APIC's EOI: a level triggered line that is still up comes again."""
        for pin, entry in enumerate(self._table):
            if entry & REMOTE_IRR and entry & VECTOR == vector:
                self._table[pin] = entry & ~REMOTE_IRR
                if self._lines >> pin & 1:
                    self._service(pin)

    def read(self, offset: int, size: int) -> int:
        """Return IOREGSEL or the register that it names; 0 elsewhere."""
        if size != 4:
            return 0
        if offset == SELECT:
            return self._select
        return self._register() if offset == WINDOW else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write IOREGSEL or the register that it names."""
        if size != 4:
            return
        if offset == SELECT:
            self._select = value & 0xFF
        elif offset == WINDOW:
            self._write_register(value)

    def state(self) -> IoApicState:
        """Return registers and lines."""
        table = b"".join(entry.to_bytes(ENTRY_BYTES, "little") for entry in self._table)
        return IoApicState(self._select, self._id, table, self._lines)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal IoApicState."""
        new = checked(self.name, state, IoApicState)
        table = [
            int.from_bytes(new.table[at : at + ENTRY_BYTES], "little")
            for at in range(0, len(new.table), ENTRY_BYTES)
        ]
        if any(entry & ~ENTRY_BITS for entry in table):
            raise StateError(f"{self.name}: table has an entry with reserved bits")
        self._select, self._id = new.select, new.id
        self._table, self._lines = table, new.lines

    def _register(self) -> int:
        index = self._select
        if index == REGISTER_VERSION:
            return (PINS - 1) << 16 | VERSION
        if index in (REGISTER_ID, REGISTER_ARBITRATION):
            return self._id << 24
        pin, high = divmod(index - TABLE, 2)
        if not 0 <= pin < PINS:
            return 0
        return self._table[pin] >> 32 * high & 0xFFFFFFFF

    def _write_register(self, value: int) -> None:
        if self._select == REGISTER_ID:
            self._id = value >> 24 & ID_BITS
            return
        pin, high = divmod(self._select - TABLE, 2)
        if not 0 <= pin < PINS:
            return
        entry = self._table[pin]
        half = 0xFFFFFFFF << 32 * high
        entry = entry & (~half | REMOTE_IRR) | value << 32 * high & half & WRITABLE
        if not entry & LEVEL:
            entry &= ~REMOTE_IRR
        self._table[pin] = entry
        if entry & LEVEL and self._lines >> pin & 1:
            self._service(pin)

    def _service(self, pin: int) -> None:
        entry = self._table[pin]
        if entry & (MASKED | REMOTE_IRR):
            return
        level = bool(entry & LEVEL)
        taken = self._deliver(
            entry >> 56,
            logical=bool(entry & LOGICAL),
            mode=entry >> 8 & 7,
            vector=entry & VECTOR,
            level=level,
        )
        if level and taken:
            self._table[pin] |= REMOTE_IRR
