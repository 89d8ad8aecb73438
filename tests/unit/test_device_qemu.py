"""What QEMU has beside a PC: fw_cfg, the debug console (debug exit is in test_device_bus.py)."""

from ftvm.machine.bus import PortBus
from ftvm.machine.devices.debug_console import DebugConsole
from ftvm.machine.devices.firmware_configuration import WHOLE, FirmwareConfiguration

MEMORY_BYTES = 48 << 20


def fw_cfg() -> PortBus:
    bus = PortBus()
    bus.attach(FirmwareConfiguration(MEMORY_BYTES), whole=WHOLE)
    return bus


def item(bus: PortBus, key: int, size: int) -> bytes:
    bus.write(0x510, 2, key)
    return bytes(bus.read(0x511, 1) for _ in range(size))


def test_fw_cfg_tells_what_the_machine_is() -> None:
    bus = fw_cfg()
    assert item(bus, 0x0000, 4) == b"QEMU"
    assert item(bus, 0x0001, 4) == b"\x01\0\0\0", "no DMA interface"
    assert int.from_bytes(item(bus, 0x0003, 8), "little") == MEMORY_BYTES
    assert int.from_bytes(item(bus, 0x0005, 2), "little") == 1
    assert int.from_bytes(item(bus, 0x000F, 2), "little") == 1
    assert item(bus, 0x0019, 4) == bytes(4), "no files"


def test_fw_cfg_reads_zeros_behind_an_item_and_for_a_key_that_is_none() -> None:
    bus = fw_cfg()
    assert item(bus, 0x0000, 9) == b"QEMU" + bytes(5)
    assert item(bus, 0x1234, 4) == bytes(4)
    assert item(bus, 0x4000, 4) == b"QEMU", "the write bit chooses no other item"


def test_fw_cfg_has_two_overlapping_ports() -> None:
    bus = fw_cfg()
    bus.write(0x510, 2, 0)
    bus.write(0x510, 1, 5)
    bus.write(0x511, 1, 5)
    assert bytes(bus.read(port, 1) for port in (0x510, 0x511, 0x510)) == b"QEM"
    assert bus.read(0x510, 2) == 0xFFFF


def test_port_e9_puts_bytes_out_and_says_that_it_is_there() -> None:
    out = bytearray()
    bus = PortBus()
    bus.attach(DebugConsole(output=out.extend))
    for byte in b"text":
        bus.write(0xE9, 1, byte)
    assert out == b"text"
    assert bus.read(0xE9, 1) == 0xE9
    assert bus.read(0xE9, 2) == 0xFFE9
