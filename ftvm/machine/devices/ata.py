"""The primary ATA channel of a PC: one cable with up to two drives, and IRQ 14.

::

    1f0      Data, 16 or 32 bits           1f6  Device
    1f1      Error / Features              1f7  Status / Command
    1f2-1f5  Sector Count, LBA Low to High 3f6  Alternate Status / Device Control

ATA/ATAPI-6 §7 has the registers; that they are there is the IBM PC AT Technical
Reference's. Both drives hear every write but a command's, and the one that
Device's bit 4 names answers. A single drive answers for the one that is missing
as §9.16.1 says: Status is 0, commands have no effect, and the rest is its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.ata_drive import Drive
from ftvm.machine.devices.ata_registers import DEVICE, DRQ, NUMBER_BIT, DriveState
from ftvm.machine.devices.fields import Mask, Range, checked
from ftvm.machine.devices.port_buffer import PortBuffer
from ftvm.machine.disk import Disk

BASE, CONTROL = 0x1F0, 0x3F6
DATA, STATUS = 0, 7  # Status when read, Command when written
WHOLE = (2, 4)

# Device Control, §7.9.
HOB, SRST, NIEN = 0x80, 0x04, 0x02

EXECUTE_DIAGNOSTIC = 0x90


@dataclass(frozen=True, slots=True)
class AtaState:
    """``control`` is Device Control, ``selected`` the drive that answers; the second may miss."""

    control: Annotated[int, Mask(HOB | SRST | NIEN)]
    selected: Annotated[int, Range(0, 1)]
    first: DriveState
    second: DriveState | None


class AtaChannel:
    """Ports 0x1f0-0x1f7 and 0x3f6; `irq` gets the level of INTRQ. One or two disks."""

    def __init__(
        self, *, disks: Sequence[Disk], irq: Callable[[bool], None], data: PortBuffer
    ) -> None:
        self.name = "ata"
        self.ports: tuple[range, ...] = (range(BASE, BASE + 8), range(CONTROL, CONTROL + 1))
        self._irq = irq
        self._level = False
        self._data = data
        self._drives = [Drive(disk, number, data) for number, disk in enumerate(disks)]
        self._control = 0
        self._selected = 0

    # --- ports ---

    def read(self, port: int, size: int) -> int:
        """Answer a read; of a register, its bytes and those behind it."""
        if port == BASE + DATA:
            return self._read_data(size)
        value = 0
        for at in range(size):
            value |= self._read_register(port + at) << 8 * at
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """Take a write; to a register, of its bytes and to those behind it."""
        if port == BASE + DATA:
            self._write_data(size, value)
            return
        for at in range(size):
            self._write_register(port + at, value >> 8 * at & 0xFF)

    def _read_data(self, size: int) -> int:
        if size == 1 or self._drive is None:
            return (1 << 8 * size) - 1
        value = self._data.read(size)
        self._drive.data_moved()
        self._move_line()
        return value

    def _write_data(self, size: int, value: int) -> None:
        if size == 1 or self._drive is None:
            return
        self._data.write(size, value)
        self._drive.data_moved()
        self._move_line()

    def _read_register(self, port: int) -> int:
        if port == CONTROL:
            return 0 if self._drive is None else self._drive.status
        if not BASE < port <= BASE + STATUS:
            return 0xFF
        register = port - BASE
        if register == STATUS:
            return self._read_status()
        drive = self._drive or self._drives[0]
        return drive.read(register, bool(self._control & HOB))

    def _read_status(self) -> int:
        """§7.15.4: reading Status, and not Alternate Status, ends a pending interrupt."""
        if self._drive is None:
            return 0
        status = self._drive.status
        self._drive.acknowledge()
        self._move_line()
        return status

    def _write_register(self, port: int, value: int) -> None:
        if port == CONTROL:
            self._write_control(value)
        elif BASE < port < BASE + STATUS:
            self._write_block(port - BASE, value)
        elif port == BASE + STATUS:
            self._write_command(value)

    def _write_block(self, register: int, value: int) -> None:
        self._control &= ~HOB
        if any(drive.moves for drive in self._drives):
            return  # with a command under way, Device does not change either
        for drive in self._drives:
            drive.write(register, value)
        if register == DEVICE:
            self._selected = 1 if value & NUMBER_BIT else 0
            self._move_line()

    def _write_command(self, value: int) -> None:
        self._control &= ~HOB
        if self._control & SRST:
            return
        if value == EXECUTE_DIAGNOSTIC:
            for drive in self._drives:
                drive.diagnose()
            self._selected = 0
        elif self._drive is not None:
            self._drive.acknowledge()
            self._drive.command(value)
        self._move_line()

    def _write_control(self, value: int) -> None:
        before, self._control = self._control, value & (HOB | SRST | NIEN)
        if value & ~before & SRST:
            for drive in self._drives:
                drive.begin_reset()
        elif before & ~value & SRST:
            for drive in self._drives:
                drive.end_reset()
            self._selected = 0
        self._move_line()

    @property
    def _drive(self) -> Drive | None:
        """The drive that answers; None of one that is not there."""
        return self._drives[self._selected] if self._selected < len(self._drives) else None

    def _move_line(self) -> None:
        if self._wanted_level != self._level:
            self._level = not self._level
            self._irq(self._level)

    # --- state ---

    def state(self) -> AtaState:
        """Return Device Control, which drive is selected, and the drives."""
        drives = [drive.state() for drive in self._drives]
        second = drives[1] if len(drives) > 1 else None
        return AtaState(self._control, self._selected, drives[0], second)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal AtaState."""
        new = checked(self.name, state, AtaState)
        states = [new.first] if new.second is None else [new.first, new.second]
        if len(states) != len(self._drives):
            raise StateError(
                f"{self.name}: {len(states)} drives, and there are {len(self._drives)}"
            )
        known = [
            drive.check(f"{self.name}: drive {number}", each)
            for number, (drive, each) in enumerate(zip(self._drives, states, strict=True))
        ]
        moving = [number for number, each in enumerate(known) if each.status & DRQ]
        if moving not in ([], [new.selected]):
            raise StateError(f"{self.name}: data of a drive that is not selected is on its way")
        self._data.close()
        for drive, each in zip(self._drives, known, strict=True):
            drive.restore(each)
        self._control, self._selected = new.control, new.selected
        self._level = self._wanted_level

    @property
    def _wanted_level(self) -> bool:
        """INTRQ is the selected drive's, and floats with nIEN set (§5.2.9): the PC pulls it low."""
        drive = self._drive
        return drive is not None and drive.interrupt and not self._control & NIEN
