"""Engines that run in processes of their own: output, status and CPU time."""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engines import Run
from benchmarks.guests import build

_START_RUNS = 3
_SECONDS_LEAST = 1e-3
"""The resolution of a child's CPU time."""


@dataclass(frozen=True)
class Child:
    """How a child ended; ``seconds`` are of CPU time, with all children of its own."""

    output: bytes
    status: int
    seconds: float


def run_child(command: Sequence[str], folder: Path) -> Child:
    """Run a command in `folder`, with no input."""
    child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout is not None
    output = child.stdout.read()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Child(output, child.returncode, usage.ru_utime + usage.ru_stime)


class NetOfStart:
    """Takes off what starting and stopping costs: a run of a guest that does nothing."""

    def __init__(self, run: Callable[[Path, str, Path], Run]) -> None:
        self._run = run
        self._start_seconds: float | None = None

    def run(self, image: Path, options: str) -> Run:
        """Run the guest in a folder that lasts as long; its net time, at least 1 ms."""
        if self._start_seconds is None:
            self._start_seconds = self._measure_start()
        run = self._run_in_folder(image, options)
        return replace(run, seconds=max(run.seconds - self._start_seconds, _SECONDS_LEAST))

    def _measure_start(self) -> float:
        with tempfile.TemporaryDirectory() as folder:
            hello = build(("hello",), Path(folder))["hello"]
            runs = [self._run_in_folder(hello, "") for _ in range(_START_RUNS)]
        return statistics.median(run.seconds for run in runs)

    def _run_in_folder(self, image: Path, options: str) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            return self._run(image, options, Path(folder))
