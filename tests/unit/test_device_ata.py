"""The ATA channel against ATA/ATAPI-6 (T13/1410D); sections and tables are named."""

import struct

import pytest

from ftvm.errors import StateError
from ftvm.machine.devices.ata import BASE, CONTROL, AtaChannel
from ftvm.machine.devices.port_buffer import PlainPortBuffer
from ftvm.machine.disk import Disk, DiskConfig, Mode, UnreadableSector
from ftvm.units import Sector

ERROR = FEATURES = 1
COUNT, LOW, MID, HIGH, DEVICE, STATUS = 2, 3, 4, 5, 6, 7
BSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01
READY = 0x50
UNC, IDNF, ABRT = 0x40, 0x10, 0x04
LBA = 0x40
NIEN, SRST, HOB = 0x02, 0x04, 0x80
SECTORS = 4000


class Image:
    """An image whose sectors say which they are; some cannot be read."""

    def __init__(self, bad: frozenset[int]) -> None:
        self.bad = bad

    def read(self, first: Sector, count: int) -> bytes:
        for sector in range(first, first + count):
            if sector in self.bad:
                raise UnreadableSector(Sector(sector), "is bad")
        return b"".join(content(sector) for sector in range(first, first + count))


class Failures:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def due(self) -> Sector | None:
        return None

    def failed(self, failure: UnreadableSector) -> None:
        self.seen.append(failure.sector)


def content(sector: int) -> bytes:
    return struct.pack("<Q", sector) * 64


class Rig:
    """A channel, and a host that moves its data by 16 bits."""

    def __init__(
        self, drives: int = 1, sectors: int = SECTORS, mode: Mode = "rw", bad: tuple[int, ...] = ()
    ) -> None:
        self.failures = Failures()
        self.line = False
        self.edges = 0
        config = DiskConfig("disk.img", mode, sectors, bytes(32))
        self.disks = [Disk(config, Image(frozenset(bad)), self.failures) for _ in range(drives)]
        self.channel = AtaChannel(disks=self.disks, irq=self._irq, data=PlainPortBuffer())

    def _irq(self, level: bool) -> None:
        assert level != self.line
        self.line = level
        self.edges += level

    def get(self, register: int) -> int:
        return self.channel.read(BASE + register, 1)

    def put(self, register: int, value: int) -> None:
        self.channel.write(BASE + register, 1, value)

    def control(self, value: int) -> None:
        self.channel.write(CONTROL, 1, value)

    @property
    def alternate(self) -> int:
        return self.channel.read(CONTROL, 1)

    def command(self, command: int, lba: int = 0, count: int = 1, drive: int = 0) -> int:
        """Give a command with a 28-bit address; return Alternate Status."""
        self.put(DEVICE, LBA | drive << 4 | lba >> 24)
        self.put(COUNT, count)
        for register, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
            self.put(register, lba >> shift & 0xFF)
        self.put(STATUS, command)
        return self.alternate

    def command_48(self, command: int, lba: int, count: int) -> int:
        self.put(DEVICE, LBA)
        for shift in (8, 0):
            self.put(COUNT, count >> shift & 0xFF)
        for first in (24, 0):
            for register, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
                self.put(register, lba >> first + shift & 0xFF)
        self.put(STATUS, command)
        return self.alternate

    def move_in(self, sectors: int = 1) -> bytes:
        words = [self.channel.read(BASE, 2) for _ in range(256 * sectors)]
        return struct.pack(f"<{len(words)}H", *words)

    def move_out(self, data: bytes) -> None:
        for (word,) in struct.iter_unpack("<H", data):
            self.channel.write(BASE, 2, word)


def identity(rig: Rig, drive: int = 0) -> tuple[int, ...]:
    assert rig.command(0xEC, drive=drive) == READY | DRQ
    assert rig.line
    data = rig.move_in()
    assert sum(data) & 0xFF == 0, "table 27, word 255"
    assert rig.get(STATUS) == READY
    return struct.unpack("<256H", data)


