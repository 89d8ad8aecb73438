"""One ATA drive: its registers, and what it does on commands (ATA/ATAPI-6, T13/1410D).

Section and table numbers are of that standard. PIO only: the commands for DMA and
for packets are aborted, as by a drive that does not have them. A command is done
as soon as its register is written, and a block of data is there, or taken, when
the last word of the one before has moved: BSY is seen only during a reset.

Where the standard leaves it open: a sector that cannot be read or does not exist
ends the command without data from its block on; blocks before have been moved.
"""

from collections.abc import Callable

from ftvm.errors import StateError
from ftvm.machine.devices.ata_identity import (
    ADDRESSES_28_MAX,
    MULTIPLE_MAX,
    Geometry,
    default_geometry,
    identify,
)
from ftvm.machine.devices.ata_registers import (
    ABRT,
    BSY,
    COUNT,
    COUNT_28,
    COUNT_48,
    DEEP,
    DEVICE,
    DIAGNOSTIC_PASSED,
    DRQ,
    ERR,
    FEATURES,
    HEAD_BITS,
    IDNF,
    LBA_BIT,
    LBA_HIGH,
    LBA_LOW,
    OBSOLETE_BITS,
    READY,
    UNC,
    WP,
    DriveState,
)
from ftvm.machine.devices.fields import checked
from ftvm.machine.devices.port_buffer import PortBuffer
from ftvm.machine.disk import (
    SECTOR_BYTES,
    Disk,
    UnreadableSector,
)
from ftvm.units import Sector

POWER_ACTIVE = 0xFF  # table 18, CHECK POWER MODE
VERIFY_SECTORS = 128
"""Sectors that are read at once to verify them."""


