"""Pieces of text put together to lines of a certain width."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

LABEL = "dim"


def plain(text: str) -> str:
    """Return text with one cell for each character and nothing that a terminal would obey."""
    return "".join(c if c.isprintable() and cell_len(c) == 1 else "?" for c in text)


def fit(text: Text, width: int) -> Text:
    """Return text exactly as wide as `width`, cut or filled up at its right."""
    if text.cell_len > width:
        text = text.copy()
        text.truncate(width, overflow="ellipsis")
    return join(text, Text(" " * (width - text.cell_len)))


def join(*pieces: Text | str) -> Text:
    """Return the pieces in a row."""
    return Text("").join(p if isinstance(p, Text) else Text(p) for p in pieces)


def spread(left: Text, right: Text, width: int, fill: str = " ", style: str = "") -> Text:
    """Return a line with `left` and `right` at its ends; `left` gives way."""
    left = left if left.cell_len + right.cell_len <= width else fit(left, width - right.cell_len)
    return join(left, Text(fill * (width - left.cell_len - right.cell_len), style), right)


def right_align(text: str, width: int) -> str:
    """Return text at the right end of `width` cells."""
    return set_cell_size(text, width) if cell_len(text) > width else text.rjust(width)


def wrap(text: str, first: int, rest: int) -> list[str]:
    """Break text at spaces into lines of `first` and then `rest` cells."""
    lines, line, width = [], "", first
    for word in plain(text).split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, width = "", rest
        line = f"{line} {word}" if line else word
        while len(line) > width:
            lines.append(line[:width])
            line, width = line[width:], rest
    return [*lines, line]
