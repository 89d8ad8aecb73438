"""The tables of a session, as rows of text: for a terminal and for a README."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftvm.bench import speed
from ftvm.bench.measurement import Measurement, geometric_mean
from ftvm.bench.rivals import COUNTED, PAIR, RIVALS, TWICE
from ftvm.bench.session import Document
from ftvm.bench.work import WORKS

NOTHING = "n/a"
MEAN = "geometric mean"


@dataclass(frozen=True)
class Goal:
    """An aim: how fast one rival is to be, compared with another, in the geometric mean."""

    rival: str
    beside: str
    mean: float
    least: float = 0.0


GOALS = (
    Goal(COUNTED, "uncounted", 0.95),
    Goal(PAIR, COUNTED, 0.95),
    Goal(PAIR, TWICE, 0.95),
    Goal(COUNTED, "stock", 3.0),
    Goal("record", "QEMU record", 1.2, 0.7),
    Goal("replay", "record", 1.0),
)


@dataclass(frozen=True)
class Table:
    """A title, a heading, and rows of cells; the first column is text, the others numbers.

    The last ``summaries`` rows are about the others.
    """

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summaries: int = 0


class Speeds:
    """The main section's figures by row and column."""

    def __init__(self, document: Document, clock: str) -> None:
        self._clock = clock
        self._cells = {(m.row, m.column): m for m in document.section(speed.SECTION)}
        self.rows = [w.name for w in WORKS if any(row == w.name for row, _ in self._cells)]
        columns = {column for _, column in self._cells}
        self.columns = [rival.name for rival in RIVALS if rival.name in columns]

    def cell(self, row: str, column: str) -> Measurement | None:
        """What was measured there."""
        return self._cells.get((row, column))

    def ratio(self, row: str, rival: str, beside: str) -> float | None:
        """How many times as fast as another a rival is."""
        cells = self.cell(row, rival), self.cell(row, beside)
        if cells[0] is None or cells[1] is None:
            return None
        return cells[0].median(self._clock) / cells[1].median(self._clock)

    def mean(self, rival: str, beside: str) -> float | None:
        """The geometric mean of that over all rows that both can do."""
        return geometric_mean(self.ratio(row, rival, beside) for row in self.rows)

    def spread(self, row: str) -> float:
        """The largest spread of a row."""
        cells = [c for column in self.columns if (c := self.cell(row, column))]
        return max((c.spread(self._clock) for c in cells), default=0.0)


def speed_table(document: Document, clock: str) -> Table:
    """Every rival's speed beside the counted machine's."""
    speeds = Speeds(document, clock)
    others = [column for column in speeds.columns if column != COUNTED]
    by = "the clock on the wall" if clock == "wall" else "CPU time"
    rows = [
        (
            row,
            _rate(speeds, row, clock),
            *(number(speeds.ratio(row, column, COUNTED)) for column in others),
            f"{speeds.spread(row):.0%}",
        )
        for row in speeds.rows
    ]
    means = (number(speeds.mean(column, COUNTED)) for column in others)
    rows.append((MEAN, "", *means, ""))
    return Table(
        f"Speed, {COUNTED} = 1; more is faster; medians by {by}",
        ("work", f"{COUNTED}/s", *others, "spread"),
        tuple(rows),
        summaries=1,
    )


def _rate(speeds: Speeds, row: str, clock: str) -> str:
    cell = speeds.cell(row, COUNTED)
    return NOTHING if cell is None else short(cell.median(clock))


def ratio_table(document: Document, clock: str) -> Table:
    """What the aims are about."""
    speeds = Speeds(document, clock)
    goals = [g for g in GOALS if speeds.mean(g.rival, g.beside) is not None]
    rows = [
        (row, *(number(speeds.ratio(row, g.rival, g.beside)) for g in goals)) for row in speeds.rows
    ]
    rows.append((MEAN, *(number(speeds.mean(g.rival, g.beside)) for g in goals)))
    aims = (f"{g.mean:g}" + (f", none < {g.least:g}" if g.least else "") for g in goals)
    rows.append(("aim", *aims))
    return Table(
        "How fast one is beside the other; more is faster",
        ("work", *(f"{g.rival} / {g.beside}" for g in goals)),
        tuple(rows),
        summaries=2,
    )


def figure_tables(document: Document, clock: str) -> list[Table]:
    """One table for each other section: its rows, its columns, medians."""
    tables = []
    for section in dict.fromkeys(m.section for m in document.measurements):
        if section == speed.SECTION:
            continue
        tables.append(_figures(section, document.section(section), clock))
    return tables


def _figures(section: str, measured: Sequence[Measurement], clock: str) -> Table:
    cells = {(m.row, m.column): m for m in measured}
    columns = list(dict.fromkeys(m.column for m in measured))
    units = {column: {m.unit for m in measured if m.column == column} for column in columns}
    by_column = all(len(found) == 1 for found in units.values())
    headings = [f"{c}, {units[c].pop()}" if by_column else c for c in columns]
    rows = []
    for row in dict.fromkeys(m.row for m in measured):
        found = [cells.get((row, column)) for column in columns]
        there = [m for m in found if m is not None]
        texts = (NOTHING if m is None else short(m.median(clock)) for m in found)
        unit = [] if by_column else [there[0].unit]
        rows.append((row, *texts, *unit, f"{max(m.spread(clock) for m in there):.0%}"))
    return Table(section, ("", *headings, *([] if by_column else [""]), "spread"), tuple(rows))


def readme_tables(document: Document) -> list[Table]:
    """What a reader wants first: every rival in every work, and what fault tolerance costs."""
    sections = ("log of a pair", "output commit", "failover")
    figures = [t for t in figure_tables(document, "wall") if t.title in sections]
    return [speed_table(document, "wall"), *figures]


def number(ratio: float | None) -> str:
    """A ratio with two decimals, or with fewer if it is large."""
    if ratio is None:
        return NOTHING
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.1f}"


def short(value: float) -> str:
    """A number with three significant digits, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    decimals = next((d for d in range(7) if abs(value) * 10**d >= 1), 7)
    return f"{value:.{decimals + 2 if abs(value) < 1 else (1 if abs(value) >= 10 else 2)}f}"


def markdown(table: Table) -> str:
    """The table as a README has it."""
    lines = [
        "| " + " | ".join(table.heading) + " |",
        "|---" + "|--:" * (len(table.heading) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in table.rows),
    ]
    return "\n".join(lines) + "\n"
