"""VGA registers, port 0x92, the reset control register and the PCI bus that is not there."""

import pytest

from ftvm.machine.bus import PortBus
from ftvm.machine.devices.system_control import WHOLE, SystemControl
from ftvm.machine.devices.vga import Vga


@pytest.fixture
def vga() -> Vga:
    return Vga()


def indexed(vga: Vga, port: int, index: int) -> int:
    vga.write(port, 1, index)
    return vga.read(port + 1, 1)


def test_the_screen_begins_in_mode_3(vga: Vga) -> None:
    assert indexed(vga, 0x3D4, 1) + 1 == 80
    assert indexed(vga, 0x3D4, 9) & 0x1F == 15, "16 lines a character"
    assert vga.read(0x3CC, 1) & 1, "colour addresses"
    assert indexed(vga, 0x3CE, 6) >> 2 & 3 == 3, "memory at 0xb8000"


def test_the_cursor_is_where_it_was_put(vga: Vga) -> None:
    for index, value in ((0x0E, 0x03), (0x0F, 0xC0)):
        vga.write(0x3D4, 1, index)
        vga.write(0x3D5, 1, value)
    assert indexed(vga, 0x3D4, 0x0E) << 8 | indexed(vga, 0x3D4, 0x0F) == 0x3C0


def test_attributes_take_index_and_value_by_turns(vga: Vga) -> None:
    vga.write(0x3C0, 1, 0x05)
    vga.write(0x3C0, 1, 0x2A)
    vga.write(0x3C0, 1, 0x07)
    vga.read(0x3DA, 1)  # back to the index
    vga.write(0x3C0, 1, 0x05)
    assert vga.read(0x3C1, 1) == 0x2A


def test_the_palette_counts_on_by_itself(vga: Vga) -> None:
    vga.write(0x3C8, 1, 255)
    for value in (1, 2, 0xFF, 4):
        vga.write(0x3C9, 1, value)
    vga.write(0x3C7, 1, 255)
    assert [vga.read(0x3C9, 1) for _ in range(4)] == [1, 2, 0x3F, 4]


def test_grey_is_a_third_of_white(vga: Vga) -> None:
    vga.write(0x3C7, 1, 0x38)
    assert [vga.read(0x3C9, 1) for _ in range(3)] == [0x15, 0x15, 0x15]


def test_waiting_for_retrace_ends(vga: Vga) -> None:
    looks = [vga.read(0x3DA, 1) & 8 for _ in range(4)]
    assert looks == [8, 0, 8, 0]


class Control:
    def __init__(self) -> None:
        self.lines: list[object] = []
        self.bus = PortBus()
        self.bus.attach(
            SystemControl(a20=self.lines.append, reset=lambda: self.lines.append("reset")),
            whole=WHOLE,
        )


@pytest.fixture
def control() -> Control:
    return Control()


def test_port_92_gates_a20(control: Control) -> None:
    assert control.bus.read(0x92, 1) == 2
    control.bus.write(0x92, 1, 0)
    control.bus.write(0x92, 1, 0)
    control.bus.write(0x92, 1, 2)
    assert control.lines == [False, True]


def test_port_92_resets(control: Control) -> None:
    control.bus.write(0x92, 1, 3)
    assert control.lines == ["reset"]


def test_the_reset_control_register_resets_when_its_bit_rises(control: Control) -> None:
    control.bus.write(0xCF9, 1, 2)
    assert control.lines == []
    control.bus.write(0xCF9, 1, 6)
    control.bus.write(0xCF9, 1, 6)
    assert control.lines == ["reset"]
    assert control.bus.read(0xCF9, 1) == 6


def test_pci_configuration_finds_nothing_and_resets_nothing(control: Control) -> None:
    control.bus.write(0xCF8, 4, 0x8000FFFC)
    assert control.bus.read(0xCF8, 4) == 0xFFFFFFFF
    assert control.bus.read(0xCFC, 4) == 0xFFFFFFFF
    assert control.bus.read(0xCFE, 2) == 0xFFFF
    assert control.lines == []
