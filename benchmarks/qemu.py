"""QEMU's system emulator, where it is installed: plain, and recording for replay."""

import os
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.engines import MEMORY_BYTES, Run
from benchmarks.guests import CannotRunError, Workload, build

PROGRAM = "qemu-system-i386"
START_RUNS = 3
SECONDS_LEAST = 1e-3  # the resolution of a child's CPU time


class QemuEngine:
    """QEMU with its translator.

    CPU time is the child's, less what a run of a guest that does nothing
    takes: firmware and start-up.
    """

    def __init__(self, name: str, *, record: bool) -> None:
        self.name = name
        self._record = record
        self._start_seconds: float | None = None

    @staticmethod
    def is_here() -> bool:
        """Whether QEMU is installed."""
        return shutil.which(PROGRAM) is not None

    def can_run(self, workload: Workload) -> bool:
        """Everything."""
        return True

    def run(self, image: Path, options: str) -> Run:
        """Boot the image and run it until it writes to the exit port."""
        if self._start_seconds is None:
            with tempfile.TemporaryDirectory() as folder:
                hello = build(("hello",), Path(folder))["hello"]
                self._start_seconds = statistics.median(
                    self._run(hello, "").seconds for _ in range(START_RUNS)
                )
        run = self._run(image, options)
        return replace(run, seconds=max(run.seconds - self._start_seconds, SECONDS_LEAST))

    def _run(self, image: Path, options: str) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            return self._run_child(self._command(image, options, Path(folder)))

    def _command(self, image: Path, options: str, folder: Path) -> list[str]:
        command = [PROGRAM, "-accel", "tcg", "-m", str(MEMORY_BYTES >> 20), "-display", "none"]
        # Without -nodefaults the firmware waits for minutes for devices that record slows.
        command += ["-nodefaults", "-no-reboot", "-serial", "stdio"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        command += ["-kernel", str(image), "-append", options]
        if self._record:
            command += ["-icount", f"shift=auto,rr=record,rrfile={folder / 'log'}"]
        return command

    @staticmethod
    def _run_child(command: list[str]) -> Run:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert child.stdout is not None
        output = child.stdout.read()
        child.stdout.close()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        # isa-debug-exit leaves with twice the value and 1.
        if child.returncode & 1 == 0:
            raise CannotRunError(f"{PROGRAM} ended with status {child.returncode}")
        return Run(
            seconds=usage.ru_utime + usage.ru_stime,
            output=output,
            exit_value=child.returncode >> 1,
        )
