"""Simulated runs as people see them: one run's story, or what many came to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ftvm.simulation.oracle import Verdict
from ftvm.simulation.story import FAULT, Moment
from ftvm.ui.line_console import LineConsole

_BAR_COLUMNS = 30


@dataclass
class Totals:
    """What the schedules from seed `first` on came to."""

    first: int
    schedules: int = 0
    finished: int = 0
    lost: int = 0
    """Guests of which no replica was left, which the faults excuse."""
    failovers: int = 0
    protections: int = 0
    machines: int = 0
    """How many had the real machine for a guest."""
    virtual_ns: int = 0
    violating: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.finished += verdict.finished
        self.lost += verdict.lost
        self.failovers += verdict.failovers
        self.protections += verdict.protections
        self.machines += verdict.is_machine
        self.virtual_ns += verdict.virtual_ns
        if verdict.violations:
            self.violating.append(verdict)


class TotalsScreen:
    """Shows violations as they are found, a terminal how far it is, and the totals."""

    def __init__(self, schedules: int, *, quiet: bool) -> None:
        self._quiet = quiet
        self._out = LineConsole()
        self._progress = Progress(
            TextColumn("[dim]schedules"),
            BarColumn(bar_width=_BAR_COLUMNS),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.disable = not self._progress.console.is_terminal
        self._task = self._progress.add_task("schedules", total=schedules)

    def __enter__(self) -> "TotalsScreen":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def judged(self, verdict: Verdict, totals: Totals) -> None:
        """Show what is wrong with a schedule, if anything is."""
        self._progress.update(self._task, completed=totals.schedules)
        if not self._quiet:
            for violation in verdict.violations:
                self._out.print(Text.assemble((f"seed {verdict.seed}: ", "bold red"), violation))

    def show(self, totals: Totals) -> None:
        """Show what they all came to."""
        self._out.print(
            f"{_counted(totals.schedules, 'schedule')} from seed {totals.first},"
            f" {totals.machines} of them with the real machine;"
            f" {totals.virtual_ns / 1e9:.1f} s of virtual time"
        )
        self._out.print(
            f"{_counted(totals.failovers, 'failover')}, protected again"
            f" {_counted(totals.protections, 'time')};"
            f" {_counted(totals.finished, 'guest')} finished, {totals.lost} lost for good reason"
        )
        if not totals.violating:
            self._out.print(Text("all hold", "bold green"))
            return
        self._out.print(Text(f"{_counted(len(totals.violating), 'violation')}", "bold red"))
        self._out.print(f"the first is told by: ftvm simulate --seed {totals.violating[0].seed}")


def show_story(verdict: Verdict, moments: Iterable[Moment]) -> None:
    """Show one run and its verdict."""
    out = LineConsole()
    guest = "the real machine" if verdict.is_machine else "the model"
    out.print(Text.assemble((f"schedule {verdict.seed}", "bold"), f"  its guest is {guest}"))
    for moment in moments:
        fault = moment.who == FAULT
        style = "red" if fault else "dim" if moment.detail else ""
        time = (f"{moment.at_ns / 1e6:9.3f} ms  ", "dim")
        out.print(Text.assemble(time, (f"{moment.who:8} {moment.what}", style)))
    end = "was lost for good reason" if verdict.lost else "did not finish"
    if verdict.finished:
        end = "finished"
    out.print(
        f"{_counted(verdict.failovers, 'failover')}, protected again"
        f" {_counted(verdict.protections, 'time')}; the guest {end}"
    )
    for violation in verdict.violations:
        out.print(Text.assemble(("violated: ", "bold red"), violation))
    if not verdict.violations:
        out.print(Text("holds", "bold green"))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
