"""A progress bar on standard error for what takes longer than a second."""

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rich is slow to load, and mostly not wanted
    from rich.progress import Progress, TaskID

_PATIENCE_S = 1.0


class ProgressBar:
    """Shows how far a number has come, on a terminal that nothing else is written to.

    Use it as a context manager; leaving it leaves nothing on the screen.
    """

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self._what = what
        self._total = total
        self._shown: Progress | None = None
        self._task: TaskID
        self._wanted = not quiet and os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb"
        self._show_at = time.monotonic() + _PATIENCE_S

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take it from the screen."""
        if self._shown is not None:
            self._shown.stop()

    def at(self, number: int, *, total: int | None = None, note: str = "") -> None:
        """Say how far it is, and what else is to be known; of another total than at first."""
        if not self._wanted:
            return
        if self._shown is None:
            if time.monotonic() < self._show_at:
                return
            self._shown = _bar(has_note=bool(note))
            self._task = self._shown.add_task(self._what, total=self._total, note=note)
            self._shown.start()
        self._shown.update(self._task, completed=number, total=total, note=note)


def _bar(*, has_note: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    figures: tuple[ProgressColumn, ...] = (TaskProgressColumn(), TimeRemainingColumn())
    if has_note:
        figures = (TextColumn("{task.fields[note]}"),)
    columns = TextColumn("{task.description}"), BarColumn(), *figures
    # What is printed meanwhile belongs where standard output goes.
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
