"""A stopwatch for guests: a process is watched from outside, by its console.

The guest says ``go`` when it begins, and its last words are its result. What lies
between is measured, so that starting and ending do not count.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftvm.errors import HostError

GO = b"go\n"
PATIENCE_S = 120
_CHUNK_BYTES = 1 << 16


class CannotRunError(HostError):
    """A guest could not be run to its end on a rival; the text says why."""


@dataclass(frozen=True)
class Watched:
    """How a run went. All times are seconds.

    ``start_s`` is from the process's start to the guest's first word, ``wall_s``
    and ``cpu_s`` from there to its last; CPU time is that of all processes.
    ``answers_s`` are the times from each key to its answer.
    """

    output: bytes
    status: int
    start_s: float
    wall_s: float
    cpu_s: float
    answers_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Typing:
    """Keys to type, one after the other's answer, for so long; then the last key.

    ``ready`` is what the guest says once it listens. An answer ends with a newline.
    """

    ready: bytes
    key: bytes
    last_key: bytes
    seconds: float


def watch(
    command: Sequence[str],
    folder: Path,
    *,
    go: bytes = GO,
    end: bytes | None = None,
    typing: Typing | None = None,
) -> Watched:
    """Run a command in `folder` and time its guest; CannotRunError if that takes for ever.

    With `go` empty, time starts with the process; with `end` it stops when that
    is said, and the process is killed.
    """
    return _Stopwatch(command, folder, go, end, typing).run()


class _Stopwatch:
    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        go: bytes,
        end: bytes | None,
        typing: Typing | None,
    ) -> None:
        self._go, self._end, self._typing = go, end, typing
        self._errors = (folder / "stderr").open("w+b")
        self._begin = time.perf_counter()
        # A session of its own, so that all its processes can be killed together.
        self._child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE if typing else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._name = os.path.basename(command[0])
        self._output = bytearray()
        self._started = self._begin if not go else 0.0
        self._ended = 0.0
        self._processes: list[int] = [self._child.pid] if not go else []
        self._cpu_start = self._cpu_end = 0.0
        self._answers: list[float] = []
        self._typed = 0.0
        self._type_until = 0.0

    def run(self) -> Watched:
        assert self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_READ)
                while self._wait(selector) and (data := os.read(descriptor, _CHUNK_BYTES)):
                    self._take(data, time.perf_counter())
                    if self._end is not None and self._end in self._output:
                        break
            if self._end is not None:
                self._kill()
            status = self._child.wait(PATIENCE_S)
        finally:
            self._kill()
            self._child.stdout.close()
            if self._child.stdin is not None:
                self._child.stdin.close()
        if not self._started or not self._output:
            raise CannotRunError(f"{self._name} ended with status {status}: {self._said()}")
        self._errors.close()
        return Watched(
            output=bytes(self._output),
            status=status,
            start_s=self._started - self._begin,
            wall_s=self._ended - self._started,
            cpu_s=self._cpu_end - self._cpu_start,
            answers_s=tuple(self._answers),
        )

    def _wait(self, selector: selectors.BaseSelector) -> bool:
        left = self._begin + PATIENCE_S - time.perf_counter()
        if left > 0 and selector.select(left):
            return True
        raise CannotRunError(f"{self._name} took more than {PATIENCE_S} s: {self._said()}")

    def _said(self) -> str:
        """The last line of what the process said on standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return lines[-1] if lines else "it said nothing"

    def _kill(self) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def _take(self, data: bytes, now: float) -> None:
        self._output += data
        if not self._started and self._go in self._output:
            self._started = self._ended = now
            self._processes = [self._child.pid, *_descendants(self._child.pid)]
            self._cpu_start = self._cpu_end = self._cpu_s()
        elif self._started:
            if self._end is not None:
                self._processes = [self._child.pid, *_descendants(self._child.pid)]
            self._ended = now
            self._cpu_end = max(self._cpu_end, self._cpu_s())
        if self._typing is not None and self._started:
            self._type(self._typing, now)

    def _type(self, typing: Typing, now: float) -> None:
        if not self._typed:
            if typing.ready not in self._output:
                return
            self._type_until = now + typing.seconds
        elif not self._output.endswith(b"\n"):
            return
        else:
            self._answers.append(now - self._typed)
        assert self._child.stdin is not None
        self._typed = time.perf_counter()
        key = typing.key if now < self._type_until else typing.last_key
        os.write(self._child.stdin.fileno(), key)

    def _cpu_s(self) -> float:
        """CPU time of all processes; what has ended and is forgotten counts no more."""
        total = 0.0
        for pid in self._processes:
            try:
                # The CPU clock of a process, as clock_getcpuclockid() makes it of its number:
                # Linux, include/linux/posix-timers.h, MAKE_PROCESS_CPUCLOCK.
                total += time.clock_gettime(~pid << 3 | 2)
            except OSError:
                return 0.0
        return total


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in map(int, children.read().split()):
                    found += [child, *_descendants(child)]
    except FileNotFoundError:  # has ended
        pass
    return found
