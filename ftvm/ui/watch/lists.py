"""The lists in the middle of the screen: checks as they pass, and what happened."""

from rich.text import Text

from ftvm.ui.watch import figures
from ftvm.ui.watch.chain import Link
from ftvm.ui.watch.lines import LABEL, fit, join, plain, wrap
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.view import View

_DIGITS = 8
_APART = 6
_SIGNS = {"equal": ("=", "green"), "differ": ("≠", "bold red"), "single": ("·", "dim")}
_STYLES = {"info": "", "event": "yellow", "error": "red"}


def title(words: str, width: int) -> Text:
    """Return the line above a list."""
    return join(Text(f"─ {words} ", LABEL), Text("─" * (width - len(words) - 3), LABEL))


def checks(model: PairModel, view: View, width: int, height: int) -> list[Text]:
    """The newest checks, or those up to the one that is looked at."""
    head = "─ checks  instruction digest  ms apart "
    lines = [Text(head + "─" * (width - len(head)), LABEL)]
    numbers = model.chain.numbers()
    upto = None
    if view.selected is not None:
        above = (height - 1) // 2
        at = next((i for i, n in enumerate(numbers) if n >= view.selected), len(numbers) - 1)
        upto = numbers[min(at + above, len(numbers) - 1)] if numbers else None
    shown = model.chain.newest(height - 1, upto)
    if upto is None and model.state != "protected":
        # What made a backup go stays to be seen until there is another one.
        kept = [link for link in model.chain.differing[-1:] if link not in shown]
        shown = [*kept, *shown[len(kept) :]]
    lines += [_check(link, width, link.number == view.selected) for link in shown]
    return lines + [Text(" " * width)] * (height - len(lines))


def _check(link: Link, width: int, selected: bool) -> Text:
    sign, style = _SIGNS[link.verdict]
    apart = figures.milliseconds(link.apart_ns) if link.verdict != "single" else ""
    row = join(
        Text(f"{link.number:>5}", "dim" if link.verdict == "single" else ""),
        f" {link.instruction:>15,} ",
        Text(link.digest[:_DIGITS] + " "),
        Text(sign, style),
    )
    row = join(row, Text(apart.rjust(_APART)))
    if selected:
        row.stylize("reverse")
    return fit(row, width)


def events_or_check(model: PairModel, view: View, width: int, height: int) -> list[Text]:
    """What happened; or, while a check is looked at, all of that."""
    link = None if view.selected is None else model.chain.link(view.selected)
    return events(model, width, height) if link is None else _details(model, link, width, height)


def events(model: PairModel, width: int, height: int) -> list[Text]:
    """The newest events, the last one at the bottom; of each its beginning at least."""
    room = height - 1
    rows: list[Text] = []
    for event in reversed(model.events):
        time = f"{figures.clock(event.after_ns):>6} "
        pieces = wrap(event.text, width - len(time), width - len(time))
        block = [
            join(Text(time if at == 0 else " " * len(time), LABEL), Text(p, _STYLES[event.weight]))
            for at, p in enumerate(pieces)
        ]
        left = room - len(rows)
        if len(block) > left:
            block = [*block[: left - 1], join(block[left - 1], Text("…", LABEL))]
        rows = [*block, *rows]
        if len(rows) == room:
            break
    lines = [title("events", width), *(fit(row, width) for row in rows)]
    return lines + [Text(" " * width)] * (height - len(lines))


def _details(model: PairModel, link: Link, width: int, height: int) -> list[Text]:
    sign, style = _SIGNS[link.verdict]
    words = {"equal": "equal", "differ": "NOT EQUAL", "single": "made by one alone"}[link.verdict]
    apart = "" if link.verdict == "single" else f", {figures.milliseconds(link.apart_ns)} ms apart"
    first = min(link.times.values())
    rows = [
        join(Text(f" {sign} {words}", style), apart),
        Text(f" at instruction {link.instruction:,}"),
        *(
            join(Text(f" {plain(name)} ", LABEL), digest)
            for name, digest in link.digests.items()
        ),
        *(
            join(Text(f" {plain(name)} ", LABEL),
                 f"at {figures.clock(model.after(at))}" +
                 (f", {figures.milliseconds(at - first)} ms later" if at > first else ""))
            for name, at in link.times.items()
        ),
    ]  # fmt: skip
    words = f"check {link.number}: ↑ ↓ step, Esc goes back"
    lines = [title(words, width), *(fit(row, width) for row in rows[: height - 1])]
    return lines + [Text(" " * width)] * (height - len(lines))
