"""What the text screen shows, by the VGA's registers (IBM PS/2 Technical Reference)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftvm.errors import ProtocolError
from ftvm.machine.devices.vga import Vga
from ftvm.machine.text_screen import LEAVE, TEXT_BYTES, WATCH, FrameDecoder, TextScreen, frame_of

MEMORY = random.Random(1).randbytes(TEXT_BYTES)


def shown(vga: Vga, memory: bytes = MEMORY) -> object:
    return FrameDecoder().feed(frame_of(vga.state(), memory))


def crtc(vga: Vga, *pairs: tuple[int, int]) -> None:
    for index, value in pairs:
        vga.write(0x3D4, 1, index)
        vga.write(0x3D5, 1, value)


def test_mode_3_is_80_by_25_with_the_cursor_at_home() -> None:
    frame = shown(Vga())
    assert (frame.columns, frame.rows, frame.cursor) == (80, 25, 0)
    assert frame.cells == MEMORY[: 80 * 25 * 2]
    assert frame.row(3) == MEMORY[480:640]
    assert frame.blinks
    assert not frame.is_graphics


def test_fifty_rows_of_eight_lines() -> None:
    vga = Vga()
    crtc(vga, (9, 0x47))
    frame = shown(vga)
    assert (frame.columns, frame.rows) == (80, 50)


def test_the_start_address_scrolls_and_wraps() -> None:
    vga = Vga()
    crtc(vga, (0x0C, 0x3F), (0x0D, 0xE0), (0x0E, 0x40), (0x0F, 0x35))
    frame = shown(vga)
    assert frame.cells == (MEMORY * 2)[2 * 0x3FE0 :][: 80 * 25 * 2]
    assert frame.cursor == 0x4035 - 0x3FE0


def test_the_pitch_may_be_wider_than_the_screen() -> None:
    vga = Vga()
    crtc(vga, (0x13, 50), (0x0F, 105))
    frame = shown(vga)
    assert frame.row(1) == MEMORY[200:360]
    assert frame.cursor == 80 + 5


@pytest.mark.parametrize("registers", [((0x0A, 0x20),), ((0x0A, 15), (0x0B, 14)), ((0x0E, 0x20),)])
def test_no_cursor_is_shown_if_it_is_off_or_elsewhere(registers: tuple[tuple[int, int]]) -> None:
    vga = Vga()
    crtc(vga, *registers)
    assert shown(vga).cursor is None


def test_attributes_without_blinking_and_graphics_are_told() -> None:
    vga = Vga()
    for port, value in ((0x3C0, 0x30), (0x3C0, 0x04), (0x3CE, 6), (0x3CF, 5)):
        vga.write(port, 1, value)
    frame = shown(vga)
    assert not frame.blinks
    assert frame.is_graphics


@given(st.binary(min_size=25, max_size=25), st.data())
def test_any_registers_give_a_frame_and_any_cuts_the_same(
    registers: bytes, data: st.DataObject
) -> None:
    vga = Vga()
    crtc(vga, *enumerate(registers))
    stream = frame_of(vga.state(), MEMORY) * 2
    whole = FrameDecoder().feed(stream)
    cut = data.draw(st.integers(0, len(stream)))
    decoder = FrameDecoder()
    first = decoder.feed(stream[:cut])
    assert decoder.feed(stream[cut:]) or first == whole


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a screen of 0 by 0"):
        FrameDecoder().feed(bytes(8))


def test_frames_are_shown_while_somebody_watches() -> None:
    out: list[bytes] = []
    screen = TextScreen(frame=lambda: b"frame", output=out.append)
    screen.receive(b"")
    screen.receive(WATCH)
    screen.receive(b"")
    screen.receive(LEAVE)
    screen.receive(b"")
    assert out == [b"frame", b"frame"]
