"""The interrupt controllers: two Intel 8259A in cascade, as in a PC AT.

What they do is in pic8259.c; here is what their state may be, and their ports.
Sections are those of the 8259A data sheet (Intel 231468, December 1988).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any

from ftvm.errors import StateError
from ftvm.machine.cpu import ffi, lib
from ftvm.machine.devices.fields import Byte, Mask, Range, checked

MASTER_BASE = 0x20
SLAVE_BASE = 0xA0
ELCR_BASE = 0x4D0
CASCADE_LINE = 2
LINE_COUNT = 16
# IRQ0, 1, 2, 8 and 13 are edge triggered for good (82371AB §8.6.5).
ELCR_BITS = (0xF8, 0xDE)
ICW2_VECTOR = 0xF8  # figure 7
ICW4_BITS = 0x1F

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


class PicPair:
    """Both controllers, a `PicPair *` of api.h; `changed` is called behind what may move INTR."""

    def __init__(self, native: Any, *, changed: Callable[[], None]) -> None:
        self.name = "pic"
        self.ports: tuple[range, ...] = (
            range(MASTER_BASE, MASTER_BASE + 2),
            range(SLAVE_BASE, SLAVE_BASE + 2),
            range(ELCR_BASE, ELCR_BASE + 2),
        )
        self._native = native
        self._changed = changed

    def read(self, port: int, size: int) -> int:
        """Return the register at `port`, or acknowledge by poll."""
        value = int(lib.pic_read(ffi.addressof(self._native), port))
        self._changed()
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """Take a command word, or the ELCR."""
        lib.pic_write(ffi.addressof(self._native), port, value & 0xFF)
        self._changed()

    def state(self) -> PicState:
        """Return both chips."""
        return PicState(_chip_state(self._native.master), _chip_state(self._native.slave))

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
        pair = ffi.new("PicPair *")
        for native, chip in ((pair.master, new.master), (pair.slave, new.slave)):
            for field in fields(ChipState):
                setattr(native, field.name, getattr(chip, field.name))
        if not lib.pic_cascaded(pair):
            raise StateError("pic: master.lines has an IR2 that is not the slave's output")
        ffi.addressof(self._native)[0] = pair[0]
        self._changed()


def _chip_state(chip: Any) -> ChipState:
    return ChipState(**{field.name: getattr(chip, field.name) for field in fields(ChipState)})


def checked_line(line: int) -> int:
    """Return the number of an interrupt line that a device can have; ValueError if none can."""
    if line not in range(LINE_COUNT) or line == CASCADE_LINE:
        raise ValueError(f"no device can have IRQ {line}")
    return line


class LonePicPair(PicPair):
    """A pair without APICs behind it; `intr` is told its output when that changes."""

    def __init__(self, *, intr: Callable[[bool], None]) -> None:
        self._pair = ffi.new("PicPair *")
        lib.pic_reset(self._pair)
        self._intr = intr
        self._level = False
        super().__init__(self._pair[0], changed=self._follow)

    def _follow(self) -> None:
        level = bool(lib.pic_intr(self._pair))
        if level != self._level:
            self._level = level
            self._intr(level)

    def irq(self, line: int) -> Callable[[bool], None]:
        """Return the setter of interrupt `line`, 0 to 15 but for 2, to hand to a device."""
        return partial(self.set_irq, checked_line(line))

    def set_irq(self, line: int, level: bool) -> None:
        """Set interrupt `line` (0 to 15 but for 2) high or low."""
        lib.pic_set_line(self._pair, line, level)
        self._follow()

    def acknowledge(self) -> int:
        """Do the CPU's interrupt acknowledge cycle; return the vector, 0 to 255."""
        vector = int(lib.pic_acknowledge(self._pair))
        self._follow()
        return vector
