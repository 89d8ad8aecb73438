"""Engines that run in processes of their own: output, status and CPU time."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engines import Run
from benchmarks.guests import build

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
    """Takes off what starting and stopping costs.

    That is what a run of a guest that does nothing takes, right before each
    run, when the machine is as busy as then.
    """

    def __init__(self, run: Callable[[Path, str, Path], Run]) -> None:
        self._run = run

    def run(self, image: Path, options: str) -> Run:
        """Run the guest in a folder that lasts as long; its net time, at least 1 ms."""
        with tempfile.TemporaryDirectory() as folder:
            hello = build(("hello",), Path(folder))["hello"]
            start = self._run(hello, "", Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            run = self._run(image, options, Path(folder))
        return replace(run, seconds=max(run.seconds - start.seconds, _SECONDS_LEAST))