class Drive:
    """A disk on the cable, as device `number`; `data` is the port that its data goes through."""

    def __init__(self, disk: Disk, number: int, data: PortBuffer) -> None:
        self._disk = disk
        self._number = number
        self._data = data
        self._commands = _commands()
        self._registers = bytearray(2 * DEEP)
        self._interrupt = False
        self._reads = self._identifies = self._is_long = False
        self._next, self._left, self._block, self._per_block = Sector(0), 0, 0, 1
        self._reverts = True
        self._set_defaults()
        self._sign()

    # --- registers ---

    @property
    def status(self) -> int:
        """The Status register; reading it here has no effect."""
        return self._status

    @property
    def moves(self) -> bool:
        """Whether a block of data is on its way."""
        return bool(self._status & DRQ)

    @property
    def interrupt(self) -> bool:
        """Whether an interrupt is pending."""
        return self._interrupt

    def acknowledge(self) -> None:
        """The host has read Status, or writes a command: no interrupt is pending any more."""
        self._interrupt = False

    def read(self, register: int, previous: bool) -> int:
        """Return Error (as register 1) to Device; with `previous`, what was there before."""
        if register == FEATURES:
            return self._error
        if register == DEVICE:
            return self._device | OBSOLETE_BITS
        return self._registers[register - 1 + (DEEP if previous else 0)]

    def write(self, register: int, value: int) -> None:
        """Take a write of Features to Device; while a command is under way it has no effect."""
        if self._status & (BSY | DRQ):
            return
        if register == DEVICE:
            self._device = value
        else:
            self._registers[register - 1 + DEEP] = self._registers[register - 1]
            self._registers[register - 1] = value

    # --- resets ---

    def begin_reset(self) -> None:
        """SRST is set, §9.2: nothing goes on, the drive is busy."""
        self._stop()
        self._status = BSY

    def end_reset(self) -> None:
        """SRST is cleared: the drive has passed its diagnostics."""
        if self._reverts:
            self._set_defaults()
        self._sign()

    def diagnose(self) -> None:
        """EXECUTE DEVICE DIAGNOSTIC, §8.9, which both drives do."""
        self._stop()
        self._sign()
        self._interrupt = self._number == 0

    def _stop(self) -> None:
        if self._status & DRQ:
            self._data.close()
        self._left = self._block = 0
        self._interrupt = False

    def _set_defaults(self) -> None:
        """As after power-on; what firmware would have set (SET MULTIPLE) is set."""
        geometry = default_geometry(self._disk.sectors)
        self._heads, self._track = geometry.heads, geometry.track
        self._multiple = MULTIPLE_MAX
        self._write_cache = self._look_ahead = True

    def _sign(self) -> None:
        """The signature of a drive that is no packet device, table 26 in §9.12."""
        self._registers[:] = bytes((0, 1, 1, 0, 0)) + bytes(DEEP)
        self._device = 0
        self._error = DIAGNOSTIC_PASSED
        self._status = READY

    # --- commands ---

    def command(self, command: int) -> None:
        """Take a write of Command; one is under way as long as there is data to move."""
        if self._status & (BSY | DRQ):
            return
        self._status, self._error = READY, 0
        action = self._commands.get(command)
        if action is None:
            self._fail(ABRT)
        else:
            action(self, command)

    def _done(self) -> None:
        self._status = READY
        self._interrupt = True

    def _fail(self, error: int, sector: int | None = None) -> None:
        """End the command with an error, at `sector` if it is one's."""
        if sector is not None:
            self._show_address(sector)
        self._error = error
        self._status = READY | ERR
        self._left = self._block = 0
        self._interrupt = True

    def _ignore(self, command: int) -> None:
        self._done()

    def _set_multiple(self, command: int) -> None:
        """§8.39: a power of two; 0 switches READ and WRITE MULTIPLE off."""
        count = self._registers[COUNT - 1]
        if count > MULTIPLE_MAX or count & count - 1:
            self._fail(ABRT)
            return
        self._multiple = count
        self._done()

    def _initialize_parameters(self, command: int) -> None:
        """INITIALIZE DEVICE PARAMETERS, ATA/ATAPI-5 §8.16: heads and sectors per track."""
        heads, track = (self._device & HEAD_BITS) + 1, self._registers[COUNT - 1]
        if track == 0 or heads * track > self._disk.sectors:
            self._fail(ABRT)
            return
        self._heads, self._track = heads, track
        self._done()

    def _set_features(self, command: int) -> None:
        """§8.36, table 44."""
        feature, count = self._registers[FEATURES - 1], self._registers[COUNT - 1]
        if feature in (0x02, 0x82):
            self._write_cache = feature == 0x02
        elif feature in (0xAA, 0x55):
            self._look_ahead = feature == 0xAA
        elif feature in (0xCC, 0x66):
            self._reverts = feature == 0xCC
        elif feature != 0x03 or count not in (0x00, 0x01, *range(0x08, 0x0D)):
            self._fail(ABRT)  # table 45: PIO up to mode 4; the cycles are the host's
            return
        self._done()

    def _check_power(self, command: int) -> None:
        self._registers[COUNT - 1] = POWER_ACTIVE
        self._done()

    def _identify(self, command: int) -> None:
        disk = self._disk
        self._data.give(
            identify(
                disk.sectors,
                disk.config.content,
                self._number,
                self._geometry(),
                self._multiple,
                self._write_cache,
                self._look_ahead,
            )
        )
        self._reads = self._identifies = True
        self._block = 1
        self._offer()

    def _packet_identify(self, command: int) -> None:
        """§8.16: a drive that is no packet device shows its signature."""
        self._registers[COUNT - 1 : LBA_HIGH] = bytes((1, 1, 0, 0))
        self._fail(ABRT)

    def _read_sectors(self, command: int) -> None:
        if not self._begin(command in (0x24, 0x29), command in (0xC4, 0x29)):
            return
        self._reads = True
        self._read_block()

    def _write_sectors(self, command: int) -> None:
        if not self._begin(command in (0x34, 0x39), command in (0xC5, 0x39)):
            return
        self._reads = False
        if self._disk.config.mode == "ro":
            self._fail(WP | ABRT, self._next)
        else:
            self._want_block()

    def _verify(self, command: int) -> None:
        """READ VERIFY SECTORS: reads, and moves no data."""
        if not self._begin(command == 0x42, False):
            return
        while self._left:
            count = min(VERIFY_SECTORS, self._left)
            if self._read(count) is None:
                return
            self._block = count
            self._advance()
        self._done()

    def _seek(self, command: int) -> None:
        """SEEK, ATA/ATAPI-6 E.3: nothing moves; the address must be one."""
        if self._begin(False, False):
            self._left = 0
            self._done()

    # --- data ---

    def _begin(self, is_long: bool, is_multiple: bool) -> bool:
        """Take address and count from the registers; False if the command has failed by that."""
        if is_multiple and not self._multiple:
            self._fail(ABRT)
            return False
        self._is_long, self._identifies = is_long, False
        self._per_block = self._multiple if is_multiple else 1
        count = self._registers[COUNT - 1]
        if is_long:
            count |= self._registers[COUNT - 1 + DEEP] << 8
        sector = self._address()
        if sector is None or sector >= self._disk.sectors:
            self._fail(IDNF)
            return False
        self._next, self._left = sector, count or (COUNT_48 if is_long else COUNT_28)
        return True

    def _address(self) -> Sector | None:
        """The sector that the registers name, §6.2; None if there is none of this name."""
        low, mid, high = self._registers[LBA_LOW - 1 : LBA_HIGH]
        if self._is_long:
            above = int.from_bytes(self._registers[LBA_LOW - 1 + DEEP : LBA_HIGH + DEEP], "little")
            return Sector(above << 24 | high << 16 | mid << 8 | low)
        head = self._device & HEAD_BITS
        if self._device & LBA_BIT:
            return Sector(head << 24 | high << 16 | mid << 8 | low)
        geometry = self._geometry()
        cylinder = high << 8 | mid
        if not 1 <= low <= geometry.track or head >= geometry.heads:
            return None
        if cylinder >= geometry.cylinders:
            return None
        return Sector((cylinder * geometry.heads + head) * geometry.track + low - 1)

    def _geometry(self) -> Geometry:
        """The current translation: as many cylinders as 28 bits and 16 bits can name."""
        sectors = min(self._disk.sectors, ADDRESSES_28_MAX)
        cylinders = sectors // (self._heads * self._track)
        default = default_geometry(self._disk.sectors)
        is_default = (self._heads, self._track) == (default.heads, default.track)
        most = default.cylinders if is_default else 65535
        return Geometry(min(cylinders, most), self._heads, self._track)

    def _show_address(self, sector: int) -> None:
        """Put a sector's address where the command had its own."""
        if self._is_long:
            parts = sector.to_bytes(6, "little")
            self._registers[LBA_LOW - 1 : LBA_HIGH] = parts[:3]
            self._registers[LBA_LOW - 1 + DEEP : LBA_HIGH + DEEP] = parts[3:]
            return
        if self._device & LBA_BIT:
            low, mid, high, head = sector.to_bytes(8, "little")[:4]
        else:
            track, low = divmod(sector, self._track)
            cylinder, head = divmod(track, self._heads)
            low, mid, high = low + 1, cylinder & 0xFF, cylinder >> 8 & 0xFF
        self._registers[LBA_LOW - 1 : LBA_HIGH] = bytes((low, mid, high))
        self._device = self._device & ~HEAD_BITS | head & HEAD_BITS

    def _advance(self) -> None:
        """The present block is done: go on to the next. The registers show where that was."""
        self._next = Sector(self._next + self._block)
        self._left -= self._block
        self._block = 0
        self._show_address(self._next - 1)
        self._registers[COUNT - 1] = self._left & 0xFF
        if self._is_long:
            self._registers[COUNT - 1 + DEEP] = self._left >> 8 & 0xFF

    def _read(self, count: int) -> bytes | None:
        """Read the next sectors; None if the command has failed by that."""
        beyond = self._disk.sectors - self._next
        try:
            data = self._disk.read(self._next, min(count, beyond)) if beyond > 0 else b""
        except UnreadableSector as failure:
            self._fail(UNC, failure.sector)
            return None
        if beyond < count:
            self._fail(IDNF, self._disk.sectors)
            return None
        return data

    def _read_block(self) -> None:
        count = min(self._per_block, self._left)
        data = self._read(count)
        if data is not None:
            self._block = count
            self._data.give(data)
            self._offer()

    def _offer(self) -> None:
        """There is a block to be read."""
        self._status = READY | DRQ
        self._interrupt = True

    def _want_block(self) -> None:
        """Ask for a block; with an interrupt, unless it is the first."""
        if self._next >= self._disk.sectors:
            self._fail(IDNF, self._next)
            return
        self._block = min(self._per_block, self._left)
        self._data.want(self._block * SECTOR_BYTES)
        self._status = READY | DRQ

    def data_moved(self) -> None:
        """The host has moved the last word of a block."""
        if not self._status & DRQ or self._data.left:
            return
        data = self._data.content
        self._data.close()
        self._status = READY
        if self._identifies:
            self._identifies = False
            self._block = 0
        elif self._reads:
            self._advance()
            if self._left:
                self._read_block()
        else:
            self._take_block(data)

    def _take_block(self, data: bytes) -> None:
        room = (self._disk.sectors - self._next) * SECTOR_BYTES
        self._disk.write(self._next, data[:room])
        if room < len(data):
            self._fail(IDNF, self._disk.sectors)
            return
        self._advance()
        if self._left:
            self._want_block()
        self._interrupt = True

    # --- state ---

    def state(self) -> DriveState:
        """Return registers, settings, and the data command under way."""
        moves = bool(self._status & DRQ)
        return DriveState(
            registers=bytes(self._registers),
            device=self._device,
            error=self._error,
            status=self._status,
            interrupt=self._interrupt,
            heads=self._heads,
            track=self._track,
            multiple=self._multiple,
            write_cache=self._write_cache,
            look_ahead=self._look_ahead,
            reverts=self._reverts,
            reads=self._reads,
            identifies=self._identifies,
            data=self._data.content if moves else b"",
            next=self._next,
            left=self._left,
            block=self._block,
            per_block=self._per_block,
            is_long=self._is_long,
            overlay=self._disk.overlay_hash,
        )

    def check(self, name: str, state: object) -> DriveState:
        """Return `state` as one that this drive can have; raises StateError, says why, if not."""
        new = checked(name, state, DriveState)
        moves = bool(new.status & DRQ)
        length = new.block * SECTOR_BYTES
        if moves != (new.block > 0) or len(new.data) > length:
            raise StateError(f"{name}: {len(new.data)} bytes are on their way of {length}")
        if moves and (len(new.data) == (0 if new.reads else length)):
            raise StateError(f"{name}: a block is on its way that has arrived")
        if (
            moves
            and not new.identifies
            and (new.block > new.left or new.next >= self._disk.sectors or new.status & BSY)
        ):
            raise StateError(f"{name}: no command has got that far")
        if new.overlay != self._disk.overlay_hash:
            raise StateError(f"{name}: what was written to the disk is not what came with it")
        return new

    def restore(self, new: DriveState) -> None:
        """Take over a state that was checked."""
        self._registers[:] = new.registers
        self._device, self._error, self._status = new.device, new.error, new.status
        self._interrupt = new.interrupt
        self._heads, self._track, self._multiple = new.heads, new.track, new.multiple
        self._write_cache, self._look_ahead = new.write_cache, new.look_ahead
        self._reverts, self._reads, self._identifies = new.reverts, new.reads, new.identifies
        self._next, self._left = Sector(new.next), new.left
        self._block, self._per_block, self._is_long = new.block, new.per_block, new.is_long
        if not new.status & DRQ:
            return
        if new.reads:
            self._data.give(new.data)
        else:
            self._data.want(new.block * SECTOR_BYTES, new.data)


