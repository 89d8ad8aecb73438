"""The local APIC of the processor (Intel SDM vol. 3A, chapter 11, "APIC").

What it does is in local_apic.c; here is what its state may be, and its timer as
one of the machine's.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from ftvm.errors import StateError
from ftvm.machine.cpu import NEVER, ffi, lib
from ftvm.machine.devices.fields import Byte, GuestTime, Length, Mask, Range, checked
from ftvm.units import Nanoseconds

PAGE = 0xFEE00
APIC_ID = 0
VERSION = 0x00050014  # integrated, six LVT entries but the one for CMCI
MASKED = 1 << 16  # in a local vector table entry, figure 11-8
LVT_TIMER, LVT_THERMAL, LVT_COUNTERS, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(6)
LVT_BITS = (0x300FF, 0x107FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF)
ENABLED = 1 << 8  # SVR
SVR_BITS = 0x1FF
ICR_LOW_BITS = 0xCCFFF & ~(1 << 12)  # all but delivery status
DIVIDE_BITS = 0xB
VECTOR_BYTES = 32
WORD = 0xFFFFFFFF
_PLAIN = (
    *("tpr", "logical_id", "model", "svr", "errors", "esr", "icr_low", "icr_high"),
    *("initial_count", "divide", "started_ns", "running", "lint0"),
)
_SETS = ("isr", "tmr", "irr")


@dataclass(frozen=True, slots=True)
class LocalApicState:
    """All registers; the three vector sets are 256 bits, vector 0 first."""

    tpr: Byte
    logical_id: Byte
    model: Annotated[int, Range(0, 15)]
    svr: Annotated[int, Mask(SVR_BITS)]
    isr: Annotated[bytes, Length(VECTOR_BYTES, VECTOR_BYTES)]
    tmr: Annotated[bytes, Length(VECTOR_BYTES, VECTOR_BYTES)]
    irr: Annotated[bytes, Length(VECTOR_BYTES, VECTOR_BYTES)]
    errors: Byte  # seen since ESR was written
    esr: Byte
    icr_low: Annotated[int, Mask(ICR_LOW_BITS)]
    icr_high: Byte
    lvt: tuple[
        Annotated[int, Mask(LVT_BITS[LVT_TIMER])],
        Annotated[int, Mask(LVT_BITS[LVT_THERMAL])],
        Annotated[int, Mask(LVT_BITS[LVT_COUNTERS])],
        Annotated[int, Mask(LVT_BITS[LVT_LINT0])],
        Annotated[int, Mask(LVT_BITS[LVT_LINT1])],
        Annotated[int, Mask(LVT_BITS[LVT_ERROR])],
    ]
    initial_count: Annotated[int, Range(0, WORD)]
    divide: Annotated[int, Mask(DIVIDE_BITS)]
    started_ns: GuestTime  # when the count was loaded or began anew
    running: bool
    lint0: bool


class LocalApic:
    """The registers at 0xfee00000, part of an `Interrupts *` of api.h."""

    def __init__(self, native: Any) -> None:
        self.name = "lapic"
        self.ports: tuple[range, ...] = ()
        self._native = native

    def read(self, port: int, size: int) -> int:
        """Answer no port: the registers are in memory."""
        raise ValueError(f"the local APIC has no port {port:#x}")

    def write(self, port: int, size: int, value: int) -> None:
        """Take no port: the registers are in memory."""
        raise ValueError(f"the local APIC has no port {port:#x}")

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time at which the timer's interrupt is due."""
        due = lib.interrupts_deadline(self._native)
        return None if due == NEVER else Nanoseconds(due)

    def advance(self, now: Nanoseconds) -> None:
        """Let the timer expire, if it is time: once, however often it was."""
        lib.interrupts_advance(self._native, now)

    def state(self) -> LocalApicState:
        """Return all registers."""
        apic = self._native.apic
        plain: dict[str, Any] = {name: getattr(apic, name) for name in _PLAIN}
        sets: dict[str, Any] = {name: bytes(ffi.buffer(getattr(apic, name))) for name in _SETS}
        return LocalApicState(**plain, **sets, lvt=tuple(apic.lvt))

    def restore(self, state: object) -> None:
        """Take over `state`, a legal LocalApicState."""
        new = checked(self.name, state, LocalApicState)
        if new.running and not new.initial_count:
            raise StateError(f"{self.name}: running without an initial count")
        if not new.svr & ENABLED and not all(lvt & MASKED for lvt in new.lvt):
            raise StateError(f"{self.name}: lvt is not masked, but svr is not enabled")
        apic = self._native.apic
        for name in _PLAIN:
            setattr(apic, name, getattr(new, name))
        for name in _SETS:
            ffi.buffer(getattr(apic, name))[:] = getattr(new, name)
        apic.lvt = new.lvt
        lib.interrupts_tell(self._native)
