"""The interrupt controllers: two Intel 8259A in cascade, as in a PC AT.

Sections are those of the 8259A data sheet (Intel 231468, December 1988).

    IRQ0-1, 3-7 --> master 0x20-21 --> INTR
                      ^ IR2
    IRQ8-15 ----> slave 0xa0-a1

Whether a line is edge or level triggered is said by ICW1 for all lines of a
chip, as in the AT, and by the ELCR (0x4d0-4d1, Intel 82371AB §8.6.5) for each.

A request is ``line and (edge seen or level triggered)``: the 8259A wants the
line to stay up until the acknowledge, in both modes, and answers IR7 if it
fell (data sheet, "Edge and Level Triggered Modes").
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, Mask, Range, checked

MASTER_BASE = 0x20
SLAVE_BASE = 0xA0
ELCR_BASE = 0x4D0
CASCADE_LINE = 2
LINE_COUNT = 16
# IRQ0, 1, 2, 8 and 13 are edge triggered for good (82371AB §8.6.5).
ELCR_BITS = (0xF8, 0xDE)

# Initialization command words, figure 7
ICW1 = 0x10
ICW1_ICW4_FOLLOWS = 0x01
ICW1_SINGLE = 0x02
ICW1_LEVEL = 0x08
ICW2_VECTOR = 0xF8
ICW4_AUTO_EOI = 0x02
ICW4_SPECIAL_FULLY_NESTED = 0x10
ICW4_BITS = 0x1F

# Operation command words, figure 8
OCW2_LEVEL = 0x07
OCW3 = 0x08
OCW3_READ_ISR = 0x01
OCW3_READ = 0x02
OCW3_POLL = 0x04
OCW3_SPECIAL_MASK = 0x20
OCW3_SET_SPECIAL_MASK = 0x40

# OCW2's three command bits: rotate, specific, end of interrupt
CLEAR_ROTATE_ON_AUTO_EOI = 0
EOI = 1
SPECIFIC_EOI = 3
SET_ROTATE_ON_AUTO_EOI = 4
ROTATE_ON_EOI = 5
SET_PRIORITY = 6
ROTATE_ON_SPECIFIC_EOI = 7

POLL_REQUEST = 0x80  # "Poll Command": bit 7 of the poll word
SPURIOUS_LEVEL = 7

# What a chip's next write to its odd port is; only a READY chip interrupts.
READY, UNINITIALISED, WANTS_ICW2, WANTS_ICW3, WANTS_ICW4 = range(5)


@dataclass(frozen=True)
class ChipState:
    """The registers of one 8259A and the levels at its inputs."""

    lines: Byte
    edges: Byte  # rising edges seen and not acknowledged; a subset of lines
    mask: Byte
    in_service: Byte
    elcr: Byte
    icw1: Byte
    vector: Annotated[int, Mask(ICW2_VECTOR)]
    icw3: Byte
    icw4: Annotated[int, Mask(ICW4_BITS)]
    stage: Annotated[int, Range(READY, WANTS_ICW4)]
    lowest: Annotated[int, Range(0, 7)]  # the level of lowest priority
    rotate_on_auto_eoi: bool
    special_mask: bool
    read_in_service: bool
    poll: bool


@dataclass(frozen=True)
class PicState:
    """Both chips."""

    master: ChipState
    slave: ChipState


RESET = ChipState(
    lines=0,
    edges=0,
    mask=0,
    in_service=0,
    elcr=0,
    icw1=0,
    vector=0,
    icw3=0,
    icw4=0,
    stage=UNINITIALISED,
    lowest=7,
    rotate_on_auto_eoi=False,
    special_mask=False,
    read_in_service=False,
    poll=False,
)


class Chip:
    """One 8259A, with the fields of ChipState as its registers."""

    def __init__(self, state: ChipState) -> None:
        self.lines = state.lines
        self.edges = state.edges
        self.mask = state.mask
        self.in_service = state.in_service
        self.elcr = state.elcr
        self.icw1 = state.icw1
        self.vector = state.vector
        self.icw3 = state.icw3
        self.icw4 = state.icw4
        self.stage = state.stage
        self.lowest = state.lowest
        self.rotate_on_auto_eoi = state.rotate_on_auto_eoi
        self.special_mask = state.special_mask
        self.read_in_service = state.read_in_service
        self.poll = state.poll

    def state(self) -> ChipState:
        """Return the registers."""
        return ChipState(**vars(self))

    def set_line(self, level: int, high: bool) -> None:
        """Move input `level`; an edge counts as long as the line stays up."""
        bit = 1 << level
        if high:
            self.edges |= bit & ~self.lines
            self.lines |= bit
        else:
            self.edges &= ~bit
            self.lines &= ~bit

    def requests(self) -> int:
        """Return the interrupt request register."""
        level_triggered = 0xFF if self.icw1 & ICW1_LEVEL else self.elcr
        return self.lines & (self.edges | level_triggered)

    def request(self) -> int | None:
        """Return the level to interrupt the CPU with, None if there is none."""
        wanted = self.requests() & ~self.mask
        if not wanted or self.stage != READY:
            return None
        rank = self._rank(wanted)
        # "Special Mask Mode": a level in service that is masked blocks nobody.
        busy = self._rank(self.in_service & ~(self.mask if self.special_mask else 0))
        level = self._level(rank)
        if rank < busy:
            return level
        # "Special Fully Nested Mode": a slave in service may interrupt again.
        if rank == busy and self.icw4 & ICW4_SPECIAL_FULLY_NESTED and self.has_slave(level):
            return level
        return None

    def acknowledge(self) -> int | None:
        """Take the level that requests into service and return it, None if none does."""
        level = self.request()
        if level is not None:
            self.edges &= ~(1 << level)
            if not self.icw4 & ICW4_AUTO_EOI:
                self.in_service |= 1 << level
            elif self.rotate_on_auto_eoi:
                self.lowest = level
        return level

    def vector_of(self, level: int | None) -> int:
        """Return the vector of an acknowledged level; without one, it is IR7's ("default IR7")."""
        return self.vector | (SPURIOUS_LEVEL if level is None else level)

    def has_slave(self, level: int) -> bool:
        """Tell whether ICW3 says that a slave's output is at input `level`."""
        return not self.icw1 & ICW1_SINGLE and bool(self.icw3 >> level & 1)

    def read_register(self, odd: bool) -> int:
        """Return what the even or odd port shows when no poll is due."""
        if odd:
            return self.mask
        return self.in_service if self.read_in_service else self.requests()

    def write(self, odd: bool, value: int) -> None:
        """Take a command word."""
        if odd:
            self._write_odd(value)
        elif value & ICW1:
            self._initialise(value)
        elif value & OCW3:
            if value & OCW3_SET_SPECIAL_MASK:
                self.special_mask = bool(value & OCW3_SPECIAL_MASK)
            if value & OCW3_READ:
                self.read_in_service = bool(value & OCW3_READ_ISR)
            self.poll = bool(value & OCW3_POLL)
        else:
            self._end_or_rotate(value >> 5, value & OCW2_LEVEL)

    def _initialise(self, icw1: int) -> None:
        # "Initialization Command Words 1 and 2", items a to f
        self.icw1 = icw1
        self.edges = 0
        self.mask = 0
        self.in_service = 0
        self.lowest = 7
        self.icw3 = 7
        self.icw4 = 0
        self.rotate_on_auto_eoi = False
        self.special_mask = False
        self.read_in_service = False
        self.poll = False
        self.stage = WANTS_ICW2

    def _write_odd(self, value: int) -> None:
        if self.stage == WANTS_ICW2:
            self.vector = value & ICW2_VECTOR
            self._expect(WANTS_ICW4 if self.icw1 & ICW1_SINGLE else WANTS_ICW3)
        elif self.stage == WANTS_ICW3:
            self.icw3 = value
            self._expect(WANTS_ICW4)
        elif self.stage == WANTS_ICW4:
            self.icw4 = value & ICW4_BITS
            self.stage = READY
        else:
            self.mask = value

    def _expect(self, stage: int) -> None:
        skip = stage == WANTS_ICW4 and not self.icw1 & ICW1_ICW4_FOLLOWS
        self.stage = READY if skip else stage

    def _end_or_rotate(self, command: int, level: int) -> None:
        if command == SET_PRIORITY:
            self.lowest = level
        elif command in (SET_ROTATE_ON_AUTO_EOI, CLEAR_ROTATE_ON_AUTO_EOI):
            self.rotate_on_auto_eoi = command == SET_ROTATE_ON_AUTO_EOI
        elif command in (EOI, ROTATE_ON_EOI):
            # "Special Mask Mode": the non-specific EOI passes masked levels over.
            done = self.in_service & ~(self.mask if self.special_mask else 0)
            if done:
                self._end(self._level(self._rank(done)), command == ROTATE_ON_EOI)
        elif command in (SPECIFIC_EOI, ROTATE_ON_SPECIFIC_EOI):
            self._end(level, command == ROTATE_ON_SPECIFIC_EOI)

    def _end(self, level: int, rotate: bool) -> None:
        self.in_service &= ~(1 << level)
        if rotate:
            self.lowest = level

    def _rank(self, levels: int) -> int:
        """Return how many priorities lie above the best of `levels`; 8 if there are none."""
        highest = self.lowest + 1 & 7
        turned = (levels | levels << 8) >> highest & 0xFF
        return (turned & -turned).bit_length() - 1 if turned else 8

    def _level(self, rank: int) -> int:
        return self.lowest + 1 + rank & 7


