"""What a terminal sends, taken apart into keys."""

import re
from typing import Final

ESCAPE_BYTE: Final = b"\x01"
"""Ctrl-A, the way out of typing to the guest, as in `ftvm run`."""

# xterm's control sequences: cursor keys, normal and application mode, and what stands beside.
_NAMES: Final = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home",
    b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end",
    b"\t": "tab", b"\r": "enter", b"\n": "enter", b"\x1b": "escape",
    b"\x01": "ctrl-a", b"\x03": "ctrl-c", b"\x0c": "ctrl-l",
}  # fmt: skip
_PIECE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])?|[^\x1b]", re.DOTALL)


def split_keys(typed: bytes) -> list[bytes]:
    """Return what each key sent."""
    return _PIECE.findall(typed)


def name_of(sent: bytes) -> str:
    """Return a key's name: its printable character or a word; nothing if it has none here."""
    if len(sent) == 1 and 0x20 < sent[0] < 0x7F:
        return sent.decode()
    return _NAMES.get(sent, "")
