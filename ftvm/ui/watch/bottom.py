"""The lower lines: the console's title, the advice, the keys."""

from rich.text import Text

from ftvm.ui.watch import deeds
from ftvm.ui.watch.advice import advise
from ftvm.ui.watch.lines import LABEL, fit, join
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.view import View


def console_title(view: View, width: int) -> Text:
    """The line above the guest's console."""
    if view.typing:
        words = Text(" typing: keys go to the guest, Ctrl-A ends that ", "reverse")
    elif view.can_type:
        words = join(" ", Text("Tab", "bold"), " types to the guest ")
    else:
        words = join(" ", Text("Tab", "bold"), " takes the console and types to the guest ")
    line = join(Text("─ the guest's console ──", LABEL), words)
    return join(line, Text("─" * (width - line.cell_len), LABEL))


def advice_line(model: PairModel, view: View, width: int) -> Text:
    """What is so, and what to do."""
    text, style = advise(model, view)
    return fit(Text(f" {text}", style), width)


def key_bar(model: PairModel, view: View, width: int) -> Text:
    """The keys that are not in the boxes."""
    cut = bool(model.backup and model.backup.cut)
    pairs = [("Tab", "type", True)]
    for deed in (deeds.PROTECT, deeds.CUT):
        words = "mend the link" if deed is deeds.CUT and cut else deed.words
        pairs.append((deed.key, words, not deeds.hindrance(deed, model)))
    pairs += [("↑↓", "checks", True), ("?", "help", True), ("q", "quit", True)]
    line = Text(" ")
    for key, words, able in pairs:
        able = able and not view.typing
        line.append(key, "bold" if able else "dim")
        line.append(f" {words}   ", "" if able else "dim")
    return fit(line, width)
