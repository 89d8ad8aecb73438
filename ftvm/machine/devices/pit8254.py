"""The interval timer of a PC: an 8254 and the speaker port 0x61 around it.

What it does is in pit8254.c; here is what its state may be, and its ports. The
data sheet is that of the 82C54 (Intel 231244); port 0x61 is in the IBM PC AT
Technical Reference, "System Board I/O".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ftvm.machine.cpu import NEVER, ffi, lib
from ftvm.machine.devices.counter8254 import (
    TICK_MAX,
    CounterState,
    check_counter,
    counter_state,
    set_counter,
)
from ftvm.machine.devices.fields import Mask, Range, checked
from ftvm.units import Nanoseconds

BASE = 0x40
CONTROL = 0x43
SPEAKER = 0x61
SPEAKER_WRITABLE = 0x0F  # gate, speaker data, and the two check enables


@dataclass(frozen=True, slots=True)
class PitState:
    """Three counters and what is around them."""

    counters: tuple[CounterState, CounterState, CounterState]
    speaker: Annotated[int, Mask(SPEAKER_WRITABLE)]
    irq_high: bool
    seen: Annotated[int, Range(0, TICK_MAX)]  # the tick up to which IRQ0 has risen


class Pit8254:
    """The timer at 0x40-0x43 and port 0x61, a `Pit *` of api.h, whose wires are set."""

    def __init__(self, native: Any) -> None:
        self.name = "pit"
        self.ports: tuple[range, ...] = (range(BASE, CONTROL + 1), range(SPEAKER, SPEAKER + 1))
        self._native = native
        lib.pit_reset(native)

    def read(self, port: int, size: int) -> int:
        """Return a counter's byte or port 0x61; the control word reads all ones."""
        return int(lib.pit_read(self._native, port))

    def write(self, port: int, size: int, value: int) -> None:
        """Take a counter's byte, a control word or port 0x61."""
        lib.pit_write(self._native, port, value & 0xFF)

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time in ns of IRQ0's next rise, None if none will come."""
        due = lib.pit_deadline(self._native)
        return None if due == NEVER else Nanoseconds(due)

    def advance(self, now: Nanoseconds) -> None:
        """Raise IRQ0 if OUT rose since the last look: once, however often it rose."""
        lib.pit_advance(self._native, now)

    def state(self) -> PitState:
        """Return counters and port 0x61."""
        pit = self._native
        first, second, third = (counter_state(counter) for counter in pit.counters)
        return PitState((first, second, third), pit.speaker, pit.irq, pit.seen)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal PitState."""
        new = checked(self.name, state, PitState)
        pit = ffi.new("Pit *", self._native[0])
        for index, counter in enumerate(new.counters):
            set_counter(pit.counters[index], counter)
            check_counter(f"{self.name}: counters[{index}]", pit.counters[index])
        pit.speaker, pit.irq, pit.seen = new.speaker, new.irq_high, new.seen
        lib.pit_settle(pit)
        self._native[0] = pit[0]


class LonePit(Pit8254):
    """A timer without a machine; `irq` is IRQ0, `clock` guest time."""

    def __init__(self, *, irq: Callable[[bool], None], clock: Callable[[], Nanoseconds]) -> None:
        native = ffi.new("Pit *")
        self._wires = (
            ffi.callback("void(void *, bool)", lambda _, level: irq(level)),
            ffi.callback("uint64_t(void *)", lambda _: clock()),
        )
        native.wires.irq, native.wires.clock = self._wires
        super().__init__(native)
