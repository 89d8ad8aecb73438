"""One counter of an 8254, computed from the tick instead of counted.

Modes and figures are those of the 82C54 data sheet (Intel 231244, October
1994). Time is `tick`: how many CLK pulses there have been since guest time 0.
A count written in tick k is loaded by pulse k+1, and every pulse after that
counts down by one (mode 3: by two), so all that has to be kept is the tick of
the load, and what a later load will bring.
"""

from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, Range

# Control word, figure 7
CONTROL_BITS = 0x3F
CONTROL_BCD = 0x01
ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH = 1, 2, 3

(
    INTERRUPT_ON_TERMINAL_COUNT,
    ONE_SHOT,
    RATE_GENERATOR,
    SQUARE_WAVE,
    SOFTWARE_STROBE,
    HARDWARE_STROBE,
) = range(6)
PERIODIC = (RATE_GENERATOR, SQUARE_WAVE)
TRIGGERED = (ONE_SHOT, HARDWARE_STROBE)

# Status byte, "Read-Back Command"
STATUS_OUT = 0x80
STATUS_NULL_COUNT = 0x40

COUNT_MAX = 0x10000  # what a written 0 means; in BCD it means 10,000
SHORTEST_PERIOD = 2  # "Minimum and Maximum Initial Counts", modes 2 and 3

Tick = Annotated[int, Range(-COUNT_MAX, (1 << 63) - 1)]
Count = Annotated[int, Range(1, COUNT_MAX)]


@dataclass(frozen=True)
class CounterState:
    """What one counter goes by."""

    control: Annotated[int, Range(ACCESS_LOW << 4, CONTROL_BITS)]  # RW, M and BCD as written
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
    paused: Annotated[int, Range(0, (1 << 63) - 1)] | None  # pulses counted when the gate fell


RESET = CounterState(
    control=ACCESS_BOTH << 4 | SQUARE_WAVE << 1,
    gate=True,
    low_byte=None,
    high_next=False,
    latched_count=None,
    latched_status=None,
    register=None,
    waiting=True,
    start=None,
    count=COUNT_MAX,
    reload=None,
    paused=None,
)


