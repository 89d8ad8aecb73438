"""What it takes to protect a running guest again: a pair's backup dies, and the next one joins.

The guest (`benchmarks/programs/writer.c`) has filled all of its memory, and either
sleeps between timer interrupts or writes to a part of its pages all the time.
"""

import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from ftvm.bench.fault_tolerance import poll_until
from ftvm.bench.measurement import Measurement
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.programs import image_path
from ftvm.bench.watch import CannotRunError
from ftvm.runtime.report import Protection
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.sockets import listen
from ftvm.runtime.supervisor import Supervisor

SECTION = "protecting again"
GOES_ON_NS = 500_000_000
"""How long the guest is watched behind the transfer."""
PIECE_BYTES = 1 << 17
GUEST = "writer"


@dataclass(frozen=True)
class Case:
    """A guest: its memory, and how much of that it goes on writing to."""

    megabytes: int
    hot: int

    def __str__(self) -> str:
        return f"{self.megabytes} MB, " + (f"writes {self.hot} MB" if self.hot else "sleeps")


@dataclass(frozen=True)
class Measured:
    """One transfer. ``silence_ns`` is the longest time without a sign of life."""

    protection: Protection
    silence_ns: int
    copy_ns: int

    @property
    def megabytes_a_second(self) -> float:
        """What the channel carried."""
        return self.protection.bytes / 1e6 / (self.protection.total_ns / 1e9)

    @property
    def copied_megabytes_a_second(self) -> float:
        """What a plain socket carried."""
        return self.protection.bytes / 1e6 / (self.copy_ns / 1e9)


FULL = (Case(64, 0), Case(64, 4), Case(64, 56), Case(1024, 0), Case(1024, 64), Case(1024, 960))
TINY = (Case(16, 0), Case(16, 4))

FIGURES: dict[str, tuple[str, str, Callable[[Measured], float]]] = {
    "sent": ("MB", "less", lambda m: m.protection.bytes / 1e6),
    "rounds": ("", "less", lambda m: m.protection.rounds),
    "total": ("ms", "less", lambda m: m.protection.total_ns / 1e6),
    "pause": ("ms", "less", lambda m: m.protection.pause_ns / 1e6),
    "longest silence": ("ms", "less", lambda m: m.silence_ns / 1e6),
    "speed": ("MB/s", "more", lambda m: m.megabytes_a_second),
    "a plain copy's speed": ("MB/s", "more", lambda m: m.copied_megabytes_a_second),
}


class Watch:
    """The console of a guest that gives signs of life."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.longest_ns = 0
        self._last_ns = 0

    def take(self, data: bytes) -> None:
        """Take output."""
        now = time.monotonic_ns()
        if self._last_ns:
            self.longest_ns = max(self.longest_ns, now - self._last_ns)
        self._last_ns = now
        self.output += data

    def begin(self) -> None:
        """Look at what comes from now on."""
        self._last_ns, self.longest_ns = time.monotonic_ns(), 0


def protect(case: Case) -> tuple[Protection, int]:
    """Run a pair, kill the backup, and return what the next one took, and the longest silence."""
    watch = Watch()
    spec = RunSpec(
        image_path=image_path(GUEST),
        image_name=GUEST,
        memory_bytes=case.megabytes << 20,
        append=f"megabytes={case.megabytes} hot={case.hot}",
        solo=False,
        crashes=(),
        epoch_s=0,
    )
    with Supervisor(spec, watch.take) as supervisor:
        supervisor.start()
        poll_until(supervisor, lambda: supervisor.protected and b"full\n." in watch.output)
        backup = supervisor.replica("backup")
        assert backup is not None
        backup.kill()
        poll_until(supervisor, lambda: not supervisor.protected)
        watch.begin()
        poll_until(supervisor, lambda: bool(supervisor.report().protections))
        goes_on = time.monotonic_ns() + GOES_ON_NS
        poll_until(supervisor, lambda: time.monotonic_ns() > goes_on)
        protection = supervisor.report().protections[0]
        silence_ns = watch.longest_ns
        supervisor.write(b"q")
        poll_until(supervisor, lambda: supervisor.finished)
        if not supervisor.report().replicas_equal:
            raise CannotRunError("the replicas differ")
    return protection, silence_ns


def copy(size: int) -> int:
    """Return how long a plain socket takes to bring so many bytes from memory to memory, in ns."""
    source = mmap.mmap(-1, size)
    for at in range(0, size, mmap.PAGESIZE):
        source[at] = 1
    with closing(listen()) as listener:
        pid = os.fork()
        if pid == 0:
            try:
                _take_copy(listener, size)
            finally:
                os._exit(0)
        with closing(socket.create_connection(listener.getsockname())) as stream:
            start = time.perf_counter_ns()
            view = memoryview(source)
            for at in range(0, size, PIECE_BYTES):
                stream.sendall(view[at : at + PIECE_BYTES])
            stream.recv(1)  # all is there
            elapsed = time.perf_counter_ns() - start
        os.waitpid(pid, 0)
    return elapsed


def _take_copy(listener: socket.socket, size: int) -> None:
    target = memoryview(mmap.mmap(-1, size))
    stream, _ = listener.accept()
    at = 0
    while at < size and (count := stream.recv_into(target[at : at + PIECE_BYTES])):
        at += count
    stream.sendall(b".")


def measure_transfers(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Measure all cases, each in turn."""
    cases = TINY if plan.tiny else FULL
    runs: dict[Case, list[Measured]] = {case: [] for case in cases}
    for turn in range(plan.transfers):
        for case in cases:
            tell(f"protecting again, turn {turn + 1} of {plan.transfers}: {case}")
            protection, silence_ns = protect(case)
            runs[case].append(Measured(protection, silence_ns, copy(protection.bytes)))
    for row, (unit, better, value) in FIGURES.items():
        yield [
            Measurement(
                section=SECTION,
                row=row,
                column=str(case),
                unit=unit,
                better=better,
                samples=[value(one) for one in made],
            )
            for case, made in runs.items()
        ]
