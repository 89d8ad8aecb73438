"""The screen as lines of text, made of what is known: equal input, equal lines.

From top to bottom: a heading; the two replicas with the link between them; the
timeline; checks and events; the guest's console; what can be done. Each line is
exactly as wide as the screen.
"""

import itertools
from dataclasses import dataclass

from rich.text import Text

from ftvm.ui.watch import bottom, lists, replica_box, strips
from ftvm.ui.watch.grid import COLUMNS, Grid
from ftvm.ui.watch.help import help_lines
from ftvm.ui.watch.lines import fit, join
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.view import View

WIDTH_MIN, HEIGHT_MIN = 80, 24
_WIDE = 132
"""From here on the console stands beside checks and events."""
_LISTS_SHARE = 0.4
_GAP = 2


@dataclass(frozen=True)
class Frame:
    """A screen: its lines, and where the guest's cursor is to be seen, if anywhere."""

    lines: list[Text]
    cursor: tuple[int, int] | None = None


def draw(model: PairModel, view: View, grid: Grid, width: int, height: int) -> Frame:
    """Return the screen."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return _too_small(width, height)
    top = [
        strips.heading(model, width),
        *replica_box.boxes(model, width),
        *strips.timeline(model, width),
    ]
    foot = [bottom.advice_line(model, view, width), bottom.key_bar(model, view, width)]
    room = height - len(top) - len(foot)
    if view.helping:
        return Frame([*top, *help_lines(model, width, room), *foot])
    middle, cursor = _middle(model, view, grid, width, room)
    if cursor is not None:
        cursor = cursor[0] + len(top), cursor[1]
    return Frame([*top, *middle, *foot], cursor if view.typing else None)


def _middle(
    model: PairModel, view: View, grid: Grid, width: int, room: int
) -> tuple[list[Text], tuple[int, int] | None]:
    if width >= _WIDE:
        left = max(COLUMNS, width - _GAP - 60)
        right = width - _GAP - left
        console, cursor = _console(model, view, grid, left, room)
        upper = room // 2
        beside = [
            *lists.checks(model, view, right, upper),
            *lists.events_or_check(model, view, right, room - upper),
        ]
        gap = Text(" " * _GAP)
        return [join(c, gap, b) for c, b in zip(console, beside, strict=True)], cursor
    above = max(5, int(room * _LISTS_SHARE))
    left = (width - _GAP) // 2
    right = width - _GAP - left
    gap = Text(" " * _GAP)
    both = [
        join(c, gap, e)
        for c, e in zip(
            lists.checks(model, view, left, above),
            lists.events_or_check(model, view, right, above),
            strict=True,
        )
    ]
    console, cursor = _console(model, view, grid, width, room - above)
    if cursor is not None:
        cursor = cursor[0] + above, cursor[1]
    return [*both, *console], cursor


def _console(
    model: PairModel, view: View, grid: Grid, width: int, height: int
) -> tuple[list[Text], tuple[int, int] | None]:
    rows, (row, column) = grid.view(height - 1)
    lines = [bottom.console_title(view, width)]
    for cells in rows:
        line = Text()
        for style, run in itertools.groupby(cells, key=lambda cell: cell.style):
            line.append("".join(cell.text for cell in run), style or None)
        lines.append(fit(line, width))
    inside = 0 <= row < height - 1
    return lines, ((row + 1, min(column, width - 1)) if inside else None)


def _too_small(width: int, height: int) -> Frame:
    words = [f"The screen needs {WIDTH_MIN}x{HEIGHT_MIN}", f"and has {width}x{height}.", "q leaves"]
    lines = [fit(Text(word, "yellow"), width) for word in words][:height]
    return Frame(lines + [Text(" " * width)] * (height - len(lines)))