class PicPair:
    """Both controllers: sixteen lines in, one INTR out, vectors on acknowledge."""

    def __init__(self, *, intr: Callable[[bool], None]) -> None:
        self.name = "pic"
        self.ports: tuple[range, ...] = (
            range(MASTER_BASE, MASTER_BASE + 2),
            range(SLAVE_BASE, SLAVE_BASE + 2),
            range(ELCR_BASE, ELCR_BASE + 2),
        )
        self._intr = intr
        self._asserted = False
        self._master = Chip(RESET)
        self._slave = Chip(RESET)

    def irq(self, line: int) -> Callable[[bool], None]:
        """Return the setter of interrupt `line`, 0 to 15 but for 2, to hand to a device."""
        if line not in range(LINE_COUNT) or line == CASCADE_LINE:
            raise ValueError(f"no device can have IRQ {line}")
        return partial(self.set_irq, line)

    def set_irq(self, line: int, level: bool) -> None:
        """Set interrupt `line` (0 to 15 but for 2) high or low."""
        if line & 8:
            self._slave.set_line(line & 7, level)
            self._update()
        else:
            self._master.set_line(line, level)
            self._update_intr()

    def acknowledge(self) -> int:
        """Do the CPU's interrupt acknowledge cycle; return the vector, 0 to 255.

        Without a request it is IR7's, and nothing goes into service. (IRQ15's
        would take a line of the slave's that falls between the two pulses of
        the cycle; here nothing can happen between them.)
        """
        level = self._master.acknowledge()
        if level is not None and self._master.has_slave(level):
            vector = self._acknowledge_slave(level)
        else:
            vector = self._master.vector_of(level)
        self._update()
        return vector

    def read(self, port: int, size: int) -> int:
        """Return the register at `port`, or acknowledge by poll."""
        if port & ~1 == ELCR_BASE:
            return self._chip(port).elcr
        chip = self._chip(port)
        if not chip.poll:
            return chip.read_register(bool(port & 1))
        chip.poll = False
        level = chip.acknowledge()
        if chip is self._slave:
            self._drop_cascade()
        self._update()
        return 0 if level is None else POLL_REQUEST | level

    def write(self, port: int, size: int, value: int) -> None:
        """Take a command word, or the ELCR."""
        chip = self._chip(port)
        if port & ~1 == ELCR_BASE:
            chip.elcr = value & ELCR_BITS[port & 1]
        else:
            chip.write(bool(port & 1), value & 0xFF)
        self._update()

    def state(self) -> PicState:
        """Return both chips."""
        return PicState(self._master.state(), self._slave.state())

    def restore(self, state: object) -> None:
        """Take over `state`, a legal PicState, and tell the CPU the level of INTR."""
        new = checked(self.name, state, PicState)
        for role, chip, elcr_bits in zip(
            ("master", "slave"), (new.master, new.slave), ELCR_BITS, strict=True
        ):
            if chip.edges & ~chip.lines:
                raise StateError(f"pic: {role}.edges has an edge of a line that is low")
            if chip.elcr & ~elcr_bits:
                raise StateError(f"pic: {role}.elcr has a line that is always edge triggered")
        master, slave = Chip(new.master), Chip(new.slave)
        if (slave.request() is not None) != bool(master.lines >> CASCADE_LINE & 1):
            raise StateError("pic: master.lines has an IR2 that is not the slave's output")
        self._master, self._slave = master, slave
        self._update()

    def _chip(self, port: int) -> Chip:
        slave = port & 1 if port & ~1 == ELCR_BASE else port & SLAVE_BASE == SLAVE_BASE
        return self._slave if slave else self._master

    def _acknowledge_slave(self, level: int) -> int:
        if level != CASCADE_LINE or self._slave.icw3 & 7 != CASCADE_LINE:
            return 0xFF  # no slave has that number: nothing drives the bus
        vector = self._slave.vector_of(self._slave.acknowledge())
        self._drop_cascade()
        return vector

    def _drop_cascade(self) -> None:
        # INT falls with the acknowledge, so a further request is a new edge for the master.
        self._master.set_line(CASCADE_LINE, False)

    def _update(self) -> None:
        self._master.set_line(CASCADE_LINE, self._slave.request() is not None)
        self._update_intr()

    def _update_intr(self) -> None:
        asserted = self._master.request() is not None
        if asserted != self._asserted:
            self._asserted = asserted
            self._intr(asserted)
