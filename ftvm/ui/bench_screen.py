"""A session of measuring as people see it: progress, tables, changes."""

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from ftvm.bench import plan as plans
from ftvm.bench.comparison import RULE, Change
from ftvm.bench.rivals import Rival
from ftvm.bench.session import Document, describe_host
from ftvm.bench.suite import Item, measure
from ftvm.bench.tables import Table, figure_tables, ratio_table, speed_table
from ftvm.ui.notices import Notices

_WIDTH_IN_A_FILE = 200


class BenchScreen:
    """Shows a session on standard output, and on standard error how far it is."""

    def __init__(self, clock: str) -> None:
        self._clock = clock
        width = None if sys.stdout.isatty() else _WIDTH_IN_A_FILE
        self._out = Console(highlight=False, width=width)
        self._notices = Notices()

    def list_items(self, items: Sequence[Item], *, as_json: bool) -> None:
        """Say what can be measured."""
        if as_json:
            print(json.dumps([{"name": item.name, "what": item.what} for item in items], indent=2))
            return
        width = max(len(item.name) for item in items)
        for item in items:
            print(f"{item.name:{width}}  {item.what}")

    def measure(
        self, items: Sequence[Item], rivals: Sequence[Rival], *, tiny: bool, command: str
    ) -> Document:
        """Measure."""
        plan = plans.TINY if tiny else plans.FULL
        begun = time.monotonic()
        document = Document(
            host=describe_host(),
            command=command,
            size="tiny" if tiny else "full",
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            load_before=round(os.getloadavg()[0], 2),
        )
        if document.was_busy and not tiny:
            self._notices.event(
                f"the machine is busy (load {document.load_before:.1f} on {document.host.cpus}"
                " CPUs): figures by the clock on the wall are of that too; see --by cpu"
            )
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,  # no thread: the measured processes are forked from here
            transient=True,
            disable=not os.isatty(2),
        )
        with progress:
            task = progress.add_task("", total=len(items))

            def tell(done: int, what: str) -> None:
                progress.update(task, completed=done, description=what, refresh=True)

            measure(document, items, rivals, plan, tell)
        document.load_after = round(os.getloadavg()[0], 2)
        document.wall_s = round(time.monotonic() - begun, 1)
        return document

    def show(self, document: Document) -> None:
        """Show all tables, and what is not in them."""
        self._out.print(document.host.describe(), soft_wrap=True)
        self._out.print(
            f"{document.size} session of {document.begun}, {document.wall_s:,.0f} s, "
            f"load {document.load_before:.1f} before, {document.load_after:.1f} after\n"
        )
        if document.size == "tiny":
            self._out.print("A tiny session shows that all works, and says nothing of speed.\n")
        for table in (
            speed_table(document, self._clock),
            ratio_table(document, self._clock),
            *figure_tables(document, self._clock),
        ):
            if len(table.rows) > table.summaries and len(table.heading) > 1:
                self._print(table)
        for name, why in document.missing.items():
            self._out.print(f"{name} is missing: {why}", soft_wrap=True)
        self.show_failures(document)

    def show_failures(self, document: Document) -> None:
        """Say on standard error what could not be measured."""
        for name, why in document.failed.items():
            self._notices.error(f"{name} failed: {why}")
        if document.interrupted:
            self._notices.error("interrupted: these are the figures that there were")

    def print_json(self, document: Document, changes: Sequence[Change] | None) -> None:
        """Print all of a session, and what changed since an older one if that was asked for."""
        printed = msgspec.to_builtins(document)
        if changes is not None:
            printed["changes"] = [
                {
                    "name": change.name,
                    "ratio": change.ratio,
                    "noise": change.noise,
                    "regressed": change.regressed,
                    "improved": change.improved,
                }
                for change in changes
            ]
        print(json.dumps(printed, indent=1))
        self.show_failures(document)

    def _print(self, table: Table) -> None:
        shown = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left")
        for number, heading in enumerate(table.heading):
            shown.add_column(heading, justify="right" if number else "left")
        for number, row in enumerate(table.rows, 1):
            shown.add_row(*row, end_section=number == len(table.rows) - table.summaries)
        self._out.print(shown)

    def show_changes(self, changes: Sequence[Change], old: Document, new: Document) -> None:
        """Show what changed between two sessions."""
        regressed = sorted((c for c in changes if c.regressed), key=lambda c: c.ratio)
        improved = sorted((c for c in changes if c.improved), key=lambda c: -c.ratio)
        if old.host.describe() != new.host.describe():
            self._notices.event(f"not the same machine or versions: {old.host.describe()}")
        self._out.print(RULE + "\n")
        for word, style, found in (
            ("regressed", "red", regressed),
            ("improved", "green", improved),
        ):
            for change in found:
                self._out.print(
                    f"[{style}]{word}[/]  {change.name}: {change.ratio:.2f} times as good, "
                    f"noise {change.noise:.0%}",
                    soft_wrap=True,
                )
        self._out.print(
            f"{len(changes)} compared since {old.begun}: {len(regressed)} regressed, "
            f"{len(improved)} improved"
        )
