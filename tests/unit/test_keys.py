"""What is typed at a terminal, as strokes on a US keyboard."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftvm.ui.keys import CODES_PER_BYTE_MAX, scan_codes

SHIFT, CONTROL, ALT = 0x2A, 0x1D, 0x38


def stroke(*keys: int) -> bytes:
    return bytes(keys) + bytes(key | 0x80 for key in reversed(keys))


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        (b"a", stroke(0x1E)),
        (b"A", stroke(SHIFT, 0x1E)),
        (b"0", stroke(0x0B)),
        (b"_", stroke(SHIFT, 0x0C)),
        (b"~", stroke(SHIFT, 0x29)),
        (b"|", stroke(SHIFT, 0x2B)),
        (b"/ ", stroke(0x35) + stroke(0x39)),
        (b"\r", stroke(0x1C)),
        (b"\n", stroke(0x1C)),
        (b"\t", stroke(0x0F)),
        (b"\x7f", stroke(0x0E)),
        (b"\x03", stroke(CONTROL, 0x2E)),
        (b"\x1a", stroke(CONTROL, 0x2C)),
        (b"\x1c", stroke(CONTROL, 0x2B)),
        (b"\x1b", stroke(0x01)),
        (b"\x1b\x1b", stroke(0x01) * 2),
        (b"\x1bx", stroke(ALT, 0x2D)),
        (b"\x1b[A", b"\xe0\x48\xe0\xc8"),
        (b"\x1b[1;5C", b"\x1d\xe0\x4d\xe0\xcd\x9d"),
        (b"\x1b[3~", b"\xe0\x53\xe0\xd3"),
        (b"\x1b[3;7~", b"\x38\x1d\xe0\x53\xe0\xd3\x9d\xb8"),
        (b"\x1bOP", stroke(0x3B)),
        (b"\x1b[15~", stroke(0x3F)),
        (b"\x1b[24~", stroke(0x58)),
        (b"\x1b[Z", stroke(SHIFT, 0x0F)),
        (b"\x1b[99~", b""),
        ("é".encode(), b""),
    ],
)
def test_strokes(typed: bytes, codes: bytes) -> None:
    assert scan_codes(typed) == codes


def test_every_printable_character_has_a_key_of_its_own() -> None:
    characters = string.printable.encode().rstrip() + b" "
    assert len({scan_codes(bytes((one,))) for one in characters}) == len(characters)


@given(st.binary(max_size=40))
def test_whatever_is_typed_leaves_no_key_pressed(typed: bytes) -> None:
    codes = scan_codes(typed)
    assert len(codes) <= CODES_PER_BYTE_MAX * len(typed)
    down: set[int] = set()
    for code in codes.replace(b"\xe0", b""):
        assert (code & 0x7F in down) == bool(code & 0x80)
        down ^= {code & 0x7F}
    assert not down
