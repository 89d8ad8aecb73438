"""QEMU's system emulator, where it is installed: plain, and recording for replay."""

import shutil
from pathlib import Path

from benchmarks.children import NetOfStart, run_child
from benchmarks.engines import MEMORY_BYTES, Run
from benchmarks.guests import CannotRunError, Workload

PROGRAM = "qemu-system-i386"


class QemuEngine:
    """QEMU with its translator, less firmware and start-up."""

    def __init__(self, name: str, *, record: bool) -> None:
        self.name = name
        self._record = record
        self._net = NetOfStart(self._run)

    @staticmethod
    def is_here() -> bool:
        """Whether QEMU is installed."""
        return shutil.which(PROGRAM) is not None

    def can_run(self, workload: Workload) -> bool:
        """Everything."""
        return True

    def run(self, image: Path, options: str) -> Run:
        """Boot the image and run it until it writes to the exit port."""
        return self._net.run(image, options)

    def _run(self, image: Path, options: str, folder: Path) -> Run:
        command = [PROGRAM, "-accel", "tcg", "-m", str(MEMORY_BYTES >> 20), "-display", "none"]
        # Without -nodefaults the firmware waits for minutes for devices that record slows.
        command += ["-nodefaults", "-no-reboot", "-serial", "stdio"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        command += ["-kernel", str(image), "-append", options]
        if self._record:
            command += ["-icount", "shift=auto,rr=record,rrfile=log"]
        child = run_child(command, folder)
        # isa-debug-exit leaves with twice the value and 1.
        if child.status & 1 == 0:
            raise CannotRunError(f"{PROGRAM} ended with status {child.status}")
        return Run(seconds=child.seconds, output=child.output, exit_value=child.status >> 1)
