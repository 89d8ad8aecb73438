"""The keyboard controller against the PS/2 Hardware Interface Technical Reference."""

import pytest

from ftvm.machine.devices.i8042 import I8042
from ftvm.units import Nanoseconds

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
        ((0xF0, 0x00), [0xFA, 0xFA, 0x41]),
        ((0xF0, 0x01, 0xF0, 0x00), [0xFA, 0xFA, 0xFA, 0xFA, 0x43]),
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


def test_without_translation_the_keyboard_has_its_own_numbers(pc: Wired) -> None:
    pc.command(0x60, 0x00)
    pc.send(0xF2)
    assert pc.take() == [0xFA, 0xAB, 0x83]
    pc.send(0xF0, 0x00)
    assert pc.take() == [0xFA, 0xFA, 0x02]


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


MS = 1_000_000
LEFT_SHIFT, A = 0x2A, 0x1E
SHIFT_A = bytes((LEFT_SHIFT, A, A | 0x80, LEFT_SHIFT | 0x80))
UP = bytes((0xE0, 0x48, 0xE0, 0xC8))


def typed(pc: Wired, codes: bytes) -> list[int]:
    """What a guest reads that takes every byte as it comes."""
    pc.device.press(codes)
    values = []
    while (due := pc.device.deadline()) is not None:
        pc.device.advance(due)
        values += pc.take()
    return values


def test_keys_arrive_translated_to_set_1(pc: Wired) -> None:
    assert typed(pc, SHIFT_A + UP) == list(SHIFT_A + UP)


def test_keys_arrive_in_set_2_if_that_is_wanted(pc: Wired) -> None:
    pc.command(0x60, 0x05)
    assert typed(pc, SHIFT_A) == [0x12, 0x1C, 0xF0, 0x1C, 0xF0, 0x12]
    assert typed(pc, UP) == [0xE0, 0x75, 0xE0, 0xF0, 0x75]
    assert typed(pc, bytes((0x41, 0xC1))) == [0x83, 0xF0, 0x83], "F7"


def test_a_keyboard_in_set_1_is_not_translated(pc: Wired) -> None:
    pc.command(0x60, 0x05)
    pc.send(0xF0, 1)
    assert pc.take() == [0xFA, 0xFA]
    assert typed(pc, SHIFT_A) == list(SHIFT_A)


def test_keys_interrupt_once_for_each_byte(pc: Wired) -> None:
    typed(pc, SHIFT_A)
    assert pc.lines == [("irq1", True), ("irq1", False)] * 4


def test_a_byte_comes_each_millisecond_and_only_into_an_empty_buffer(pc: Wired) -> None:
    pc.device.press(SHIFT_A)
    pc.device.advance(Nanoseconds(5 * MS))
    assert pc.device.deadline() is None, "the first byte is to be read"
    assert pc.take() == [LEFT_SHIFT]
    assert pc.device.deadline() == 6 * MS
    pc.device.advance(Nanoseconds(6 * MS - 1))
    assert pc.take() == []
    pc.device.advance(Nanoseconds(6 * MS))
    assert pc.take() == [A]
    assert pc.device.queued == 2


@pytest.mark.parametrize(
    ("stop", "go"), [((0xAD,), (0xAE,)), ((0x60, 0x75), (0x60, 0x65))], ids=["command", "bit"]
)
def test_keys_wait_while_the_interface_is_disabled(
    pc: Wired, stop: tuple[int, ...], go: tuple[int, ...]
) -> None:
    pc.command(*stop)
    assert typed(pc, UP) == []
    pc.command(*go)
    assert typed(pc, b"") == list(UP)


def test_keys_wait_while_scanning_is_disabled(pc: Wired) -> None:
    pc.send(0xF5)
    assert pc.take() == [0xFA]
    assert typed(pc, UP) == []
    pc.send(0xF4)
    assert pc.take() == [0xFA]
    assert typed(pc, b"") == list(UP)


def test_an_answer_comes_before_keys_that_wait(pc: Wired) -> None:
    pc.device.press(bytes((A,)))
    pc.send(0xEE)
    assert pc.device.deadline() is None
    assert pc.take() == [0xEE]
    assert typed(pc, b"") == [A]