def text(words: tuple[int, ...]) -> str:
    return b"".join(struct.pack(">H", word) for word in words).decode("ascii")


def test_after_power_on_there_is_the_signature_and_no_interrupt() -> None:
    rig = Rig()
    assert [rig.get(r) for r in (ERROR, COUNT, LOW, MID, HIGH)] == [1, 1, 1, 0, 0], "table 26"
    assert rig.get(STATUS) == READY
    assert not rig.line


def test_a_drive_says_what_it_is() -> None:
    words = identity(Rig(sectors=20_000_000))
    assert not words[0] & 0x8000
    assert (words[1], words[3], words[6]) == (16383, 16, 63)
    assert text(words[27:47]).startswith("FTVM DISK ")
    assert text(words[10:20]).strip()
    assert words[47] == 0x8010
    assert words[49] & 1 << 9
    assert not words[49] & 1 << 8, "no DMA"
    assert words[60] | words[61] << 16 == 20_000_000
    assert words[83] & 0xC000 == 0x4000
    assert words[83] & 1 << 10
    assert words[100] | words[101] << 16 | words[102] << 32 == 20_000_000


def test_a_drive_beyond_28_bits_shows_as_much_as_they_reach() -> None:
    words = identity(Rig(sectors=1 << 30))
    assert words[60] | words[61] << 16 == 0x0FFFFFFF
    assert words[100] | words[101] << 16 == 1 << 30


def test_two_drives_have_different_serial_numbers() -> None:
    rig = Rig(drives=2)
    assert text(identity(rig, 0)[10:20]) != text(identity(rig, 1)[10:20])


@pytest.mark.parametrize("sectors", [1, 2, 62, 63, 64, 1007, 1009])
def test_the_smallest_drives_have_a_geometry(sectors: int) -> None:
    words = identity(Rig(sectors=sectors))
    assert 1 <= words[54] * words[55] * words[56] <= sectors


def test_reading_has_an_interrupt_for_each_sector_and_none_at_the_end() -> None:
    rig = Rig()
    assert rig.command(0x20, lba=7, count=3) == READY | DRQ
    for number in range(3):
        assert rig.line
        assert rig.get(STATUS) == READY | DRQ
        assert not rig.line
        assert rig.move_in() == content(7 + number)
    assert rig.edges == 3
    assert rig.get(STATUS) == READY
    assert rig.get(LOW) == 9


def test_reading_multiple_has_an_interrupt_for_each_block() -> None:
    rig = Rig()
    assert rig.command(0xC6, count=4) == READY
    rig.edges = 0
    rig.get(STATUS)
    rig.command(0xC4, lba=100, count=10)
    data = b""
    for block in (4, 4, 2):
        assert rig.get(STATUS) == READY | DRQ
        data += rig.move_in(block)
    assert data == b"".join(content(number) for number in range(100, 110))
    assert rig.edges == 3
    assert rig.alternate == READY


@pytest.mark.parametrize("count", [0, 3, 5, 32, 128])
def test_blocks_are_powers_of_two_up_to_16(count: int) -> None:
    rig = Rig()
    assert bool(rig.command(0xC6, count=count) & ERR) == (count != 0)


def test_with_blocks_switched_off_multiple_is_aborted() -> None:
    rig = Rig()
    rig.command(0xC6, count=0)
    assert identity(rig)[59] == 0
    assert rig.command(0xC4) == READY | ERR
    assert rig.get(ERROR) == ABRT


def test_writing_asks_for_the_first_sector_without_an_interrupt() -> None:
    rig = Rig()
    assert rig.command(0x30, lba=5, count=2) == READY | DRQ
    assert not rig.line
    rig.move_out(b"A" * 512)
    assert rig.line
    assert rig.get(STATUS) == READY | DRQ
    rig.move_out(b"B" * 512)
    assert rig.line
    assert rig.get(STATUS) == READY
    assert rig.disks[0].read(Sector(4), 4) == content(4) + b"A" * 512 + b"B" * 512 + content(7)


