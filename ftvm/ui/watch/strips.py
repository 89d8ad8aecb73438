"""The lines that go over the whole width: the heading, and the pair's last minutes."""

from rich.text import Text

from ftvm.ui.watch import figures
from ftvm.ui.watch.lines import LABEL, fit, join, plain, spread
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.timeline import Column, Mark, PairState

CHIPS: dict[PairState, tuple[str, str]] = {
    "starting": ("STARTING", "reverse"),
    "protected": ("PROTECTED", "black on green"),
    "protecting": ("PROTECTING", "black on yellow"),
    "alone": ("NOT PROTECTED", "black on yellow"),
    "deciding": ("FAILING OVER", "black on yellow"),
    "unknown": ("NO ANSWER", "black on yellow"),
    "ended": ("ENDED", "reverse"),
    "lost": ("LOST", "white on red"),
}
_CHIP_WIDTH = max(len(words) for words, _ in CHIPS.values()) + 2
_STROKES: dict[PairState, tuple[str, str]] = {
    "starting": ("┄", "dim"),
    "protected": ("━", "green"),
    "protecting": ("┅", "yellow"),
    "alone": ("─", "yellow"),
    "deciding": ("┈", "red"),
    "unknown": ("?", "yellow"),
    "ended": (" ", ""),
    "lost": ("┈", "red"),
}
_MARKS: dict[Mark, tuple[str, str]] = {
    "protected": ("▲", "green"),
    "loss": ("✕", "yellow"),
    "failover": ("✕", "bold red"),
    "divergence": ("◆", "bold magenta"),
}
_BARS = "▁▂▃▄▅▆▇█"
_NAME = 11
_SIDE = 12


def heading(model: PairModel, width: int) -> Text:
    """Who runs, how safe it is, since when."""
    words, style = CHIPS[model.state]
    chip = Text(words.center(_CHIP_WIDTH), style)
    time = figures.clock(model.after(model.now))
    right = join(Text("generation ", LABEL), f"{model.generation:>3} ", Text(f"{time:>9}"), " ")
    left = join(Text(" ftvm ", "bold"), Text(plain(model.title)))
    side = (width - _CHIP_WIDTH) // 2
    return join(fit(left, side), chip, spread(Text(), right, width - _CHIP_WIDTH - side))


def timeline(model: PairModel, width: int) -> list[Text]:
    """The last seconds, one in a column: what the pair was, and the backup's lag."""
    count = width - _NAME - _SIDE
    columns = model.timeline.newest(count)
    lead = Text(" " * (count - len(columns)))
    strokes = Text()
    for column in columns:
        strokes.append(*(_MARKS[column.mark] if column.mark else _STROKES[column.state]))
    most_ns = max((column.lag_ns or 0 for column in columns), default=0)
    lags = Text("".join(_bar(column, most_ns) for column in columns), "cyan")
    most = f"≤ {figures.milliseconds(most_ns)} ms" if most_ns else ""
    return [
        join(Text(" last " + f"{count} s".ljust(_NAME - 6), LABEL), lead, strokes,
             Text("now".rjust(_SIDE - 1) + " ", LABEL)),
        join(Text(" behind".ljust(_NAME), LABEL), lead, lags,
             Text(f"{most:>{_SIDE - 1}} ", LABEL)),
    ]  # fmt: skip


def _bar(column: Column, most_ns: int) -> str:
    if column.lag_ns is None or not most_ns:
        return " "
    return _BARS[min(column.lag_ns * len(_BARS) // most_ns, len(_BARS) - 1)]
