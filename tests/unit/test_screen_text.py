"""A frame as plain text, and as what a terminal draws."""

from ftvm.machine.text_screen import Frame
from ftvm.ui.text_screen import drawn_row, text_of


def frame(*rows: bytes, attribute: int = 0x07, blinks: bool = True) -> Frame:
    columns = 6
    cells = b"".join(bytes((code, attribute)) for row in rows for code in row.ljust(columns, b" "))
    return Frame(columns, len(rows), None, blinks, False, cells)


def test_text_has_no_blanks_at_ends() -> None:
    assert text_of(frame(b"one", b"", b" two", b"", b"")) == ["one", "", " two"]
    assert text_of(frame(b"", b"\0\0")) == []


def test_every_code_is_one_character() -> None:
    codes = bytes(range(256))
    lines = text_of(Frame(257, 1, None, True, False, b"".join(bytes((c, 7)) for c in codes + b"!")))
    assert len(lines[0]) == 257
    assert lines[0].isprintable()
    assert lines[0][0x41] == "A"
    assert (lines[0][0xDB], lines[0][0x01], lines[0][0xB3]) == ("█", "☺", "│")


def test_colours_are_the_terminals() -> None:
    blue, red = 1, 4
    assert drawn_row(frame(b"ab", attribute=red), 0, 2) == "\x1b[0;31;40mab\x1b[0m"
    assert drawn_row(frame(b"ab", attribute=0x0F | blue << 4), 0, 1) == "\x1b[0;97;44ma\x1b[0m"


def test_bit_7_blinks_or_is_bright() -> None:
    assert drawn_row(frame(b"a", attribute=0x87), 0, 1) == "\x1b[0;5;37;40ma\x1b[0m"
    assert drawn_row(frame(b"a", attribute=0x87, blinks=False), 0, 1) == "\x1b[0;37;100ma\x1b[0m"