def _commands() -> dict[int, Callable[[Drive, int], None]]:
    """Command codes: ATA/ATAPI-6 table E.2, and what ATA-3 had with them."""
    ignored = (
        *(range(0x10, 0x20)),  # RECALIBRATE, ATA-3 §7.19
        *(0xE7, 0xEA),  # FLUSH CACHE (EXT): what is written is there already
        *(0xE0, 0xE1, 0xE2, 0xE3, 0xE6),  # STANDBY, IDLE and SLEEP: the drive is always ready
        *(0x94, 0x95, 0x96, 0x97, 0x99),  # the same in ATA-3
    )
    return {
        **dict.fromkeys(ignored, Drive._ignore),
        **dict.fromkeys((0x20, 0x21, 0x24, 0x29, 0xC4), Drive._read_sectors),
        **dict.fromkeys((0x30, 0x31, 0x34, 0x39, 0xC5), Drive._write_sectors),
        **dict.fromkeys((0x40, 0x41, 0x42), Drive._verify),
        **dict.fromkeys(range(0x70, 0x80), Drive._seek),
        0x91: Drive._initialize_parameters,
        0x98: Drive._check_power,
        0xA1: Drive._packet_identify,
        0xC6: Drive._set_multiple,
        0xE5: Drive._check_power,
        0xEC: Drive._identify,
        0xEF: Drive._set_features,
    }
