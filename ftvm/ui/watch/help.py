"""What all keys do, on the place of lists and console."""

from rich.text import Text

from ftvm.ui.watch import deeds
from ftvm.ui.watch.lines import LABEL, fit, join
from ftvm.ui.watch.lists import title
from ftvm.ui.watch.model import PairModel

_GENERAL = (
    ("Tab", "type to the guest, until Ctrl-A"),
    ("↑ ↓", "look at older checks; PgUp, Home"),
    ("Esc", "back to the newest check"),
    ("?", "this; any key ends it"),
    ("q", "quit"),
    ("━ ─ ┅", "protected; alone; backup is made"),
    ("✕ ◆ ▲", "one lost; they differ; protected"),
    ("= ≠ ·", "a check: equal; not; by one only"),
)
_WORDS = (
    "log: told to the backup   buffer: log on its way   held output: waits for that",
    "ins.: instructions   generation: one more whenever one of the two goes on alone",
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
    lines = [title("keys and signs", width), *rows]
    lines += [fit(Text(f" {words}", LABEL), width) for words in _WORDS]
    lines = lines[:height]
    return lines + [Text(" " * width)] * (height - len(lines))


def _cell(key: str, words: str, able: bool) -> Text:
    return join(
        " ", Text(key.ljust(_KEY), "bold" if able else LABEL), Text(words, "" if able else LABEL)
    )