def test_what_was_written_is_read() -> None:
    rig = Rig()
    rig.command(0x30, lba=SECTORS - 1)
    rig.move_out(bytes(range(256)) * 2)
    rig.command(0x20, lba=SECTORS - 1)
    assert rig.move_in() == bytes(range(256)) * 2


def test_48_bit_addresses_and_counts() -> None:
    sectors = (1 << 40) + 300
    rig = Rig(sectors=sectors)
    rig.command_48(0x24, sectors - 300, 300)
    for number in range(300):
        assert rig.get(STATUS) & DRQ
        assert rig.move_in() == content(sectors - 300 + number)
    assert rig.get(STATUS) == READY


def test_a_count_of_0_is_256_or_65536() -> None:
    rig = Rig()
    rig.command(0x20, count=0)
    for _ in range(256):
        assert rig.alternate & DRQ
        rig.move_in()
    assert not rig.alternate & DRQ
    far = Rig(sectors=70000)
    assert far.command_48(0x42, 0, 0) == READY
    assert far.get(LOW) | far.get(MID) << 8 == 65535


def test_cylinders_heads_and_sectors() -> None:
    rig = Rig()
    rig.put(DEVICE, 0xA0 | 4 - 1)  # heads
    rig.put(COUNT, 10)  # sectors per track
    rig.put(STATUS, 0x91)
    assert rig.get(STATUS) == READY
    words = identity(rig)
    assert words[54:57] == (100, 4, 10)
    for register, value in ((DEVICE, 0xA2), (COUNT, 1), (LOW, 3), (MID, 7), (HIGH, 0)):
        rig.put(register, value)
    rig.put(STATUS, 0x20)
    assert rig.move_in() == content((7 * 4 + 2) * 10 + 3 - 1)


@pytest.mark.parametrize(
    ("device", "low", "mid"), [(0xA0, 0, 0), (0xA0, 11, 0), (0xA4, 1, 0), (0xA0, 1, 100)]
)
def test_an_address_outside_the_translation_is_not_found(device: int, low: int, mid: int) -> None:
    rig = Rig()
    for register, value in ((DEVICE, 0xA3), (COUNT, 10), (STATUS, 0x91)):
        rig.put(register, value)
    for register, value in ((DEVICE, device), (COUNT, 1), (LOW, low), (MID, mid), (HIGH, 0)):
        rig.put(register, value)
    rig.put(STATUS, 0x20)
    assert rig.alternate == READY | ERR
    assert rig.get(ERROR) == IDNF


@pytest.mark.parametrize("command", [0x20, 0x24, 0x30, 0x34, 0x40, 0xC4, 0xC5, 0x70])
def test_behind_the_last_sector_there_is_none(command: int) -> None:
    rig = Rig()
    status = (rig.command_48 if command in (0x24, 0x34) else rig.command)(command, SECTORS, 1)
    assert status == READY | ERR
    assert rig.line
    assert rig.get(ERROR) == IDNF


def test_a_range_over_the_end_fails_at_its_first_missing_sector() -> None:
    rig = Rig()
    rig.command(0x20, lba=SECTORS - 2, count=4)
    assert rig.move_in(2) == content(SECTORS - 2) + content(SECTORS - 1)
    assert rig.alternate == READY | ERR
    assert rig.get(ERROR) == IDNF
    assert rig.get(LOW) | rig.get(MID) << 8 == SECTORS
    rig.command(0xC5, lba=SECTORS - 2, count=4)
    rig.move_out(b"W" * 2048)
    assert rig.get(ERROR) == IDNF
    assert rig.disks[0].written == [SECTORS - 2, SECTORS - 1]


