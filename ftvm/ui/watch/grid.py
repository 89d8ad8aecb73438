"""The guest's terminal: 80x24 characters, as a serial console expects one at its other end.

Understands what ECMA-48 and the VT100 have that kernels, shells and full-screen
programs on a serial line use: moving, erasing, scrolling, attributes, a report
of the cursor's place. Everything else is taken and has no effect.
"""

import codecs
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

COLUMNS, ROWS = 80, 24
HISTORY_ROWS = 2000
"""Rows that have scrolled out and are kept."""

_SEQUENCE_MAX = 256
"""A sequence that does not end by then is none."""
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
# ECMA-48 §5.4: CSI, parameter bytes, intermediate bytes, a final byte.
_CSI = re.compile(r"\x1b\[([0-?]*)([ -/]*)([@-~])")


@dataclass(frozen=True)
class Cell:
    """One character and how it looks, as rich writes styles."""

    text: str = " "
    style: str = ""


BLANK = Cell()
Row = list[Cell]


class Grid:
    """Feed it what the guest sends; `answer` takes what a terminal says by itself."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rows: list[Row] = [_blank_row() for _ in range(ROWS)]
        self._history: deque[Row] = deque(maxlen=HISTORY_ROWS)
        self._row = self._column = 0
        self._saved = (0, 0)
        self._top, self._bottom = 0, ROWS - 1
        self._wrap_due = False
        """A character in the last column wraps the next one, not itself (VT100 User Guide)."""
        self._attributes: set[str] = set()
        self._colours = ["", ""]
        self._style = ""
        self._sequence = ""
        self.changes = 0
        """Grows with whatever is fed."""

    def feed(self, data: bytes) -> None:
        """Take what the guest sent."""
        self.changes += 1
        for character in self._decoder.decode(data):
            if self._sequence:
                self._continue(character)
            elif character == "\x1b":
                self._sequence = character
            elif character < " " or character == "\x7f":
                self._control(character)
            else:
                self._print(character)

    def view(self, height: int) -> tuple[list[Row], tuple[int, int]]:
        """Return `height` rows with the newest of the screen, and the cursor's row and column."""
        last = max(self._row, max((i for i, row in enumerate(self._rows) if any(
            cell != BLANK for cell in row)), default=0))  # fmt: skip
        rows = [*self._history, *self._rows[: last + 1]]
        cursor = len(self._history) + self._row
        # The cursor is seen even if a full-screen program has put it far above its last row.
        end = min(len(rows), cursor + height) if cursor < len(rows) - height else len(rows)
        start = max(0, end - height)
        seen = rows[start:end]
        return seen + [_blank_row() for _ in range(height - len(seen))], (
            cursor - start,
            self._column,
        )

    # --- what comes ---

    def _print(self, character: str) -> None:
        if self._wrap_due:
            self._column = 0
            self._line_feed()
        self._rows[self._row][self._column] = Cell(character, self._style)
        self._wrap_due = self._column == COLUMNS - 1
        self._column = min(self._column + 1, COLUMNS - 1)

    def _control(self, character: str) -> None:
        match character:
            case "\n" | "\v" | "\f":
                # What a terminal's line discipline does with the guest's bare line feeds.
                self._move(self._row, 0)
                self._line_feed()
            case "\r":
                self._move(self._row, 0)
            case "\b":
                self._move(self._row, self._column - 1)
            case "\t":
                self._move(self._row, self._column // 8 * 8 + 8)

    def _continue(self, character: str) -> None:
        self._sequence += character
        sequence = self._sequence
        kind = sequence[1]
        if character in "\x18\x1a" or len(sequence) > _SEQUENCE_MAX:
            self._sequence = ""
        elif kind == "[":
            if (match := _CSI.fullmatch(sequence)) is not None:
                self._sequence = ""
                self._carry_out(match[1], match[3])
        elif kind in "]PX^_":  # strings, ended by BEL or ST
            if character == "\a" or sequence.endswith("\x1b\\"):
                self._sequence = ""
        elif kind not in "()*+#% ":
            self._sequence = ""
            self._escape(kind)
        elif len(sequence) == 3:
            self._sequence = ""

    def _escape(self, kind: str) -> None:
        match kind:
            case "7":
                self._saved = self._row, self._column
            case "8":
                self._move(*self._saved)
            case "D":
                self._line_feed()
            case "E":
                self._control("\n")
            case "M":
                self._reverse_line_feed()
            case "c":
                self._set_style([0])
                self._top, self._bottom = 0, ROWS - 1
                self._erase_rows(range(ROWS))
                self._move(0, 0)

    def _carry_out(self, parameters: str, final: str) -> None:
        if parameters[:1] in ("?", ">", "=", "<"):
            return  # private modes and questions
        numbers = [min(int(p), 9999) if p.isdecimal() else 0 for p in parameters.split(";")]
        first = max(numbers[0], 1)
        match final:
            case "A" | "F":
                self._move(self._row - first, 0 if final == "F" else self._column)
            case "B" | "E" | "e":
                self._move(self._row + first, 0 if final == "E" else self._column)
            case "C" | "a":
                self._move(self._row, self._column + first)
            case "D":
                self._move(self._row, self._column - first)
            case "G" | "`":
                self._move(self._row, first - 1)
            case "d":
                self._move(first - 1, self._column)
            case "H" | "f":
                self._move(first - 1, max(numbers[1], 1) - 1 if len(numbers) > 1 else 0)
            case "J":
                self._erase_screen(numbers[0])
            case "K":
                self._erase_line(numbers[0])
            case "X":
                self._fill(self._row, self._column, self._column + first)
            case "P" | "@":
                self._shift_line(first if final == "@" else -first)
            case "L" | "M":
                self._shift_rows(self._row, first if final == "L" else -first)
            case "S" | "T":
                self._shift_rows(self._top, first if final == "T" else -first)
            case "r":
                self._set_region(first, numbers[1] if len(numbers) > 1 else 0)
            case "s":
                self._saved = self._row, self._column
            case "u":
                self._move(*self._saved)
            case "m":
                self._set_style(numbers)
            case "n" if numbers[0] == 6:  # CPR, the cursor's place
                self._answer(b"\x1b[%d;%dR" % (self._row + 1, self._column + 1))
            case "n" if numbers[0] == 5:  # DSR, ready
                self._answer(b"\x1b[0n")
            case "c":  # DA, a VT102
                self._answer(b"\x1b[?6c")

    # --- what it does ---

    def _move(self, row: int, column: int) -> None:
        self._row = min(max(row, 0), ROWS - 1)
        self._column = min(max(column, 0), COLUMNS - 1)
        self._wrap_due = False

    def _line_feed(self) -> None:
        self._wrap_due = False
        if self._row == self._bottom:
            gone = self._rows.pop(self._top)
            self._rows.insert(self._bottom, _blank_row())
            if self._top == 0:
                self._history.append(gone)
        else:
            self._row = min(self._row + 1, ROWS - 1)

    def _reverse_line_feed(self) -> None:
        if self._row == self._top:
            self._shift_rows(self._top, 1)
        else:
            self._row = max(self._row - 1, 0)

    def _shift_rows(self, start: int, by: int) -> None:
        """Rows from `start` to the region's end go down, or up if `by` is negative."""
        if not self._top <= start <= self._bottom:
            return
        for _ in range(min(abs(by), ROWS)):
            if by > 0:
                self._rows.pop(self._bottom)
                self._rows.insert(start, _blank_row())
            else:
                self._rows.pop(start)
                self._rows.insert(self._bottom, _blank_row())

    def _shift_line(self, by: int) -> None:
        row, at = self._rows[self._row], self._column
        count = min(abs(by), COLUMNS - at)
        if by > 0:
            row[at:] = ([BLANK] * count + row[at:])[: COLUMNS - at]
        else:
            row[at:] = row[at + count :] + [BLANK] * count

    def _set_region(self, top: int, bottom: int) -> None:
        bottom = min(bottom or ROWS, ROWS)
        if top < bottom:
            self._top, self._bottom = top - 1, bottom - 1
            self._move(0, 0)

    def _fill(self, row: int, start: int, end: int) -> None:
        end = min(end, COLUMNS)
        self._rows[row][start:end] = [BLANK] * (end - start)

    def _erase_rows(self, rows: range) -> None:
        for row in rows:
            self._fill(row, 0, COLUMNS)

    def _erase_line(self, how: int) -> None:
        start = 0 if how in (1, 2) else self._column
        self._fill(self._row, start, self._column + 1 if how == 1 else COLUMNS)

    def _erase_screen(self, how: int) -> None:
        if how in (0, 1):
            self._erase_line(how)
        if how != 1:
            self._erase_rows(range(self._row + 1 if how == 0 else 0, ROWS))
        else:
            self._erase_rows(range(self._row))

    def _set_style(self, numbers: list[int]) -> None:
        """SGR, ECMA-48 §8.3.117; of the colours those that every terminal has."""
        words = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}
        left = iter(numbers)
        for number in left:
            if number == 0:
                self._attributes, self._colours = set(), ["", ""]
            elif number in words:
                self._attributes.add(words[number])
            elif number == 22:
                self._attributes -= {"bold", "dim"}
            elif number in (23, 24, 27):
                self._attributes.discard(words[number - 20])
            elif number in (39, 49):
                self._colours[number == 49] = ""
            elif number in (38, 48):  # a colour of many: its numbers are not to be taken for others
                for _ in range({5: 1, 2: 3}.get(next(left, 0), 0)):
                    next(left, 0)
            elif number // 10 in (3, 4, 9, 10) and number % 10 < 8:
                bright = "bright_" if number >= 90 else ""
                self._colours[number // 10 in (4, 10)] = bright + _COLOURS[number % 10]
        ink, paper = self._colours
        self._style = " ".join(
            [
                *sorted(self._attributes),
                *([ink] if ink else []),
                *(["on " + paper] if paper else []),
            ]
        )


def _blank_row() -> Row:
    return [BLANK] * COLUMNS
