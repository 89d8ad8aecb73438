"""Has divergences explained while the guest goes on, each by a process of its own."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from ftvm.runtime.evidence import BACKUP_RUN, PRIMARY_RUN
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.notices import Notices
from ftvm.ui.signals import Signals
from ftvm.units import Nanoseconds

_TICK_NS = Nanoseconds(100_000_000)
_LINE_BYTES_MAX = 4096


class DivergenceDesk:
    """Of one run. Leaving it as a context manager leaves no process behind."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._at_work: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "DivergenceDesk":
        return self

    def __exit__(self, *_: object) -> None:
        for directory, process in self._at_work.items():
            process.kill()
            process.wait()
            self._notices.info(_by_hand(directory))

    def look(self, supervisor: Supervisor) -> None:
        """Begin with what has been left since the last look."""
        while supervisor.evidence:
            directory = supervisor.evidence.popleft()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "ftvm.ui.divergence", directory],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # a progress bar would be in the guest's console
                    process_group=0,  # the terminal's signals are for us
                )
            except OSError as error:
                self._notices.info(f"{_by_hand(directory)} ({error.strerror})")
                continue
            self._at_work[directory] = process
            assert process.stdout is not None
            descriptor = process.stdout.fileno()
            taken = functools.partial(self._take, supervisor, directory)
            supervisor.transport.watch(descriptor, taken)

    def finish(self, supervisor: Supervisor, signals: Signals) -> None:
        """Wait until all is explained, or somebody has had enough."""
        self.look(supervisor)
        while self._at_work and signals.caught is None:
            supervisor.transport.poll(_TICK_NS)

    def _take(self, supervisor: Supervisor, directory: str) -> None:
        process = self._at_work.pop(directory)
        assert process.stdout is not None
        supervisor.transport.unwatch(process.stdout.fileno())
        line = os.read(process.stdout.fileno(), _LINE_BYTES_MAX).decode().strip()
        process.stdout.close()
        process.wait()
        self._notices.event(line or _by_hand(directory))


def _by_hand(directory: str) -> str:
    """Say how to find out what nobody has."""
    again = f"ftvm diff {Path(directory, PRIMARY_RUN)} {Path(directory, BACKUP_RUN)}"
    return f"where the replicas part is told by: {again}"