class Counter:
    """One counter with GATE and OUT; every method says at which tick it is called."""

    def __init__(self, state: CounterState) -> None:
        self.control = state.control
        self.gate = state.gate
        self.low_byte = state.low_byte
        self.high_next = state.high_next
        self.latched_count = state.latched_count
        self.latched_status = state.latched_status
        self.register = state.register
        self.waiting = state.waiting
        self.start = state.start
        self.count = state.count
        self.reload = state.reload
        self.paused = state.paused

    def state(self) -> CounterState:
        """Return the fields."""
        return CounterState(**vars(self))

    @property
    def mode(self) -> int:
        """0 to 5; 6 and 7 are other names of 2 and 3 (figure 7)."""
        mode = self.control >> 1 & 7
        return mode & 3 if mode > HARDWARE_STROBE else mode

    @property
    def latched(self) -> bool:
        """Whether the next read is of something latched earlier, whatever the tick."""
        return self.latched_count is not None or self.latched_status is not None

    @property
    def stores_next_write(self) -> bool:
        """Whether the next byte is but kept until its high byte, whatever the tick."""
        return (
            self.control >> 4 == ACCESS_BOTH
            and self.low_byte is None
            and self.mode != INTERRUPT_ON_TERMINAL_COUNT
        )

    def program(self, control: int) -> None:
        """Take a control word's RW, M and BCD bits: it stops until a count is written."""
        self.control = control & CONTROL_BITS
        self.low_byte = None
        self.high_next = False
        self.latched_count = None
        self.latched_status = None
        self.register = None
        self.waiting = True
        self.start = None
        self.reload = None
        self.paused = None

    def write(self, value: int, tick: int) -> None:
        """Take a byte of a count."""
        access = self.control >> 4
        if access == ACCESS_BOTH:
            if self.low_byte is None:
                self.low_byte = value
                if self.mode == INTERRUPT_ON_TERMINAL_COUNT:
                    self.start = None  # "Mode 0": OUT falls and the count stands still
                return
            value, self.low_byte = value << 8 | self.low_byte, None
        elif access == ACCESS_HIGH:
            value <<= 8
        self._set_register(self._decode(value), tick)

    def read(self, tick: int) -> int:
        """Return a byte of status or count, latched or as it is."""
        if self.latched_status is not None:
            status, self.latched_status = self.latched_status, None
            return status
        count = self.latched_count
        if count is None:
            count = self._encode(self.value(tick))
        access = self.control >> 4
        if access == ACCESS_BOTH:
            high = self.high_next
            self.high_next = not high
            if high:
                self.latched_count = None
        else:
            high = access == ACCESS_HIGH
            self.latched_count = None
        return count >> 8 if high else count & 0xFF

    def latch_count(self, tick: int) -> None:
        """Keep the count for reading; one that is kept already stays ("Counter Latch Command")."""
        if self.latched_count is None:
            self.latched_count = self._encode(self.value(tick))

    def latch_status(self, tick: int) -> None:
        """Keep the status byte for reading; one that is kept already stays."""
        if self.latched_status is not None:
            return
        self.settle(tick)
        null = self.waiting or self.start is None or tick < self.start
        self.latched_status = (
            (STATUS_OUT if self.out(tick) else 0)
            | (STATUS_NULL_COUNT if null else 0)
            | self.control
        )

    def set_gate(self, gate: bool, tick: int) -> None:
        """Move GATE; "Gate Pin Operations Summary" says what that does in each mode."""
        if gate == self.gate:
            return
        self.settle(tick)
        self.gate = gate
        if self.mode in TRIGGERED or self.mode in PERIODIC:
            if gate and self.register is not None:
                self._load(tick)
            elif not gate and self.mode in PERIODIC and self.start is not None:
                self.paused = max(0, tick - self.start)
                self.reload = None
        elif self.start is not None:
            if self.paused is None:
                self.paused = max(0, tick - self.start)
            else:
                self.start = max(self.start, tick - self.paused)
                self.paused = None

    def value(self, tick: int) -> int:
        """Return the counting element at `tick`, 0 to COUNT_MAX."""
        self.settle(tick)
        if self.start is None:
            return 0
        elapsed = max(0, self._elapsed(tick))
        if self.mode == RATE_GENERATOR:
            return self.count - elapsed % self.count
        if self.mode == SQUARE_WAVE:
            # "Mode 3": odd counts load count-1 and stay high for one pulse more.
            phase, high = elapsed % self.count, _high_pulses(self.count)
            return (self.count & ~1) - 2 * (phase - high if phase >= high else phase)
        return (self.count - elapsed) % self._modulus()

    def out(self, tick: int) -> bool:
        """Return the level of OUT at `tick`."""
        self.settle(tick)
        mode = self.mode
        if self.start is None:
            return mode != INTERRUPT_ON_TERMINAL_COUNT
        elapsed = self._elapsed(tick)
        # Two liberties, each of one CLK pulse: OUT of mode 1 falls with the trigger
        # and not with the load after it, and a count or trigger that comes in the
        # strobe of modes 4 and 5 ends it at once.
        if mode in (INTERRUPT_ON_TERMINAL_COUNT, ONE_SHOT):
            return elapsed >= self.count
        if mode in (SOFTWARE_STROBE, HARDWARE_STROBE):
            return elapsed != self.count
        if self.paused is not None or elapsed < 0:
            return True
        if mode == RATE_GENERATOR:
            return elapsed % self.count != self.count - 1
        return elapsed % self.count < _high_pulses(self.count)

    def next_rise(self, after: int) -> int | None:
        """Return the first tick later than `after` in which OUT rises, gate unchanged."""
        if self.start is None or self.paused is not None:
            return None
        if self.mode in PERIODIC:
            return self._next_period(after)
        strobe = self.mode in (SOFTWARE_STROBE, HARDWARE_STROBE)
        rise = self.start + self.count + strobe
        return rise if rise > after else None

    def settle(self, tick: int) -> None:
        """Do the reload that has come due by `tick`."""
        if self.reload is not None and tick >= self.reload:
            self.start, self.count = self._reloaded()
            self.reload = None
            self.waiting = False

    def _set_register(self, count: int, tick: int) -> None:
        self.settle(tick)
        self.register = count
        self.waiting = True
        loading = self.start is not None and tick < self.start
        if self.mode in TRIGGERED and not loading:
            return
        if self.mode in PERIODIC and self.start is not None and not loading:
            # Modes 2 and 3 finish the period, or half of it, with the old count.
            if self.paused is None:
                self.reload = self._period_end(tick)
            return
        self._load(tick)

    def _load(self, tick: int) -> None:
        assert self.register is not None
        self.start = tick + 1
        self.count = self.register
        self.waiting = False
        self.reload = None
        counts = self.gate or self.mode in TRIGGERED
        self.paused = None if counts else 0

    def _elapsed(self, tick: int) -> int:
        assert self.start is not None
        return tick - self.start if self.paused is None else self.paused

    def _period_end(self, tick: int) -> int:
        """Return the first tick later than `tick` in which a new count is loaded."""
        assert self.start is not None
        phase = (tick - self.start) % self.count
        if self.mode == SQUARE_WAVE and phase < _high_pulses(self.count):
            return tick - phase + _high_pulses(self.count)
        return tick - phase + self.count

    def _reloaded(self) -> tuple[int, int]:
        """Return start and count as they will be after the reload."""
        assert self.start is not None
        assert self.reload is not None
        assert self.register is not None
        if (self.reload - self.start) % self.count == 0:
            return self.reload, self.register
        # The low half of a square wave begins: as if the high half had been this count's.
        return self.reload - _high_pulses(self.register), self.register

    def _next_period(self, after: int) -> int | None:
        assert self.start is not None
        start, count = self.start, self.count
        rise = start + max(1, (after - start) // count + 1) * count
        if self.reload is not None and (rise > self.reload or count < SHORTEST_PERIOD):
            start, count = self._reloaded()
            rise = start + count
        return rise if count >= SHORTEST_PERIOD else None

    def _modulus(self) -> int:
        return 10_000 if self.control & CONTROL_BCD else COUNT_MAX

    def _decode(self, written: int) -> int:
        if not written:
            return self._modulus()
        if not self.control & CONTROL_BCD:
            return written
        return sum((written >> 4 * digit & 0xF) * 10**digit for digit in range(4))

    def _encode(self, count: int) -> int:
        count %= self._modulus()
        if not self.control & CONTROL_BCD:
            return count
        return sum(count // 10**digit % 10 << 4 * digit for digit in range(4))


def _high_pulses(count: int) -> int:
    """Return for how many pulses of its period a square wave is high ("Mode 3")."""
    return (count + 1) // 2


def check_counter(where: str, state: CounterState) -> None:
    """Raise StateError, its text beginning with `where`, if legal fields contradict each other."""
    counter = Counter(state)
    counting = state.start is not None
    if counting and state.register is None:
        raise StateError(f"{where}.start is set, but no count was written")
    if state.paused is not None and not counting:
        raise StateError(f"{where}.paused is set, but the counter is not counting")
    if state.reload is not None:
        if counter.mode not in PERIODIC or not counting or state.paused is not None:
            raise StateError(f"{where}.reload is set, but the counter is not in a period")
        if not state.waiting:
            raise StateError(f"{where}.reload is set, but no count is waiting")
