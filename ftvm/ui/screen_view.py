"""The guest's text screen on standard output: drawn at a terminal, else printed at the end."""

import contextlib
import os
import sys

from ftvm.machine.text_screen import Frame, FrameDecoder
from ftvm.ui.console import STDERR, STDOUT, Output
from ftvm.ui.notices import Notices
from ftvm.ui.text_screen import drawn_row, text_of

# ECMA-48, and xterm's private modes: the alternate screen, the cursor
_ENTER = "\x1b[?1049h\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"


class ScreenView:
    """Shows frames while entered; on the way out it leaves the last one as plain lines."""

    def __init__(self, output: Output, notices: Notices) -> None:
        self._output = output
        self._notices = notices
        self._draws = os.isatty(STDOUT)
        self._decoder = FrameDecoder()
        self._frame: Frame | None = None
        self._drawn: list[str] = []
        self._size = (0, 0)
        self._told: list[str] = []

    def __enter__(self) -> "ScreenView":
        if self._draws:
            self._write(_ENTER)
            if os.isatty(STDERR):
                self._notices.divert = self._tell
        return self

    def __exit__(self, *_: object) -> None:
        if self._draws:
            self._write(_LEAVE)
        self._notices.divert = None
        if self._frame is not None:
            self._write("".join(f"{line}\n" for line in text_of(self._frame)))
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write("".join(self._told))
            sys.stderr.flush()

    def take(self, data: bytes) -> None:
        """Take the next bytes of the stream of frames."""
        if (frame := self._decoder.feed(data)) is not None:
            self.show(frame)

    def show(self, frame: Frame) -> None:
        """Show a frame."""
        self._frame = frame
        if self._draws:
            self._draw(frame)

    def _draw(self, frame: Frame) -> None:
        """Draw the rows that are new, as far as the terminal goes."""
        columns, rows = size = os.get_terminal_size(STDOUT)
        parts = ["\x1b[?25l"]
        if size != self._size or len(self._drawn) > frame.rows:
            self._size, self._drawn = size, []
            parts.append("\x1b[0m\x1b[2J")
        wanted = [drawn_row(frame, row, columns) for row in range(min(frame.rows, rows))]
        for row, line in enumerate(wanted):
            if self._drawn[row : row + 1] != [line]:
                parts.append(f"\x1b[{row + 1};1H{line}")
        self._drawn = wanted
        parts.append(self._bottom_line(frame.rows, columns, rows))
        if frame.cursor is not None:
            row, column = divmod(frame.cursor, frame.columns)
            if row < rows and column < columns:
                parts.append(f"\x1b[{row + 1};{column + 1}H\x1b[?25h")
        self._write("".join(parts))

    def _bottom_line(self, frame_rows: int, columns: int, rows: int) -> str:
        """The newest notice, if there is a row for it below the screen."""
        if not self._told or rows <= frame_rows:
            return ""
        return f"\x1b[{rows};1H\x1b[K{self._notices.plain[:columns]}"

    def _tell(self, line: str) -> None:
        """Keep a notice for the end, and show it below the screen meanwhile."""
        self._told.append(line)
        if self._frame is not None:
            self._draw(self._frame)

    def _write(self, text: str) -> None:
        if text:
            self._output.write(text.encode(errors="replace"))
