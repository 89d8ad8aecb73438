"""The demo as people see it: lines as things happen, then what it came to."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ftvm.runtime.clock import now_ns
from ftvm.runtime.report import Failover, RunReport
from ftvm.ui.demo_drive import INCREMENTS, Course, Moment
from ftvm.ui.demo_judge import Verdict
from ftvm.ui.line_console import LineConsole
from ftvm.ui.teller import in_ms

_BAR_COLUMNS = 30
_REFRESH_NS = 40_000_000
_STEP_STYLES = {
    "detect": "red",
    "drain": "yellow",
    "arbitrate": "magenta",
    "go live": "green",
    "attach": "cyan",
}
_MOMENT_STYLES = {"kill": "bold red", "live": "bold green"}


class DemoScreen:
    """Shows a demo run on standard output, or nothing of it if `quiet`.

    While entered, a terminal also shows how far the run is; on standard error
    if only that is a terminal.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._out = LineConsole()
        self._progress = Progress(
            TextColumn("  [dim]increments"),
            BarColumn(bar_width=_BAR_COLUMNS),
            MofNCompleteColumn(),
            console=self._out if self._out.is_terminal else Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._progress.disable = quiet or not self._progress.console.is_terminal
        self._task = self._progress.add_task("increments", total=INCREMENTS)
        self._refreshed_ns = 0

    def __enter__(self) -> "DemoScreen":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, seed: int) -> None:
        """Say what is to be seen."""
        title = Text.assemble(("ftvm demo", "bold"), f"  a counter loses its primary, seed {seed}")
        self._print(title)
        self._print("")

    def happened(self, moment: Moment) -> None:
        """Show a moment as it comes."""
        style = _MOMENT_STYLES.get(moment.name, "")
        self._print(Text.assemble((f"{moment.at_ns / 1e9:7.3f} s  ", "dim"), (moment.text, style)))

    def progress(self, answers: int, total: int) -> None:
        """Show how far the run is, now and then."""
        if self._progress.disable or now_ns() - self._refreshed_ns < _REFRESH_NS:
            return
        self._refreshed_ns = now_ns()
        self._progress.update(self._task, completed=min(answers, total), refresh=True)

    def show(self, course: Course, verdict: Verdict) -> None:
        """Show what the run came to and the verdict."""
        self._print("")
        if course.report is not None:
            for failover in course.report.failovers:
                self._show_failover(failover, course)
            self._show_totals(course.report)
            self._print("")
        for check in verdict.checks:
            mark = Text("  ok    ", "green") if check.holds else Text("  FAIL  ", "bold red")
            self._print(mark.append(check.name, "").append(f": {check.detail}", "dim"))
        self._print("")
        seconds = now_ns() - course.start_ns
        word = Text("  PASS", "bold green") if verdict.holds else Text("  FAIL", "bold red")
        self._print(word.append(f"  in {seconds / 1e9:.1f} s", ""))

    def _show_failover(self, failover: Failover, course: Course) -> None:
        time = failover.time
        spans = {
            "detect": time.detect_ns,
            "drain": time.drain_ns,
            "arbitrate": time.arbitrate_ns,
            "go live": time.go_live_ns,
            "attach": time.attach_ns,
        }
        self._row("failover", f"{in_ms(time.total_ns)} from the death to a console that is back")
        bar = Text()
        for name, columns in _share_out(spans, _BAR_COLUMNS).items():
            bar.append("━" * columns, _STEP_STYLES[name])
        if self._out.is_terminal:
            self._row("", bar)
        steps = Text(", ").join(
            Text(f"{name} {span / 1e6:.1f}", _STEP_STYLES[name]) for name, span in spans.items()
        )
        self._row("", steps.append(" ms", ""))
        self._row(
            "console", f"first output of the new primary {in_ms(course.back_ns)} after the kill"
        )
        self._row(
            "in flight",
            f"{course.sent_at_kill - course.answers_at_kill} increments typed and not answered,"
            f" {failover.held_bytes} bytes held or unconfirmed",
        )

    def _show_totals(self, report: RunReport) -> None:
        log = report.log
        self._row(
            "log",
            f"{log.entries:,} entries in {log.bytes:,} bytes:"
            f" {log.bytes / INCREMENTS:.1f} bytes for each increment",
        )

    def _row(self, name: str, value: Text | str) -> None:
        self._print(Text.assemble((f"  {name:10}", "bold"), value))

    def _print(self, line: Text | str) -> None:
        if not self._quiet:
            self._out.print(line)


def _share_out(spans: dict[str, int], columns: int) -> dict[str, int]:
    """Return how many columns each span gets of a bar, by the largest remainder."""
    total = max(sum(spans.values()), 1)
    shares = {name: span * columns // total for name, span in spans.items()}
    by_rest = sorted(spans, key=lambda name: spans[name] * columns % total, reverse=True)
    for name in by_rest[: columns - sum(shares.values())]:
        shares[name] += 1
    return shares
