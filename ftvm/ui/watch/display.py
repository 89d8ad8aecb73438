"""A terminal with the screen on it: what changes is drawn, and all is put back at the end."""

import contextlib
import os
import signal
from types import FrameType

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

from ftvm.ui.notices import wants_colour
from ftvm.ui.terminal import RawTerminal
from ftvm.ui.watch.frame import Frame

STDIN, STDOUT = 0, 1

# xterm's private modes: alternate screen, cursor, wrapping at the margin; 2026 lets what
# stands between be seen at once.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _COMMIT = "\x1b[?2026h", "\x1b[?2026l"


_TYPED_BYTES_MAX = 4096


def read_typed() -> bytes:
    """What was typed and not read yet. A terminal that is gone hangs us up, as its SIGHUP would."""
    try:
        keys = os.read(STDIN, _TYPED_BYTES_MAX)
    except OSError:
        keys = b""
    if not keys:
        signal.raise_signal(signal.SIGHUP)
    return keys


class Display(RawTerminal):
    """While entered, the terminal is ours. OSError from `show`: it has hung up."""

    def __init__(self) -> None:
        super().__init__(STDIN)
        self._console = Console()
        self._colour = wants_colour(STDOUT)
        self._shown: list[str] = []
        self._cursor: tuple[int, int] | None = None
        self._size = (0, 0)

    def __enter__(self) -> "Display":
        super().__enter__()
        self._write(_ENTER)
        return self

    def __exit__(self, *reason: object) -> None:
        with contextlib.suppress(OSError):  # a terminal that hung up has nothing to restore
            self._write(_LEAVE)
        super().__exit__(*reason)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        columns, rows = os.get_terminal_size(STDOUT)
        return columns, rows

    def forget(self) -> None:
        """Draw everything next time: somebody else has written there."""
        self._shown = []

    def show(self, frame: Frame) -> None:
        """Draw what differs from what is there."""
        pieces = []
        if self._size != self.size or len(self._shown) != len(frame.lines):
            self._size, self._shown = self.size, [""] * len(frame.lines)
            pieces.append("\x1b[0m\x1b[2J")
        for at, line in enumerate(frame.lines):
            drawn = self._render(line)
            if drawn != self._shown[at]:
                self._shown[at] = drawn
                pieces.append(f"\x1b[{at + 1};1H{drawn}")
        if pieces or frame.cursor != self._cursor:
            self._cursor = frame.cursor
            if frame.cursor is None:
                pieces.append("\x1b[?25l")
            else:
                row, column = frame.cursor
                pieces.append(f"\x1b[{row + 1};{column + 1}H\x1b[?25h")
            self._write(f"{_BEGIN}{''.join(pieces)}{_COMMIT}")

    def _render(self, line: Text) -> str:
        drawn = []
        for text, style, _ in line.render(self._console):
            if style is not None and not self._colour:
                style = style.without_color
            # The 16 colours that everybody's terminal has as its owner likes them.
            drawn.append(style.render(text, color_system=ColorSystem.STANDARD) if style else text)
        return "".join(drawn)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(STDOUT, data) :]

    def _continued(self, number: int, frame: FrameType | None) -> None:
        super()._continued(number, frame)
        self._shown = []
        self._write(_ENTER)
