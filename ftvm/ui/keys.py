"""What is typed at a terminal as keys of a PC's keyboard: scan codes of set 1, US layout.

A terminal says which character was typed and not which keys were pressed, so
each is pressed and let go at once, with the modifiers that it needs around it.
Keys without a character come as the escape sequences of xterm (ECMA-48 control
sequences, and SS3 for F1 to F4).
"""

import re
from typing import Final

_RELEASED: Final = 0x80
_EXTENDED: Final = 0xE0
_SHIFT, _CONTROL, _ALT = 0x2A, 0x1D, 0x38
_ESCAPE_KEY, _ENTER, _TAB, _BACKSPACE, _SPACE = 0x01, 0x1C, 0x0F, 0x0E, 0x39

CODES_PER_BYTE_MAX: Final = 8
"""Scan codes that one typed byte can become: a key, three modifiers, all let go again."""

# First scan code, and the characters of the keys from there on, without and with Shift
_ROWS = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
_PLAIN: dict[int, tuple[int, ...]] = {
    ord("\t"): (_TAB,),
    ord("\r"): (_ENTER,),
    ord("\n"): (_ENTER,),
    0x08: (_BACKSPACE,),
    0x7F: (_BACKSPACE,),
    0x1B: (_ESCAPE_KEY,),
    ord(" "): (_SPACE,),
}
for _first, _lower, _upper in _ROWS:
    for _at, _character in enumerate(_lower):
        _PLAIN[ord(_character)] = (_first + _at,)
    for _at, _character in enumerate(_upper):
        _PLAIN[ord(_character)] = (_SHIFT, _first + _at)
for _byte in range(0x20):  # what Control makes of @, A to Z, [, \, ], ^ and _
    if _byte not in _PLAIN:
        _PLAIN[_byte] = (_CONTROL, *_PLAIN[(_byte | 0x40) if _byte > 26 else (_byte | 0x60)][-1:])
_PLAIN[0x00] = (_CONTROL, _SPACE)

_FINALS = {
    b"A": 0x48, b"B": 0x50, b"C": 0x4D, b"D": 0x4B, b"H": 0x47, b"F": 0x4F,
    b"P": 0x3B, b"Q": 0x3C, b"R": 0x3D, b"S": 0x3E,
}  # fmt: skip
_NUMBERS = {
    1: 0x47, 2: 0x52, 3: 0x53, 4: 0x4F, 5: 0x49, 6: 0x51, 7: 0x47, 8: 0x4F,
    11: 0x3B, 12: 0x3C, 13: 0x3D, 14: 0x3E, 15: 0x3F, 17: 0x40, 18: 0x41, 19: 0x42,
    20: 0x43, 21: 0x44, 23: 0x57, 24: 0x58,
}  # fmt: skip
_FUNCTION_KEYS = frozenset((*range(0x3B, 0x45), 0x57, 0x58))
_SEQUENCE = re.compile(rb"\x1b(?:\[([0-9]*)(?:;([0-9]+))?([A-HPQRSZ~])|O([A-HPQRS]))")


def scan_codes(typed: bytes) -> bytes:
    """Return the scan codes for what was typed; what no key can say becomes nothing."""
    codes = bytearray()
    at = 0
    while at < len(typed):
        if (found := _SEQUENCE.match(typed, at)) is not None:
            codes += _special(*found.group(1, 2, 3, 4))
            at = found.end()
        elif typed[at] == 0x1B and at + 1 < len(typed) and typed[at + 1] != 0x1B:
            if (keys := _PLAIN.get(typed[at + 1])) is not None:
                codes += _stroke(_ALT, *keys)
            at += 2
        else:
            if (keys := _PLAIN.get(typed[at])) is not None:
                codes += _stroke(*keys)
            at += 1
    return bytes(codes)


def _special(
    number: bytes | None, modifiers: bytes | None, final: bytes | None, ss3: bytes | None
) -> bytes:
    """Return the codes for a key that a terminal has a sequence for."""
    if final == b"Z":
        return _stroke(_SHIFT, _TAB)
    key = _NUMBERS.get(int(number or 0)) if final == b"~" else _FINALS.get(final or ss3 or b"")
    if key is None:
        return b""
    bits = max(int(modifiers or 1) - 1, 0)  # xterm: 1 and Shift 1, Alt 2, Control 4
    held = [m for bit, m in ((1, _SHIFT), (2, _ALT), (4, _CONTROL)) if bits & bit]
    return _stroke(*held, key, is_extended=key not in _FUNCTION_KEYS)


def _stroke(*keys: int, is_extended: bool = False) -> bytes:
    """Press keys in their order and let them go backwards; the last one is the key itself."""
    *held, key = keys
    prefix = bytes((_EXTENDED,)) if is_extended else b""
    pressed = bytes(held) + prefix + bytes((key,))
    return pressed + prefix + bytes(code | _RELEASED for code in (key, *reversed(held)))
