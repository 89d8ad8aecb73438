"""The real-time clock and CMOS memory of a PC: Motorola MC146818A at 0x70-0x71.

Sections are those of the MC146818A data sheet. The bytes beyond its registers
that say how much memory there is are where the IBM PC AT Technical Reference
("Real-Time Clock/CMOS RAM") and PC firmware since then have them.

The divider chain is counted from guest time plus a phase, and a second of the
calendar is counted from that, so that time is computed when it is read. While
the guest holds the clock (SET, or the divider chain in reset) the registers
are bytes like any other. No clock crystal but the PC's 32.768 kHz is modelled,
and no daylight saving.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices import calendar
from ftvm.machine.devices.fields import Byte, GuestTime, Length, Mask, Range, checked
from ftvm.units import Nanoseconds

INDEX_PORT = 0x70
DATA_PORT = 0x71
INDEX_BITS = 0x7F
NMI_MASK = 0x80  # bit 7 of port 0x70 keeps NMI from the CPU

# Registers, figure "Address Map"; the century is where PC firmware keeps it.
TIME_REGISTERS = {0: 0, 2: 1, 4: 2, 6: 3, 7: 4, 8: 5, 9: 6, 0x32: 7}
ALARM_REGISTERS = {1: 0, 3: 1, 5: 2}
REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D = 0x0A, 0x0B, 0x0C, 0x0D
NVRAM_FIRST = 0x0E
NVRAM_BYTES = 0x80 - NVRAM_FIRST

# Register A
UPDATE_IN_PROGRESS = 0x80
DIVIDER_RESET = 0x60  # DV: 11x
RATE = 0x0F

# Registers B and C: each enable bit has its flag at the same place.
SET = 0x80
PERIODIC = 0x40
ALARM = 0x20
UPDATE_ENDED = 0x10
FLAGS = PERIODIC | ALARM | UPDATE_ENDED
INTERRUPT_REQUEST = 0x80
VALID_RAM_AND_TIME = 0x80  # register D

# What PC firmware leaves: 32.768 kHz, 1024 Hz; 24 hours, BCD.
RESET_A = 0x26
RESET_B = calendar.HOURS_24

CRYSTAL_HZ = 32_768
NS_PER_S = 1_000_000_000
# "Update Cycle": UIP is up for 244 µs before and for the 1984 µs of the update.
UPDATE_NS = 2_228_000
FIRST_UPDATE_NS = 500_000_000  # "Divider Control": after release from reset
ALARM_ANY = 0xC0  # an alarm byte from here on matches always

# IBM PC AT Technical Reference, "Equipment byte": a coprocessor, a display with a BIOS of
# its own, no diskette drives.
EQUIPMENT, COPROCESSOR = 0x14, 0x02

KIB = 1024
BASE_MEMORY_KIB = 640
EXTENDED_FROM_KIB = 1024
HIGH_FROM_KIB = 16 * 1024
HIGH_UNIT_KIB = 64

SHIFT_LIMIT_S = 1 << 40


@dataclass(frozen=True, slots=True)
class CmosState:
    """Registers, memory, and how clock time follows from guest time."""

    index: Annotated[int, Mask(INDEX_BITS)]
    nmi_masked: bool
    a: Annotated[int, Mask(0x7F)]
    b: Byte
    flags: Annotated[int, Mask(FLAGS)]
    alarm: Annotated[bytes, Length(3, 3)]
    held: Annotated[bytes, Length(8, 8)] | None  # the time registers while the clock stands
    shift_s: Annotated[int, Range(-SHIFT_LIMIT_S, SHIFT_LIMIT_S)]  # calendar less divider
    phase_ns: Annotated[int, Range(0, NS_PER_S - 1)]  # divider less guest time
    weekday_shift: Annotated[int, Range(0, 6)]
    seen_ns: GuestTime  # flags are up to date to here
    nvram: Annotated[bytes, Length(NVRAM_BYTES, NVRAM_BYTES)]


class Cmos:
    """Clock and memory at 0x70-0x71; `irq` is IRQ8, `clock` guest time.

    `epoch_s` is the date at guest time 0 in seconds since 1970-01-01 UTC,
    `memory_bytes` the size of the guest's memory from address 0.
    """

    def __init__(
        self,
        *,
        irq: Callable[[bool], None],
        clock: Callable[[], Nanoseconds],
        epoch_s: int,
        memory_bytes: int,
    ) -> None:
        self.name = "cmos"
        self.ports: tuple[range, ...] = (range(INDEX_PORT, DATA_PORT + 1),)
        self._irq = irq
        self._clock = clock
        self._asserted = False
        self._index = 0
        self._nmi_masked = False
        self._a = RESET_A
        self._b = RESET_B
        self._flags = 0
        self._alarm = bytearray(3)
        self._held: bytearray | None = None
        self._shift_s = calendar.UNIX_EPOCH_S + epoch_s
        self._phase_ns = 0
        self._weekday_shift = 0
        self._seen_ns = 0
        self._nvram = bytearray(NVRAM_BYTES)
        self._tell_memory(memory_bytes)
        self._nvram[EQUIPMENT - NVRAM_FIRST] = COPROCESSOR

    @property
    def nmi_masked(self) -> bool:
        """Whether bit 7 of port 0x70 keeps NMI from the CPU."""
        return self._nmi_masked

    def read(self, port: int, size: int) -> int:
        """Return the chosen register; the index port reads all ones."""
        if port == INDEX_PORT:
            return 0xFF
        index = self._index
        if index in TIME_REGISTERS:
            return self._time()[TIME_REGISTERS[index]]
        if index in ALARM_REGISTERS:
            return self._alarm[ALARM_REGISTERS[index]]
        if index == REGISTER_A:
            return self._a | (UPDATE_IN_PROGRESS if self._updating() else 0)
        if index == REGISTER_B:
            return self._b
        if index == REGISTER_C:
            return self._take_flags()
        if index == REGISTER_D:
            return VALID_RAM_AND_TIME
        return self._nvram[index - NVRAM_FIRST]

    def write(self, port: int, size: int, value: int) -> None:
        """Choose a register and the NMI mask, or write the chosen register."""
        value &= 0xFF
        index = self._index
        if port == INDEX_PORT:
            self._index = value & INDEX_BITS
            self._nmi_masked = bool(value & NMI_MASK)
        elif index in TIME_REGISTERS:
            self._set_time(TIME_REGISTERS[index], value)
        elif index in ALARM_REGISTERS:
            self.advance(self._clock())
            self._alarm[ALARM_REGISTERS[index]] = value
        elif index == REGISTER_A:
            self._write_control(value & ~UPDATE_IN_PROGRESS, self._b)
        elif index == REGISTER_B:
            # "SET": going high clears the update-ended enable.
            keep = ~UPDATE_ENDED if value & ~self._b & SET else ~0
            self._write_control(self._a, value & keep)
        elif index >= NVRAM_FIRST:
            self._nvram[index - NVRAM_FIRST] = value

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time in ns at which IRQ8 may next rise, None if it cannot."""
        if self._asserted or _divider_stands(self._a):
            return None
        times = []
        if self._b & PERIODIC and (period := self._period()):
            periods = self._crystal(self._seen_ns) // period + 1
            times.append(-(-periods * period * NS_PER_S // CRYSTAL_HZ))
        if self._held is None:
            second = self._second(self._seen_ns)
            if self._b & UPDATE_ENDED:
                times.append((second + 1 - self._shift_s) * NS_PER_S)
            if self._b & ALARM and (alarm := self._next_alarm(second)) is not None:
                times.append((alarm - self._shift_s) * NS_PER_S)
        return Nanoseconds(min(times) - self._phase_ns) if times else None

    def advance(self, now: Nanoseconds) -> None:
        """Set the flags of what has happened up to `now`, and IRQ8 by them."""
        self._see(now)
        self._drive_irq()

    def state(self) -> CmosState:
        """Return registers and memory."""
        return CmosState(
            index=self._index,
            nmi_masked=self._nmi_masked,
            a=self._a,
            b=self._b,
            flags=self._flags,
            alarm=bytes(self._alarm),
            held=None if self._held is None else bytes(self._held),
            shift_s=self._shift_s,
            phase_ns=self._phase_ns,
            weekday_shift=self._weekday_shift,
            seen_ns=self._seen_ns,
            nvram=bytes(self._nvram),
        )

    def restore(self, state: object) -> None:
        """Take over `state`, a legal CmosState."""
        new = checked(self.name, state, CmosState)
        if (new.held is not None) != _holds(new.a, new.b):
            raise StateError(f"{self.name}: held does not agree with registers a and b")
        self._index = new.index
        self._nmi_masked = new.nmi_masked
        self._a = new.a
        self._b = new.b
        self._flags = new.flags
        self._alarm[:] = new.alarm
        self._held = None if new.held is None else bytearray(new.held)
        self._shift_s = new.shift_s
        self._phase_ns = new.phase_ns
        self._weekday_shift = new.weekday_shift
        self._seen_ns = new.seen_ns
        self._nvram[:] = new.nvram
        self._asserted = bool(self._flags & self._b)

    def _crystal(self, now_ns: int) -> int:
        """Return the crystal's pulses that the divider has counted at `now_ns`."""
        return (now_ns + self._phase_ns) * CRYSTAL_HZ // NS_PER_S

    def _second(self, now_ns: int) -> int:
        """Return the calendar's second at `now_ns`, the clock running."""
        return (now_ns + self._phase_ns) // NS_PER_S + self._shift_s

    def _period(self) -> int:
        """Return the crystal pulses of a periodic interrupt, 0 for none ("Rate Selection")."""
        rate = self._a & RATE
        if not rate:
            return 0
        return 1 << (rate + 6 if rate <= 2 else rate - 1)

    def _next_alarm(self, after: int) -> int | None:
        """Return the first second later than `after` that the alarm bytes match."""
        wanted: list[int | None] = []
        for register, byte in enumerate(self._alarm):  # SECOND, MINUTE, HOUR
            number = None if byte >= ALARM_ANY else calendar.shown_by(register, byte, self._b)
            if number is None and byte < ALARM_ANY:
                return None
            wanted.append(number)
        s, m, h = wanted
        at = after + 1
        while True:  # each step may carry into a larger unit, so look at that again
            if h is not None and at // 3600 % 24 != h:
                at += (h - at // 3600) % 24 * 3600 - at % 3600
            elif m is not None and at // 60 % 60 != m:
                at += (m - at // 60) % 60 * 60 - at % 60
            elif s is not None and at % 60 != s:
                at += (s - at) % 60
            else:
                return at

    def _see(self, now: int) -> None:
        """Set the flags of all that happened later than the last look, up to `now`."""
        seen, now = self._seen_ns, max(self._seen_ns, now)
        self._seen_ns = now
        if _divider_stands(self._a):
            return
        period = self._period()
        if period and self._crystal(now) // period > self._crystal(seen) // period:
            self._flags |= PERIODIC
        if self._held is not None:
            return
        before, after = self._second(seen), self._second(now)
        if after > before:
            self._flags |= UPDATE_ENDED
            alarm = self._next_alarm(before)
            if alarm is not None and alarm <= after:
                self._flags |= ALARM

    def _drive_irq(self) -> None:
        asserted = bool(self._flags & self._b)
        if asserted != self._asserted:
            self._asserted = asserted
            self._irq(asserted)

    def _take_flags(self) -> int:
        self.advance(self._clock())
        flags = self._flags | (INTERRUPT_REQUEST if self._asserted else 0)
        self._flags = 0
        self._drive_irq()
        return flags

    def _updating(self) -> bool:
        if self._held is not None:
            return False
        return (self._clock() + self._phase_ns) % NS_PER_S >= NS_PER_S - UPDATE_NS

    def _time(self) -> bytes | bytearray:
        if self._held is not None:
            return self._held
        return calendar.registers(self._second(self._clock()), self._weekday_shift, self._b)

    def _set_time(self, register: int, value: int) -> None:
        if self._held is not None:
            self._held[register] = value
            return
        self.advance(self._clock())
        content = bytearray(
            calendar.registers(self._second(self._seen_ns), self._weekday_shift, self._b)
        )
        content[register] = value
        self._start(content)

    def _start(self, content: bytes | bytearray) -> None:
        """Let the calendar go on from register `content` now, in the divider's present second."""
        second, self._weekday_shift = calendar.second_of(bytes(content), self._b)
        self._shift_s += second - self._second(self._seen_ns)

    def _write_control(self, a: int, b: int) -> None:
        """Write registers A and B: hold the clock, let it go, enable interrupts."""
        self.advance(self._clock())
        if self._held is None and _holds(a, b):
            self._held = bytearray(
                calendar.registers(self._second(self._seen_ns), self._weekday_shift, self._b)
            )
        released = _divider_stands(self._a) and not _divider_stands(a)
        self._a, self._b = a, b
        if released:
            self._phase_ns = (NS_PER_S - FIRST_UPDATE_NS - self._seen_ns) % NS_PER_S
        if self._held is not None and not _holds(a, b):
            held, self._held = self._held, None
            self._start(held)
        self._drive_irq()

    def _tell_memory(self, memory_bytes: int) -> None:
        total_kib = memory_bytes // KIB
        extended_kib = max(0, total_kib - EXTENDED_FROM_KIB)
        high_units = max(0, total_kib - HIGH_FROM_KIB) // HIGH_UNIT_KIB
        for index, amount in (
            (0x15, min(BASE_MEMORY_KIB, total_kib)),
            (0x17, extended_kib),
            (0x30, extended_kib),
            (0x34, high_units),
        ):
            at = index - NVRAM_FIRST
            self._nvram[at : at + 2] = min(amount, 0xFFFF).to_bytes(2, "little")


def _divider_stands(a: int) -> bool:
    return a & DIVIDER_RESET == DIVIDER_RESET


def _holds(a: int, b: int) -> bool:
    """Tell whether registers A and B stop the calendar."""
    return bool(b & SET) or _divider_stands(a)
