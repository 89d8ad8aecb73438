"""One counter of an 8254, as the 82C54 data sheet (Intel 231244, October 1994) has it.

What it does is in counter8254.c; here is what its state may be.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from ftvm.errors import StateError
from ftvm.machine.cpu import ffi, lib
from ftvm.machine.devices.fields import Byte, Range

CONTROL_MIN, CONTROL_MAX = 0x10, 0x3F  # figure 7: RW, M and BCD; RW is not 0
PERIODIC = (2, 3)  # modes
COUNT_MAX = 0x10000  # what a written 0 means
TICK_MAX = 1 << 55  # guest time has 64 bits, and a tick is 838 ns

Tick = Annotated[int, Range(-COUNT_MAX, TICK_MAX)]
Count = Annotated[int, Range(1, COUNT_MAX)]


@dataclass(frozen=True)
class CounterState:
    """What one counter goes by."""

    control: Annotated[int, Range(CONTROL_MIN, CONTROL_MAX)]  # RW, M and BCD as written
    gate: bool
    low_byte: Byte | None  # of a count whose high byte is still to be written
    high_next: bool  # the next read of a two-byte count is the high byte
    latched_count: Annotated[int, Range(0, 0xFFFF)] | None  # as it will be read
    latched_status: Byte | None
    register: Count | None  # the count last written (CR); None after a control word
    waiting: bool  # the register is still to be loaded
    start: Tick | None  # the pulse that loaded the count; None: not counting
    count: Count  # what was loaded
    reload: Tick | None  # the pulse at which the waiting register will be loaded
    paused: Annotated[int, Range(0, TICK_MAX)] | None  # pulses counted when the gate fell


_ALWAYS = ("control", "gate", "high_next", "waiting", "count")
_OPTIONAL = ("low_byte", "latched_count", "latched_status", "start", "reload", "paused")


def counter_state(counter: Any) -> CounterState:
    """Return the state of a `PitCounter` of api.h."""
    fields: dict[str, Any] = {name: getattr(counter, name) for name in _ALWAYS}
    for name in _OPTIONAL:
        fields[name] = getattr(counter, name) if getattr(counter, f"has_{name}") else None
    return CounterState(register=counter.written or None, **fields)


def set_counter(counter: Any, state: CounterState) -> None:
    """Give a `PitCounter` a state, whose fields are legal."""
    for name in _ALWAYS:
        setattr(counter, name, getattr(state, name))
    for name in _OPTIONAL:
        value = getattr(state, name)
        setattr(counter, f"has_{name}", value is not None)
        setattr(counter, name, value or 0)
    counter.written = state.register or 0


def check_counter(where: str, counter: Any) -> None:
    """Raise StateError, its text beginning with `where`, if legal fields contradict each other."""
    if counter.has_start and not counter.written:
        raise StateError(f"{where}.start is set, but no count was written")
    if counter.has_paused and not counter.has_start:
        raise StateError(f"{where}.paused is set, but the counter is not counting")
    if counter.has_reload:
        periodic = lib.counter_mode(ffi.addressof(counter)) in PERIODIC
        if not periodic or not counter.has_start or counter.has_paused:
            raise StateError(f"{where}.reload is set, but the counter is not in a period")
        if not counter.waiting:
            raise StateError(f"{where}.reload is set, but no count is waiting")
