"""All that can be measured, by name, and a session that measures some of it."""

import fnmatch
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftvm.bench import channel, fault_tolerance, scaling, single, transfer
from ftvm.bench.measurement import Measurement
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.programs import DEBIAN_VARIABLE, find_linux
from ftvm.bench.rivals import COUNTED, RIVALS, Rival
from ftvm.bench.session import Document
from ftvm.bench.speed import SpeedTable
from ftvm.bench.watch import CannotRunError
from ftvm.bench.work import WORKS, Work
from ftvm.errors import UsageError

_Measure = Callable[[Plan, Tell], Iterator[list[Measurement]]]
_TINY_TURNS = (
    ("record", "replay"),
    ("pair", "two alone"),
    ("stock", "stock+hook", "uncounted"),
    ("QEMU", "QEMU icount", "QEMU record", "QEMU replay"),
)
"""Of these groups a tiny session has each do a work, in turn."""


@dataclass(frozen=True)
class Item:
    """One thing to measure: a work of the main table, or a function."""

    name: str
    what: str
    work: Work | None = None
    measure: _Measure | None = None


ITEMS = (
    *(Item(f"speed/{work.name}", work.what, work=work) for work in WORKS),
    Item("ft/log", "the log that a pair makes", measure=fault_tolerance.measure_log),
    Item("ft/idle", "replaying a session that slept", measure=fault_tolerance.measure_idle),
    Item(
        "ft/commit",
        "from a key to its answer, beside a TCP echo",
        measure=fault_tolerance.measure_commit,
    ),
    Item("ft/failover", "from a death to the console", measure=fault_tolerance.measure_failover),
    Item("ft/transfer", "protecting a running guest again", measure=transfer.measure_transfers),
    Item("ft/channel", "what protecting a channel costs", measure=channel.measure_channels),
    Item("scaling/memory", "a pair by its memory", measure=scaling.measure_memory),
    Item("scaling/interrupts", "by timer interrupts", measure=scaling.measure_interrupts),
    Item("scaling/output", "by output", measure=scaling.measure_output),
    Item("scaling/lag", "by the lag bound", measure=scaling.measure_lag),
    Item("scaling/delay", "by the channel's delay", measure=scaling.measure_delay),
    Item("costs/single", "single results, stops, pages", measure=single.measure_single),
)


def choose_items(patterns: Sequence[str]) -> list[Item]:
    """Return what the patterns name, all if there are none; UsageError if one names nothing."""
    for pattern in patterns:
        if not any(_matches(item, pattern) for item in ITEMS):
            raise UsageError(f"nothing to measure is called {pattern!r}; see ftvm bench --list")
    if not patterns:
        return list(ITEMS)
    return [item for item in ITEMS if any(_matches(item, pattern) for pattern in patterns)]


def _matches(item: Item, pattern: str) -> bool:
    section, _, name = item.name.partition("/")
    return pattern in (section, name) or fnmatch.fnmatchcase(item.name, pattern)


def choose_rivals(names: Sequence[str]) -> list[Rival]:
    """Return the rivals of these names, whom they replay, and the counted machine.

    UsageError if there is none of that name.
    """
    known = {rival.name for rival in RIVALS}
    for name in names:
        if name not in known:
            raise UsageError(f"no rival {name!r}: there are {', '.join(r.name for r in RIVALS)}")
    wanted = {COUNTED, *names, *(r.replays for r in RIVALS if r.name in names)}
    return [rival for rival in RIVALS if not names or rival.name in wanted]


def measure(
    document: Document,
    items: Sequence[Item],
    rivals: Sequence[Rival],
    plan: Plan,
    tell: Callable[[int, str], None],
) -> None:
    """Measure and put into the document, as much of it as there is when Ctrl-C comes.

    `tell` is given the number of items that are done and what is being done.
    What cannot be run is put into the document's ``failed``.
    """
    with tempfile.TemporaryDirectory(prefix="ftvm-bench-") as folder:
        linux = None if plan.tiny else find_linux(Path(folder))
        document.missing.update({r.name: r.missing for r in rivals if r.missing})
        if linux is None and any(item.work and "linux" in item.work.needs for item in items):
            document.missing["Linux"] = (
                "a tiny session boots none"
                if plan.tiny
                else f"{DEBIAN_VARIABLE} does not name the folder of Debian's guests"
            )
        done = 0
        table = SpeedTable(plan, linux, lambda what: tell(done, what))
        for done, item in enumerate(items):
            able = _thinned(rivals, done, plan)
            try:
                tell(done, item.name)
                for row in _rows(item, table, able, plan, table.tell):
                    document.measurements += row
            except CannotRunError as error:
                document.failed[item.name] = str(error)
            except KeyboardInterrupt:
                document.interrupted = True
                if item.work is not None:
                    document.measurements += table.row(item.work, able)
                break
        document.failed.update(table.failed)
        document.measurements += table.starts(rivals)


def _rows(
    item: Item, table: SpeedTable, rivals: Sequence[Rival], plan: Plan, tell: Tell
) -> Iterator[list[Measurement]]:
    if item.work is not None:
        table.run(item.work, rivals)
        yield table.row(item.work, rivals)
    elif item.measure is not None:
        yield from item.measure(plan, tell)


def _thinned(rivals: Sequence[Rival], number: int, plan: Plan) -> list[Rival]:
    """In a tiny session of all rivals most come only now and then."""
    if not plan.tiny or len(rivals) < len(RIVALS):
        return list(rivals)
    turn = number % len(_TINY_TURNS)
    left_out = {name for group in _TINY_TURNS if group != _TINY_TURNS[turn] for name in group}
    return [rival for rival in rivals if rival.name not in left_out]
