"""The local APIC of the processor (Intel SDM vol. 3A, chapter 11, "APIC").

Sections and tables are that chapter's in the edition of 2023. One processor, so
messages between processors come back or are lost. The registers are at
0xfee00000, and cannot be moved or switched off by IA32_APIC_BASE.

    IRR  --- highest above PPR --->  INTR  --- acknowledged --->  ISR
     ^                                                             |
     I/O APIC, own timer, IPIs, errors, LINT0                     EOI

What firmware leaves is "virtual wire mode" (MP specification 1.4, §3.6.2.2): LINT0
passes the 8259A's interrupts through, as if there were no APIC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, GuestTime, Length, Mask, Range, checked
from ftvm.units import Nanoseconds

PAGE = 0xFEE00
APIC_ID = 0
VERSION = 0x00050014  # integrated, six LVT entries but the one for CMCI
CRYSTAL_NS = 10  # 100 MHz: CPUID leaf 15h says so

# Registers, table 11-1
ID, VERSION_REGISTER, TPR, APR, PPR, EOI = 0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0
LDR, DFR, SVR = 0xD0, 0xE0, 0xF0
ISR, TMR, IRR = 0x100, 0x180, 0x200
ESR, ICR_LOW, ICR_HIGH = 0x280, 0x300, 0x310
LVT_TIMER, LVT_THERMAL, LVT_COUNTERS, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(0x320, 0x380, 0x10)
INITIAL_COUNT, CURRENT_COUNT, DIVIDE = 0x380, 0x390, 0x3E0
TIMER_REGISTERS = frozenset((LVT_TIMER, SVR, INITIAL_COUNT, CURRENT_COUNT, DIVIDE))
LVTS = range(LVT_TIMER, LVT_ERROR + 1, 0x10)

# Local vector table, figure 11-8
MASKED = 1 << 16
PERIODIC = 1 << 17
DELIVERY = 7 << 8
FIXED, LOWEST, EXTINT = 0, 1, 7
LVT_BITS = {
    LVT_TIMER: 0x300FF,
    LVT_THERMAL: 0x107FF,
    LVT_COUNTERS: 0x107FF,
    LVT_LINT0: 0x1A7FF,
    LVT_LINT1: 0x1A7FF,
    LVT_ERROR: 0x100FF,
}

ENABLED = 1 << 8  # SVR
SVR_BITS = 0x1FF
ICR_LOW_BITS = 0xCCFFF & ~(1 << 12)  # all but delivery status
LOGICAL = 1 << 11
SHORTHAND_SHIFT = 18
NO_SHORTHAND, SELF, ALL, OTHERS = range(4)
FLAT_MODEL = 0xF
BROADCAST = 0xFF
DIVIDE_BITS = 0xB

# Errors, figure 11-9
SEND_ILLEGAL_VECTOR, RECEIVE_ILLEGAL_VECTOR = 1 << 5, 1 << 6
VECTOR_MIN = 16

VIRTUAL_WIRE_SVR = ENABLED | 0xFF
VIRTUAL_WIRE_LINT0 = 0x700
VIRTUAL_WIRE_LINT1 = 0x400 | MASKED  # nothing here makes an NMI
VECTOR_BYTES = 32
WORD = 0xFFFFFFFF


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
    """The registers at 0xfee00000.

    `intr` gets the level of the processor's INTR; `eoi` the vector of a level
    triggered interrupt that is done; `acknowledge_pic` takes the 8259A's vector.
    """

    def __init__(
        self,
        *,
        intr: Callable[[bool], None],
        eoi: Callable[[int], None],
        acknowledge_pic: Callable[[], int],
        clock: Callable[[], Nanoseconds],
    ) -> None:
        self.name = "lapic"
        self.ports: tuple[range, ...] = ()
        self._intr = intr
        self._eoi = eoi
        self._acknowledge_pic = acknowledge_pic
        self._clock = clock
        self._asserted = False
        self._tpr = 0
        self._logical_id = 0
        self._model = FLAT_MODEL
        self._svr = VIRTUAL_WIRE_SVR
        self._isr = self._tmr = self._irr = 0
        self._errors = self._esr = 0
        self._icr_low = self._icr_high = 0
        self._lvt = dict.fromkeys(LVTS, MASKED)
        self._lvt[LVT_LINT0] = VIRTUAL_WIRE_LINT0
        self._lvt[LVT_LINT1] = VIRTUAL_WIRE_LINT1
        self._initial_count = 0
        self._divide = 0
        self._started_ns = 0
        self._running = False
        self._lint0 = False

    # --- what others tell it ---

    def set_lint0(self, level: bool) -> None:
        """Take the level of the 8259A's INTR."""
        rises = level and not self._lint0
        self._lint0 = level
        lvt = self._lvt[LVT_LINT0]
        if rises and not lvt & (MASKED | DELIVERY) and self._svr & ENABLED:
            self.accept(lvt & 0xFF)
        self._update()

    def deliver(
        self, destination: int, *, logical: bool, mode: int, vector: int, level: bool
    ) -> bool:
        """Take a message of the I/O APIC or of itself; tell whether it is for this processor."""
        if not self._is_addressed(destination, logical):
            return False
        if mode in (FIXED, LOWEST):
            self.accept(vector, level=level)
        return True

    def accept(self, vector: int, *, level: bool = False) -> None:
        """Make an interrupt pending."""
        if not self._svr & ENABLED:
            return
        if vector < VECTOR_MIN:
            self._fail(RECEIVE_ILLEGAL_VECTOR)
            return
        bit = 1 << vector
        self._irr |= bit
        self._tmr = self._tmr | bit if level else self._tmr & ~bit
        self._update()

    def acknowledge(self) -> int:
        """Return the vector that the processor takes; -1 if there is none after all."""
        vector = self._pending()
        if vector is not None:
            self._irr &= ~(1 << vector)
            self._isr |= 1 << vector
            self._update()
            return vector
        if not self._passes_pic():
            return -1
        vector = self._acknowledge_pic()
        self._update()
        return vector

    # --- what the guest does ---

    def read(self, offset: int, size: int) -> int:
        """Return a register; accesses that are not 32 bits at 16 bytes read 0."""
        if size != 4 or offset & 0xF:
            return 0
        if ISR <= offset < ESR:
            bits = (self._isr, self._tmr, self._irr)[(offset - ISR) >> 7]
            return bits >> ((offset & 0x70) << 1) & WORD
        if offset in self._lvt:
            return self._lvt[offset]
        if offset == CURRENT_COUNT:
            return self._current_count()
        return {
            ID: APIC_ID << 24,
            VERSION_REGISTER: VERSION,
            TPR: self._tpr,
            PPR: self._ppr(),
            LDR: self._logical_id << 24,
            DFR: self._model << 28 | 0x0FFFFFFF,
            SVR: self._svr,
            ESR: self._esr,
            ICR_LOW: self._icr_low,
            ICR_HIGH: self._icr_high << 24,
            INITIAL_COUNT: self._initial_count,
            DIVIDE: self._divide,
        }.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; other accesses than 32 bits at 16 bytes do nothing."""
        if size != 4 or offset & 0xF:
            return
        if offset == EOI:
            self._end_of_interrupt()
        elif offset == TPR:
            self._tpr = value & 0xFF
            self._update()
        elif offset in self._lvt:
            self._write_lvt(offset, value & LVT_BITS[offset])
        elif offset in (INITIAL_COUNT, DIVIDE):
            self._write_timer(offset, value)
        elif offset == ICR_LOW:
            self._icr_low = value & ICR_LOW_BITS
            self._send()
        else:
            self._write_plain(offset, value)

    def _write_plain(self, offset: int, value: int) -> None:
        if offset == LDR:
            self._logical_id = value >> 24
        elif offset == DFR:
            self._model = value >> 28
        elif offset == ICR_HIGH:
            self._icr_high = value >> 24
        elif offset == ESR:
            self._esr, self._errors = self._errors, 0
        elif offset == SVR:
            self._svr = value & SVR_BITS
            if not value & ENABLED:  # §11.4.7.2: all LVT entries are masked
                for lvt in self._lvt:
                    self._lvt[lvt] |= MASKED
            self._update()

    # --- time ---

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time at which the timer's interrupt is due."""
        if not self._running or self._lvt[LVT_TIMER] & MASKED:
            return None
        return Nanoseconds(self._started_ns + self._period_ns())

    def advance(self, now: Nanoseconds) -> None:
        """Let the timer expire, if it is time: once, however often it was."""
        period_ns = self._period_ns()
        if not self._running or now < self._started_ns + period_ns:
            return
        if self._lvt[LVT_TIMER] & PERIODIC:
            self._started_ns += (now - self._started_ns) // period_ns * period_ns
        else:
            self._running = False
        if not self._lvt[LVT_TIMER] & MASKED:
            self.accept(self._lvt[LVT_TIMER] & 0xFF)

    def _tick_ns(self) -> int:
        code = self._divide & 3 | (self._divide & 8) >> 1  # figure 11-10
        return CRYSTAL_NS << ((code + 1) & 7)

    def _period_ns(self) -> int:
        return self._initial_count * self._tick_ns()

    def _current_count(self) -> int:
        if not self._running:
            return 0
        self.advance(self._clock())
        if not self._running:
            return 0
        return max(0, self._initial_count - (self._clock() - self._started_ns) // self._tick_ns())

    def _write_lvt(self, offset: int, value: int) -> None:
        if offset == LVT_TIMER and self._running:
            self.advance(self._clock())
        self._lvt[offset] = value | (0 if self._svr & ENABLED else MASKED)
        if offset == LVT_LINT0:
            self._update()

    def _write_timer(self, offset: int, value: int) -> None:
        now = self._clock()
        self.advance(now)
        if offset == DIVIDE:
            left = self._current_count_at(now)
            self._divide = value & DIVIDE_BITS
            # The count goes on at the new pace: as if it had begun so long ago.
            began = now - (self._initial_count - left) * self._tick_ns()
            self._started_ns = max(0, began)
        else:
            self._initial_count = value & WORD
            self._started_ns = now
            self._running = self._initial_count > 0

    def _current_count_at(self, now: int) -> int:
        if not self._running:
            return 0
        return max(0, self._initial_count - (now - self._started_ns) // self._tick_ns())

    # --- state ---

    def state(self) -> LocalApicState:
        """Return all registers."""
        return LocalApicState(
            tpr=self._tpr,
            logical_id=self._logical_id,
            model=self._model,
            svr=self._svr,
            isr=self._isr.to_bytes(VECTOR_BYTES, "little"),
            tmr=self._tmr.to_bytes(VECTOR_BYTES, "little"),
            irr=self._irr.to_bytes(VECTOR_BYTES, "little"),
            errors=self._errors,
            esr=self._esr,
            icr_low=self._icr_low,
            icr_high=self._icr_high,
            lvt=tuple(self._lvt[offset] for offset in LVTS),  # type: ignore[arg-type]
            initial_count=self._initial_count,
            divide=self._divide,
            started_ns=self._started_ns,
            running=self._running,
            lint0=self._lint0,
        )

    def restore(self, state: object) -> None:
        """Take over `state`, a legal LocalApicState."""
        new = checked(self.name, state, LocalApicState)
        if new.running and not new.initial_count:
            raise StateError(f"{self.name}: running without an initial count")
        if not new.svr & ENABLED and not all(lvt & MASKED for lvt in new.lvt):
            raise StateError(f"{self.name}: lvt is not masked, but svr is not enabled")
        self._tpr = new.tpr
        self._logical_id = new.logical_id
        self._model = new.model
        self._svr = new.svr
        self._isr = int.from_bytes(new.isr, "little")
        self._tmr = int.from_bytes(new.tmr, "little")
        self._irr = int.from_bytes(new.irr, "little")
        self._errors = new.errors
        self._esr = new.esr
        self._icr_low = new.icr_low
        self._icr_high = new.icr_high
        self._lvt = dict(zip(LVTS, new.lvt, strict=True))
        self._initial_count = new.initial_count
        self._divide = new.divide
        self._started_ns = new.started_ns
        self._running = new.running
        self._lint0 = new.lint0
        self._asserted = self._wants()
        self._intr(self._asserted)

    # --- inside ---

    def _is_addressed(self, destination: int, logical: bool) -> bool:
        if not logical:
            return destination in (APIC_ID, BROADCAST)
        if self._model == FLAT_MODEL:
            return bool(destination & self._logical_id)
        same_cluster = destination >> 4 in (self._logical_id >> 4, 0xF)
        return same_cluster and bool(destination & self._logical_id & 0xF)

    def _send(self) -> None:
        """Send the message in ICR (§11.6.1); to others than this processor it is lost."""
        low = self._icr_low
        mode, vector, shorthand = low >> 8 & 7, low & 0xFF, low >> SHORTHAND_SHIFT
        if mode in (FIXED, LOWEST) and vector < VECTOR_MIN:
            self._fail(SEND_ILLEGAL_VECTOR)
        elif shorthand in (SELF, ALL):
            if mode in (FIXED, LOWEST):
                self.accept(vector)
        elif shorthand == NO_SHORTHAND:
            logical = bool(low & LOGICAL)
            self.deliver(self._icr_high, logical=logical, mode=mode, vector=vector, level=False)

    def _fail(self, error: int) -> None:
        self._errors |= error
        lvt = self._lvt[LVT_ERROR]
        if not lvt & MASKED and lvt & 0xFF >= VECTOR_MIN:
            self.accept(lvt & 0xFF)

    def _end_of_interrupt(self) -> None:
        if not self._isr:
            return
        vector = self._isr.bit_length() - 1
        self._isr &= ~(1 << vector)
        if self._tmr >> vector & 1:
            self._eoi(vector)
        self._update()

    def _ppr(self) -> int:
        """The processor's priority (§11.8.3.1)."""
        in_service = max(self._isr.bit_length() - 1, 0)
        return self._tpr if self._tpr >> 4 >= in_service >> 4 else in_service & 0xF0

    def _pending(self) -> int | None:
        if not self._irr:
            return None
        vector = self._irr.bit_length() - 1
        return vector if vector >> 4 > self._ppr() >> 4 and self._svr & ENABLED else None

    def _passes_pic(self) -> bool:
        lvt = self._lvt[LVT_LINT0]
        return self._lint0 and not lvt & MASKED and (lvt & DELIVERY) >> 8 == EXTINT

    def _wants(self) -> bool:
        return self._pending() is not None or self._passes_pic()

    def _update(self) -> None:
        wants = self._wants()
        if wants != self._asserted:
            self._asserted = wants
            self._intr(wants)
