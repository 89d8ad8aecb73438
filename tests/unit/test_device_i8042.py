"""The keyboard controller against the PS/2 Hardware Interface Technical Reference."""

import pytest

from ftvm.machine.devices.i8042 import I8042

FULL, SYSTEM, COMMAND, AUXILIARY, TIMEOUT = 0x01, 0x04, 0x08, 0x20, 0x40


class Wired:
    """A controller with its lines noted in `lines`."""

    def __init__(self) -> None:
        self.lines: list[object] = []
        self.device = I8042(
            keyboard_irq=lambda level: self.lines.append(("irq1", level)),
            auxiliary_irq=lambda level: self.lines.append(("irq12", level)),
            a20=lambda level: self.lines.append(("a20", level)),
            reset=lambda: self.lines.append("reset"),
        )

    def status(self) -> int:
        return self.device.read(0x64, 1)

    def command(self, *values: int) -> None:
        first, *data = values
        self.device.write(0x64, 1, first)
        for value in data:
            self.device.write(0x60, 1, value)

    def send(self, *values: int) -> None:
        for value in values:
            self.device.write(0x60, 1, value)

    def take(self) -> list[int]:
        values = []
        while self.status() & FULL:
            values.append(self.device.read(0x60, 1))
        return values


@pytest.fixture
def pc() -> Wired:
    return Wired()


def test_nothing_waits_at_first(pc: Wired) -> None:
    assert pc.status() & (FULL | COMMAND) == 0


def test_self_tests_pass(pc: Wired) -> None:
    for command, answer in ((0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00)):
        pc.command(command)
        assert pc.status() & (FULL | COMMAND) == FULL | COMMAND
        assert pc.take() == [answer]
    assert pc.status() & SYSTEM


def test_the_command_byte_is_what_was_written(pc: Wired) -> None:
    pc.command(0x60, 0x65)
    pc.command(0x20)
    assert pc.take() == [0x65]
    pc.command(0xAD)
    pc.command(0xA8)
    pc.command(0x20)
    assert pc.take() == [0x65 & ~0x20 | 0x10]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ((0xEE,), [0xEE]),
        ((0xF2,), [0xFA, 0xAB, 0x41]),
        ((0xFF,), [0xFA, 0xAA]),
        ((0xED, 0x02), [0xFA, 0xFA]),
        ((0xF0, 0x00), [0xFA, 0xFA, 0x02]),
        ((0xF0, 0x01, 0xF0, 0x00), [0xFA, 0xFA, 0xFA, 0xFA, 0x01]),
        ((0xF4,), [0xFA]),
        ((0x12,), [0xFE]),
    ],
)
def test_the_keyboard_answers(pc: Wired, sent: tuple[int, ...], answered: list[int]) -> None:
    pc.send(*sent)
    assert pc.take() == answered


def test_the_keyboard_says_again_what_it_said_last(pc: Wired) -> None:
    pc.send(0xF2)
    pc.take()
    pc.send(0xFE)
    assert pc.take() == [0x41]


def test_without_translation_the_keyboard_has_its_own_number(pc: Wired) -> None:
    pc.command(0x60, 0x00)
    pc.send(0xF2)
    assert pc.take() == [0xFA, 0xAB, 0x83]


def test_each_byte_to_the_guest_is_an_edge_of_irq_1(pc: Wired) -> None:
    pc.send(0xFF)
    assert pc.lines == [("irq1", True)]
    pc.device.read(0x60, 1)
    assert pc.lines[1:] == [("irq1", False), ("irq1", True)]
    pc.device.read(0x60, 1)
    assert pc.lines[3:] == [("irq1", False)]


def test_interrupts_that_are_off_do_not_come(pc: Wired) -> None:
    pc.command(0x60, 0x00)
    pc.send(0xFF)
    assert pc.lines == []


def test_looped_back_bytes_come_from_the_second_port(pc: Wired) -> None:
    pc.command(0x60, 0x47)
    pc.command(0xD3, 0x5A)
    assert pc.status() & (FULL | AUXILIARY) == FULL | AUXILIARY
    assert pc.lines == [("irq12", True)]
    assert pc.take() == [0x5A]


def test_nobody_is_on_the_second_port(pc: Wired) -> None:
    pc.command(0xD4, 0xFF)
    assert pc.status() & (FULL | AUXILIARY | TIMEOUT) == FULL | AUXILIARY | TIMEOUT
    assert pc.take() == [0xFE]


def test_the_output_port_moves_the_a20_gate(pc: Wired) -> None:
    pc.command(0xD0)
    (before,) = pc.take()
    assert before & 3 == 3
    pc.command(0xD1, before & ~2)
    pc.command(0xD1, before)
    assert [line for line in pc.lines if line[0] == "a20"] == [("a20", False), ("a20", True)]  # type: ignore[index]


@pytest.mark.parametrize("way", [(0xFE,), (0xD1, 0xCE)])
def test_the_reset_line_is_pulled(pc: Wired, way: tuple[int, ...]) -> None:
    pc.command(*way)
    assert "reset" in pc.lines


def test_a_pulse_on_other_lines_resets_nothing(pc: Wired) -> None:
    pc.command(0xFF)
    assert pc.lines == []
