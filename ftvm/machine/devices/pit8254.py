"""The interval timer of a PC: an 8254 and the speaker port 0x61 around it.

Figures and sections are those of the 82C54 data sheet (Intel 231244); port 0x61
is in the IBM PC AT Technical Reference, "System Board I/O".

    counter 0  GATE high                  OUT --> IRQ0
    counter 1  GATE high                  OUT: DRAM refresh, goes nowhere here
    counter 2  GATE from port 0x61 bit 0  OUT --> port 0x61 bit 5 (and a speaker)

Nothing ticks. A counter's value follows from guest time when it is asked for,
and IRQ0 asks for `advance` only when OUT of counter 0 will rise. The falls of
OUT in modes 2 to 5 come to IRQ0 just before the next rise: the controller looks
at the rise, and a wake-up for each fall would double their number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.devices.counter8254 import (
    INTERRUPT_ON_TERMINAL_COUNT,
    RESET,
    Counter,
    CounterState,
    check_counter,
)
from ftvm.machine.devices.fields import Mask, Range, checked
from ftvm.units import Nanoseconds

BASE = 0x40
CONTROL = 0x43
SPEAKER = 0x61

CLOCK_HZ = 1_193_182  # a twelfth of 14.31818 MHz, as kernels round it
NS_PER_S = 1_000_000_000

# Control word, figures 7, 9 and 10
READ_BACK = 3  # in place of a counter's number
COUNTER_LATCH = 0  # in place of RW
READ_BACK_NO_COUNT = 0x20
READ_BACK_NO_STATUS = 0x10

# Port 0x61
SPEAKER_GATE = 0x01
SPEAKER_WRITABLE = 0x0F  # gate, speaker data, and the two check enables
SPEAKER_REFRESH = 0x10
SPEAKER_OUT = 0x20
REFRESH_TICKS = 18  # what a PC's firmware gives counter 1: 15 µs


@dataclass(frozen=True, slots=True)
class PitState:
    """Three counters and what is around them."""

    counters: tuple[CounterState, CounterState, CounterState]
    speaker: Annotated[int, Mask(SPEAKER_WRITABLE)]
    irq_high: bool
    seen: Annotated[int, Range(0, (1 << 63) - 1)]  # the tick up to which IRQ0 has risen


class Pit8254:
    """The timer at 0x40-0x43 and port 0x61; `irq` is IRQ0, `clock` guest time."""

    def __init__(self, *, irq: Callable[[bool], None], clock: Callable[[], Nanoseconds]) -> None:
        self.name = "pit"
        self.ports: tuple[range, ...] = (range(BASE, CONTROL + 1), range(SPEAKER, SPEAKER + 1))
        self._irq = irq
        self._clock = clock
        self._counters = [Counter(RESET), Counter(RESET), Counter(RESET)]
        self._counters[2].gate = False
        self._speaker = 0
        self._irq_high = True  # OUT of mode 3 before it is given a count
        self._seen = 0
        self._next_rise: int | None = None

    def read(self, port: int, size: int) -> int:
        """Return a counter's byte or port 0x61; the control word reads all ones."""
        if port == SPEAKER:
            tick = self._now()
            refresh = SPEAKER_REFRESH if tick // REFRESH_TICKS & 1 else 0
            out = SPEAKER_OUT if self._counters[2].out(tick) else 0
            return self._speaker | refresh | out
        if port == CONTROL:
            return 0xFF  # figure 14: no operation, three-state
        counter = self._counters[port - BASE]
        return counter.read(self._seen if counter.latched else self._now())

    def write(self, port: int, size: int, value: int) -> None:
        """Take a counter's byte, a control word or port 0x61."""
        value &= 0xFF
        if port == SPEAKER:
            self._write_speaker(value & SPEAKER_WRITABLE)
        elif port == CONTROL:
            self._control(value)
        else:
            counter = self._counters[port - BASE]
            counter.write(value, self._seen if counter.stores_next_write else self._now())
            if port == BASE:
                self._follow_counter_0()

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time in ns of IRQ0's next rise, None if none will come."""
        if self._next_rise is None:
            return None
        return Nanoseconds(-(-self._next_rise * NS_PER_S // CLOCK_HZ))

    def advance(self, now: Nanoseconds) -> None:
        """Raise IRQ0 if OUT rose since the last look: once, however often it rose."""
        self._see(max(self._seen, now * CLOCK_HZ // NS_PER_S))

    def state(self) -> PitState:
        """Return counters and port 0x61."""
        first, second, third = (counter.state() for counter in self._counters)
        return PitState((first, second, third), self._speaker, self._irq_high, self._seen)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal PitState."""
        new = checked(self.name, state, PitState)
        for index, counter in enumerate(new.counters):
            check_counter(f"{self.name}: counters[{index}]", counter)
        self._counters = [Counter(counter) for counter in new.counters]
        self._speaker = new.speaker
        self._irq_high = new.irq_high
        self._seen = new.seen
        self._next_rise = self._counters[0].next_rise(self._seen)

    def _now(self) -> int:
        """Return the present tick, all that is due by then done."""
        self.advance(self._clock())
        return self._seen

    def _see(self, tick: int) -> None:
        rise = self._next_rise
        if rise is not None and rise <= tick:
            self._drive_irq(False)
            self._drive_irq(True)
        self._seen = tick
        self._counters[0].settle(tick)
        if rise is not None and rise <= tick:
            self._next_rise = self._counters[0].next_rise(tick)

    def _drive_irq(self, high: bool) -> None:
        if high != self._irq_high:
            self._irq_high = high
            self._irq(high)

    def _control(self, word: int) -> None:
        select, access = word >> 6, word >> 4 & 3
        if select == READ_BACK:
            self._read_back(word)
        elif access == COUNTER_LATCH:
            counter = self._counters[select]
            if counter.latched_count is None:
                counter.latch_count(self._now())
        else:
            if select == 0:
                self._now()  # what rose under the old mode did rise
            self._counters[select].program(word)
            if select == 0:
                self._follow_counter_0()

    def _read_back(self, word: int) -> None:
        tick = self._now()
        for index, counter in enumerate(self._counters):
            if word & 2 << index:
                if not word & READ_BACK_NO_COUNT:
                    counter.latch_count(tick)
                if not word & READ_BACK_NO_STATUS:
                    counter.latch_status(tick)

    def _follow_counter_0(self) -> None:
        """Bring IRQ0 in line after a write: mode 0 waits low, the others wait high."""
        counter = self._counters[0]
        self._drive_irq(counter.mode != INTERRUPT_ON_TERMINAL_COUNT)
        self._next_rise = counter.next_rise(self._seen)

    def _write_speaker(self, value: int) -> None:
        if (value ^ self._speaker) & SPEAKER_GATE:
            self._counters[2].set_gate(bool(value & SPEAKER_GATE), self._now())
        self._speaker = value
