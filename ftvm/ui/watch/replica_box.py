"""The two replicas side by side, and the link between them."""

from rich.text import Text

from ftvm.runtime.status import HostStatus, Transfer
from ftvm.ui.watch import deeds, figures
from ftvm.ui.watch.deeds import Deed
from ftvm.ui.watch.lines import LABEL, join, plain, right_align, spread
from ftvm.ui.watch.model import PairModel, Place
from ftvm.ui.watch.sighting import Sighting

_BODY = 6
_NAME = 15
_BAR_CELLS = 10
_WIDTH_MAX = 58
"""From label to value the eye goes no further than this."""

# What the protocol's states (docs/protocol.md) are called here, and how they look.
_WORDS = {
    "claiming": ("starting", ""),
    "awaiting": ("starting", ""),
    "paired": ("running", "green"),
    "arbitrating": ("asking the store", "yellow"),
    "solo": ("alone", "yellow"),
    "protecting": ("sends the machine", "yellow"),
    "joining": ("joining", "yellow"),
    "receiving": ("is sent the machine", "yellow"),
    "ready": ("nearly ready", "yellow"),
    "following": ("following", "green"),
    "catching up": ("catching up", "yellow"),
    "live": ("going live", "yellow"),
    "standby": ("stands by", ""),
    "ending": ("ending", ""),
    "ended": ("ended", ""),
    "halted": ("halted", "red"),
}