@pytest.mark.parametrize("command", [0x20, 0x40, 0xC4])
def test_a_sector_that_the_host_cannot_read_is_uncorrectable(command: int) -> None:
    rig = Rig(bad=(12,))
    status = rig.command(command, lba=12, count=2)
    assert status == READY | ERR
    assert rig.get(ERROR) == UNC
    assert rig.get(LOW) == 12
    assert rig.failures.seen == [12]


def test_sectors_before_an_unreadable_one_are_read() -> None:
    rig = Rig(bad=(12,))
    rig.command(0x20, lba=10, count=4)
    assert rig.move_in(2) == content(10) + content(11)
    assert rig.alternate == READY | ERR
    assert rig.get(LOW) == 12


def test_an_unreadable_sector_that_was_written_can_be_read() -> None:
    rig = Rig(bad=(12,))
    rig.command(0x30, lba=12)
    rig.move_out(b"N" * 512)
    rig.command(0xC4, lba=11, count=3)
    assert rig.move_in(3) == content(11) + b"N" * 512 + content(13)
    assert rig.failures.seen == []


def test_a_disk_that_must_not_be_written_says_so() -> None:
    rig = Rig(mode="ro")
    assert rig.command(0x30, lba=3) == READY | ERR
    assert rig.get(ERROR) == 0x40 | ABRT
    assert rig.command(0x20, lba=3) == READY | DRQ


@pytest.mark.parametrize("command", [0x00, 0x08, 0xA0, 0xB0, 0xC8, 0xCA, 0x25, 0x35, 0xFF])
def test_what_there_is_not_is_aborted(command: int) -> None:
    rig = Rig()
    assert rig.command(command) == READY | ERR
    assert rig.line
    assert rig.get(ERROR) == ABRT


def test_a_drive_that_is_asked_whether_it_is_a_packet_device_shows_its_signature() -> None:
    rig = Rig()
    rig.command(0xA1, lba=0x123456)
    assert rig.get(ERROR) == ABRT
    assert [rig.get(r) for r in (COUNT, LOW, MID, HIGH)] == [1, 1, 0, 0]


@pytest.mark.parametrize("command", [0x10, 0x1F, 0x70, 0x40, 0xE0, 0xE1, 0xE5, 0xE7, 0xEA])
def test_commands_without_data_end_with_an_interrupt(command: int) -> None:
    rig = Rig()
    assert rig.command(command, lba=1) == READY
    assert rig.line
    rig.get(STATUS)
    assert not rig.line


@pytest.mark.parametrize(
    ("feature", "count", "works"),
    [(3, 0x0C, True), (3, 0x00, True), (3, 0x42, False), (3, 0x0D, False), (0x82, 0, True),
     (0x55, 0, True), (0x66, 0, True), (0x07, 0, False)],
)  # fmt: skip
def test_features(feature: int, count: int, works: bool) -> None:
    rig = Rig()
    rig.put(FEATURES, feature)
    assert rig.command(0xEF, count=count) == (READY if works else READY | ERR)


def test_the_write_cache_shows_as_switched() -> None:
    rig = Rig()
    assert identity(rig)[85] & 1 << 5
    rig.put(FEATURES, 0x82)
    rig.command(0xEF)
    assert not identity(rig)[85] & 1 << 5


def test_the_registers_are_two_deep() -> None:
    rig = Rig()
    for value in (0x11, 0x22):
        for register in (COUNT, LOW, MID, HIGH):
            rig.put(register, value)
    rig.control(HOB)
    assert [rig.get(register) for register in (COUNT, LOW, MID, HIGH)] == [0x11] * 4
    rig.put(LOW, 0x33)  # which clears HOB, §7.9
    assert rig.get(LOW) == 0x33


def test_nien_keeps_the_line_down_and_the_interrupt_pending() -> None:
    rig = Rig()
    rig.control(NIEN)
    rig.command(0xE7)
    assert not rig.line
    rig.control(0)
    assert rig.line


