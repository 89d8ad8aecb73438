"""What kernels find without a BIOS: checksums, addresses, and power management behind them."""

import struct

import pytest
from multiboot_image import Elf

from ftvm.machine.boot.bios_data_area import bios_data
from ftvm.machine.boot.firmware_tables import firmware_segments
from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.bus import PortBus
from ftvm.machine.devices.power_management import WHOLE, PowerManagement
from ftvm.units import GuestPhysical, Nanoseconds

MEMORY = 16 << 20


@pytest.fixture(scope="module")
def memory() -> bytearray:
    content = bytearray(1 << 20)
    for start, data in firmware_segments():
        content[start : start + len(data)] = data
    return content


def table(memory: bytearray, address: int) -> bytes:
    length = int.from_bytes(memory[address + 4 : address + 8], "little")
    content = bytes(memory[address : address + length])
    assert sum(content) & 0xFF == 0, content[:4]
    return content


def word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def test_the_mp_tables_name_processor_bus_apic_and_lines(memory: bytearray) -> None:
    pointer = memory[0xF0000:0xF0010]
    assert pointer[:4] == b"_MP_"
    assert sum(pointer) & 0xFF == 0
    at = word(pointer, 4)
    length = int.from_bytes(memory[at + 4 : at + 6], "little")
    config = bytes(memory[at : at + length])
    assert config[:4] == b"PCMP"
    assert sum(config) & 0xFF == 0
    entries = []
    position = 44
    while position < length:
        size = 20 if config[position] == 0 else 8
        entries.append(config[position : position + size])
        position += size
    assert position == length
    assert len(entries) == int.from_bytes(config[34:36], "little")
    assert [entry[0] for entry in entries] == [0, 1, 2, *[3] * 15, 4, 4]
    assert entries[2][4:] == (0xFEC00000).to_bytes(4, "little")
    pins = {entry[5]: entry[7] for entry in entries if entry[0] == 3}
    assert pins == {0: 2, **{line: line for line in range(16) if line not in (0, 2)}}


def test_the_acpi_tables_lead_to_each_other(memory: bytearray) -> None:
    root = bytes(memory[0xF1000:0xF1014])
    assert root[:8] == b"RSD PTR "
    assert sum(root) & 0xFF == 0
    rsdt = table(memory, word(root, 16))
    assert rsdt[:4] == b"RSDT"
    facp, madt = (table(memory, word(rsdt, at)) for at in (36, 40))
    assert (facp[:4], madt[:4], len(facp)) == (b"FACP", b"APIC", 116)
    assert memory[word(facp, 36) : word(facp, 36) + 4] == b"FACS"
    assert word(facp, 36) % 64 == 0
    assert table(memory, word(facp, 40))[:4] == b"DSDT"
    assert [word(facp, at) for at in (56, 64, 76)] == [0x600, 0x604, 0x608]
    assert word(facp, 48) == 0, "no SMI command: ACPI is always on"
    assert word(madt, 36) == 0xFEE00000
    assert struct.unpack_from("<4BI", madt, 52)[-1] == 0xFEC00000


def test_they_are_there_after_boot_but_not_over_an_image() -> None:
    plan = plan_boot(BootFiles("k", Elf().build(), ""), MEMORY)
    assert {0xF0000, 0xF1000} <= {start for start, _ in plan.segments}
    image = Elf()
    image.loads[0].physical = 0xF1000
    image.entry = 0xF1000 + 12
    plan = plan_boot(BootFiles("k", image.build(), ""), MEMORY)
    assert len([start for start, _ in plan.segments if start == 0xF1000]) == 1
    assert 0xF0000 in {start for start, _ in plan.segments}


def test_the_bios_data_area_says_what_there_is() -> None:
    area = dict(bios_data())[GuestPhysical(0x400)]

    def short(at: int) -> int:
        return int.from_bytes(area[at : at + 2], "little")

    assert [short(at) for at in range(0, 8, 2)] == [0x3F8, 0x2F8, 0x3E8, 0x2E8]
    assert (short(0x13), short(0x0E) << 4) == (639, 639 << 10)
    assert short(0x10) & 0x30 == 0x20, "a colour display"
    assert (area[0x49], short(0x4A), area[0x84] + 1, short(0x63)) == (3, 80, 25, 0x3D4)
    assert dict(bios_data())[GuestPhysical(639 << 10)] == b"\x01"


class Power:
    def __init__(self) -> None:
        self.now = 0
        self.off = 0
        self.bus = PortBus()
        self.bus.attach(
            PowerManagement(clock=lambda: Nanoseconds(self.now), off=self._switch_off),
            whole=WHOLE,
        )

    def _switch_off(self) -> None:
        self.off += 1


def test_the_timer_counts_3_579545_mhz() -> None:
    power = Power()
    power.now = 1_000_000_000
    assert power.bus.read(0x608, 4) == 3_579_545
    power.now = 2_000 * 1_000_000_000
    assert power.bus.read(0x608, 4) == 2_000 * 3_579_545 % (1 << 32)


def test_acpi_is_on_and_sleep_type_5_switches_off() -> None:
    power = Power()
    assert power.bus.read(0x604, 2) & 1
    power.bus.write(0x604, 2, 3 << 10 | 1 << 13)
    assert power.off == 0
    power.bus.write(0x604, 2, 5 << 10)
    assert power.off == 0
    power.bus.write(0x604, 2, 5 << 10 | 1 << 13)
    assert power.off == 1


def test_enable_bits_are_kept_and_nothing_ever_happened() -> None:
    power = Power()
    power.bus.write(0x602, 2, 0xFFFF)
    assert power.bus.read(0x602, 2) == 0x0721
    assert power.bus.read(0x600, 2) == 0
    assert power.bus.read(0x600, 4) == 0x07210000
