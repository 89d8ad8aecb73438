"""What all keys do, on the place of lists and console."""

from rich.text import Text

from ftvm.ui.watch import deeds
from ftvm.ui.watch.lines import LABEL, fit, join
from ftvm.ui.watch.lists import title
from ftvm.ui.watch.model import PairModel

_GENERAL = (
    ("Tab", "type to the guest; Ctrl-A ends it"),
    ("↑ ↓", "look at older checks; PgUp, Home"),
    ("Esc", "back to the newest check"),
    ("?", "this; any key ends it"),
    ("q", "quit"),
)
_SIGNS = (
    ("━ ─ ┅", "protected, alone, a new backup is sent the state"),
    ("✕ ◆ ▲", "a failover or loss, a divergence, protected again"),
    ("= ≠ ·", "a digest that both made, and equal; not equal; made by one"),
)
_KEY = 7


def help_lines(model: PairModel, width: int, height: int) -> list[Text]:
    """Return the lines."""
    harm = [(deed.key, deed.summary, not deeds.hindrance(deed, model)) for deed in deeds.DEEDS]
    others = [(key, words, True) for key, words in _GENERAL]
    half = width // 2
    rows = []
    for at in range(max(len(harm), len(others))):
        cells = [_cell(*side[at]) if at < len(side) else Text("") for side in (harm, others)]
        rows.append(join(fit(cells[0], half), fit(cells[1], width - half)))
    signs = [fit(_cell(sign, words, True), width) for sign, words in _SIGNS]
    lines = [title("keys", width), *rows]
    if len(lines) + 1 + len(signs) <= height:
        lines += [fit(Text(""), width), *signs]
    lines = lines[:height]
    return lines + [Text(" " * width)] * (height - len(lines))


def _cell(key: str, words: str, able: bool) -> Text:
    return join(
        " ", Text(key.ljust(_KEY), "bold" if able else LABEL), Text(words, "" if able else LABEL)
    )