def test_a_software_reset() -> None:
    rig = Rig(drives=2)
    rig.command(0x20, lba=3, count=8)
    rig.control(SRST)
    assert rig.get(STATUS) == BSY
    rig.put(STATUS, 0xEC)
    rig.control(0)
    assert not rig.line
    assert rig.get(STATUS) == READY
    assert [rig.get(r) for r in (ERROR, COUNT, LOW, MID, HIGH)] == [1, 1, 1, 0, 0]
    assert rig.command(0x20, lba=9) == READY | DRQ
    assert rig.move_in() == content(9)


def test_settings_stay_over_a_software_reset_only_if_that_was_asked_for() -> None:
    rig = Rig()
    for feature, after in ((0x66, 0x104), (0xCC, 0x110)):
        rig.command(0xC6, count=4)
        rig.put(FEATURES, feature)
        rig.command(0xEF)
        rig.control(SRST)
        rig.control(0)
        assert identity(rig)[59] == after


def test_both_drives_diagnose_themselves_and_the_first_answers() -> None:
    rig = Rig(drives=2)
    assert rig.command(0x90, drive=1) == READY
    assert rig.line
    assert rig.get(ERROR) == 1
    assert rig.get(DEVICE) & 0x10 == 0


def test_the_interrupt_is_the_selected_drives() -> None:
    rig = Rig(drives=2)
    rig.command(0xE7, drive=1)
    assert rig.line
    rig.put(DEVICE, LBA)
    assert not rig.line
    rig.put(DEVICE, LBA | 0x10)
    assert rig.line


def test_the_first_drive_answers_for_a_missing_second() -> None:
    rig = Rig()
    rig.put(DEVICE, 0xB0)
    rig.put(COUNT, 0x55)
    assert rig.get(STATUS) == 0, "§9.16.1"
    assert rig.get(COUNT) == 0x55
    rig.put(STATUS, 0xEC)
    assert rig.alternate == 0
    assert not rig.line
    rig.put(DEVICE, 0xA0)
    assert rig.get(STATUS) == READY


def test_registers_cannot_be_written_while_data_moves() -> None:
    rig = Rig(drives=2)
    rig.command(0x20, lba=77)
    for register in (COUNT, LOW, DEVICE):
        rig.put(register, 0xFF)
    rig.put(STATUS, 0xEC)
    assert rig.get(LOW) == 77
    assert rig.move_in() == content(77)


def test_data_moves_by_32_bits_too_and_not_by_8() -> None:
    rig = Rig()
    rig.command(0x20, lba=0x01020304 % SECTORS)
    assert rig.channel.read(BASE, 1) == 0xFF
    words = [rig.channel.read(BASE, 4) for _ in range(128)]
    assert struct.pack("<128I", *words) == content(0x01020304 % SECTORS)
    assert rig.channel.read(BASE, 2) == 0xFFFF
    assert rig.alternate == READY


def test_a_state_is_refused_that_no_channel_has() -> None:
    from dataclasses import replace

    rig = Rig()
    rig.command(0x30)
    rig.move_out(bytes(100))
    good = rig.channel.state()
    fresh = Rig()
    for bad in (
        replace(good, second=good.first),
        replace(good, selected=1),
        replace(good, first=replace(good.first, data=bytes(513))),
        replace(good, first=replace(good.first, data=bytes(512))),
        replace(good, first=replace(good.first, block=0)),
        replace(good, first=replace(good.first, left=0)),
        replace(good, first=replace(good.first, next=SECTORS)),
        replace(good, first=replace(good.first, overlay=bytes(15) + b"\1")),
        replace(good, first=replace(good.first, track=0)),
    ):
        with pytest.raises(StateError, match="ata"):
            fresh.channel.restore(bad)
    fresh.channel.restore(good)
    fresh.move_out(b"x" * 412)
    assert fresh.disks[0].read(Sector(0), 1) == bytes(100) + b"x" * 412
