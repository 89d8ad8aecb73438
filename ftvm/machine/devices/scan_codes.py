"""Scan codes of a PC's keyboard: set 2, which it sends, and set 1, which software sees.

IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)",
scan code tables. The controller translates each byte from set 2 to set 1 by a
table of its own; 0xf0 before a code means that the key was let go, which set 1
says by bit 7. The prefixes 0xe0 and 0xe1 are the same in both.
"""

from typing import Final

RELEASED: Final = 0xF0
BREAK_BIT: Final = 0x80
PREFIXES: Final = (0xE0, 0xE1)

SET_2_TO_1: Final = (
    bytes.fromhex(
        "ff43413f3d3b3c58 644442403e0f2959 65382a701d10025a 66712c1f1e11035b"
        "672e2d201205045c 68392f211413065d 693130232215075e 6a7232241608095f"
        "6b332517180b0a60 6c34352627190c61 6d7328741a0d626e 3a361c1b752b6376"
        "5556777879 7a0e7b 7c4f7d4b477e7f6f 5253504c4d480145 574e514a37494654"
    )
    + bytes((0x80, 0x81, 0x82, 0x41, 0x54))
    + bytes(range(0x85, 0x100))
)
"""What the controller makes of each byte of set 2 that is not behind 0xf0."""

SET_1_TO_2: Final = {code: at for at, code in enumerate(SET_2_TO_1) if code < BREAK_BIT}
"""The code of each key; of two codes that translate to the same, the higher is the key's."""


def to_set_2(code: int) -> bytes:
    """Return what a keyboard sends in set 2 for a byte of set 1."""
    if code in PREFIXES:
        return bytes((code,))
    key = SET_1_TO_2.get(code & ~BREAK_BIT, code & ~BREAK_BIT)
    return bytes((RELEASED, key)) if code & BREAK_BIT else bytes((key,))