def boxes(model: PairModel, width: int) -> list[Text]:
    """Return the lines of both boxes with the link in the middle."""
    gap = max(4 + (width - 80) // 20, width - 2 * _WIDTH_MAX)
    left_width = (width - gap) // 2
    right_width = width - gap - left_width
    left = _box(model, model.places[0], left_width)
    right = _box(model, model.places[1], right_width)
    links = _link(model, gap)
    return [join(a, link, b) for a, link, b in zip(left, links, right, strict=True)]


def _link(model: PairModel, width: int) -> list[Text]:
    """Two arrows: log one way, acknowledgements the other."""
    lines = [Text(" " * width) for _ in range(_BODY + 2)]
    primary, backup = model.primary, model.backup
    if primary is None or backup is None:
        return lines
    first = model.places[0]
    to_right = first is not None and first.sighting is primary
    inner = width - 2
    if backup.cut:
        lines[3] = Text(" " + "✕".center(inner, "╌") + " ", "red")
        lines[4] = Text("cut".center(width), "red")
        return lines
    stands = primary.paused or backup.paused
    style = "dim" if stands else "green" if model.state == "protected" else "yellow"
    stroke = "━" * (inner - 1)
    lines[3] = Text(f" {stroke}▶ " if to_right else f" ◀{stroke} ", style)
    thin = "─" * (inner - 1)
    lines[4] = Text(f" ◀{thin} " if to_right else f" {thin}▶ ", "dim")
    return lines


def _box(model: PairModel, place: Place | None, width: int) -> list[Text]:
    if place is None:
        return _empty(model, width)
    sighting = place.sighting
    gone = not sighting.alive
    edge = "red" if gone else "dim"
    state, style = _state(sighting)
    role = _role_of_the_gone(model, sighting) if gone else sighting.role
    name_style = "bold red" if gone else "bold"
    rows = _rows(place, model)
    inner = width - 4
    called = Text(f"{plain(sighting.name)}  {role.upper()} ", name_style)
    room = width - 4 - called.cell_len
    if len(state) > room - 2:
        state = f"{state[: max(room - 3, 0)]}…"
    return [
        join(
            Text("╭ ", edge),
            spread(called, Text(f" {state} ", style), width - 3, "─", edge),
            Text("╮", edge),
        ),
        *(
            join(
                Text("│ ", edge),
                spread(
                    Text(label.ljust(_NAME), LABEL),
                    Text(right_align(value, inner - _NAME), "dim" if gone else style),
                    inner,
                ),
                Text(" │", edge),
            )
            for label, value, style in rows
        ),
        join(
            Text("╰ ", edge),
            spread(
                _keys(model, sighting), Text(f" {plain(sighting.process)} " if sighting.process
                                             else "", LABEL),
                width - 3, "─", edge,
            ),
            Text("╯", edge),
        ),
    ]  # fmt: skip


def _role_of_the_gone(model: PairModel, sighting: Sighting) -> str:
    if not model.owned:
        return "away"
    return "dead" if sighting.end.startswith("killed") else "gone"


def _empty(model: PairModel, width: int) -> list[Text]:
    words = "no backup" if model.primary else "nobody yet"
    lines = [Text("╭" + "╌" * (width - 2) + "╮", "dim")]
    lines += [
        Text("╎" + (words if at == 2 else "").center(width - 2) + "╎", "dim") for at in range(_BODY)
    ]
    keys = Text("╌" * (width - 3), "dim")
    if model.primary is not None:
        keys = spread(_key_words([deeds.PROTECT], model), Text(), width - 3, "╌", "dim")
    return [*lines, join(Text("╰ ", "dim"), keys, Text("╯", "dim"))]


def _state(sighting: Sighting) -> tuple[str, str]:
    if not sighting.alive:
        return plain(sighting.end or "ended"), "red"
    if sighting.paused:
        return "paused", "yellow"
    if sighting.status is None:
        return "starting", ""
    word, style = _WORDS[sighting.status.state]
    wait = sighting.status.wait
    if sighting.role == "primary" and wait in ("log full", "lag", "output full"):
        return f"waits: {wait}", "yellow"
    return word, style


def _keys(model: PairModel, sighting: Sighting) -> Text:
    if not sighting.alive:
        able = model.state == "alone" and model.owned
        return _key_words([deeds.PROTECT], model) if able else Text("")
    pause = deeds.PAUSE_PRIMARY if sighting.role == "primary" else deeds.PAUSE_BACKUP
    shown: list[Deed]
    if sighting.paused:
        shown = [deeds.RESUME]
    elif sighting is model.primary:
        shown = [deeds.KILL_PRIMARY, pause]
    elif sighting is model.backup:
        shown = [deeds.KILL_BACKUP, pause, deeds.FLIP]
    else:
        shown = []
    return _key_words(shown, model)


def _key_words(shown: list[Deed], model: PairModel) -> Text:
    line = Text()
    for at, deed in enumerate(shown):
        able = not deeds.hindrance(deed, model)
        line.append(f"{'  ' if at else ''}{deed.key}", "bold" if able else "dim")
        line.append(f" {deed.words}", "" if able else "dim")
    return join(line, " ") if shown else line


def _rows(place: Place, model: PairModel) -> list[tuple[str, str, str]]:
    """Label, value and style of each line."""
    status = place.sighting.status
    if status is None or (place.sighting.role == "standby" and place.sighting.alive):
        return [("", "", "")] * _BODY
    rates = place.rates
    alive = place.sighting.alive
    is_recruit = place.sighting.role == "backup" and status.transfer is not None
    runs = alive and not is_recruit
    speed = figures.speed(rates.instructions_per_s) if runs else "-"
    log = f"{figures.size(status.log_bytes_per_s)}/s" if alive else "-"
    rows = [
        ("instructions", f"{status.instructions:,}", "bold"),
        ("speed", speed, ""),
    ]
    if place.sighting.role == "primary":
        density = rates.log_bytes_per_1000
        held = "yellow" if status.held_bytes else ""
        rows += [
            ("log", log, ""),
            ("per 1,000 ins.", "-" if density is None else figures.density(density), ""),
            ("buffer", _fill(status), ""),
            ("held output", figures.size(status.held_bytes), held),
        ]
    else:
        lag, lag_ns = _lag(status, model)
        transfer = status.transfer
        rows += [
            ("behind", "-" if lag is None else f"{lag:,} ins.", ""),
            ("", "-" if lag_ns is None else f"{figures.milliseconds(lag_ns)} ms", ""),
            ("buffer", _fill(status), "") if transfer is None else _received(transfer),
            ("checks equal", f"{model.chain.equal:,}", ""),
        ]
    return rows


def _lag(status: HostStatus, model: PairModel) -> tuple[int | None, int | None]:
    """How far a backup is behind: behind what it has heard, or its primary, who may know more."""
    if status.lag_instructions is None or status.lag_ns is None:
        return None, None
    primary = model.primary.status if model.primary else None
    if primary is None or primary.peer != status.node:
        return status.lag_instructions, status.lag_ns
    return (
        max(status.lag_instructions, primary.lag_instructions or 0),
        max(status.lag_ns, primary.lag_ns or 0),
    )


def _fill(status: HostStatus) -> str:
    """How full the log's buffer is: a bar, and bytes."""
    bar = _bar(status.buffer_bytes, status.buffer_bytes_max)
    return f"{bar} {figures.size(status.buffer_bytes):>8}"


def _received(transfer: Transfer) -> tuple[str, str, str]:
    """How much of the machine a new backup has."""
    bar = _bar(transfer.pages, transfer.pages + transfer.left_pages)
    return "received", f"{bar} {transfer.percent:>6} %", ""


def _bar(part: int, whole: int) -> str:
    cells = min(-(-part * _BAR_CELLS // max(whole, 1)), _BAR_CELLS)
    return "■" * cells + "·" * (_BAR_CELLS - cells)
