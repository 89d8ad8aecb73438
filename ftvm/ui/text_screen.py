"""A text screen as characters and as what a terminal draws."""

from ftvm.machine.text_screen import Frame

# Code page 437 with the pictures that a VGA has for its control characters
_PICTURES = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CHARACTERS = (
    _PICTURES
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + "⌂"
    + bytes(range(0x80, 0x100)).decode("cp437").replace("\xa0", " ")
)

# The VGA's colours have blue as bit 0, a terminal's (ECMA-48 SGR) have red.
_TERMINAL_COLOURS = (0, 4, 2, 6, 1, 5, 3, 7)
_BRIGHT = 8


def text_of(frame: Frame) -> list[str]:
    """Return the screen's lines, without blanks at their ends and empty lines at the end."""
    lines = [
        "".join(CHARACTERS[code] for code in frame.row(row)[::2]).rstrip()
        for row in range(frame.rows)
    ]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def drawn_row(frame: Frame, row: int, columns: int) -> str:
    """Return a row's first `columns` characters with the terminal's commands for colours."""
    parts = []
    before = -1
    cells = frame.row(row)[: 2 * columns]
    for code, attribute in zip(cells[::2], cells[1::2], strict=True):
        if attribute != before:
            parts.append(_rendition(attribute, frame.blinks))
            before = attribute
        parts.append(CHARACTERS[code])
    return "".join((*parts, "\x1b[0m"))


def _rendition(attribute: int, blinks: bool) -> str:
    front, back = attribute & 0x0F, attribute >> 4
    style = ["0"]
    if blinks and back & _BRIGHT:
        style.append("5")
        back &= ~_BRIGHT
    style.append(str((90 if front & _BRIGHT else 30) + _TERMINAL_COLOURS[front & 7]))
    style.append(str((100 if back & _BRIGHT else 40) + _TERMINAL_COLOURS[back & 7]))
    return f"\x1b[{';'.join(style)}m"
