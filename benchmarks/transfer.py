"""``python -m benchmarks.transfer``: what it takes to protect a running guest again."""

import argparse
import json
import mmap
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.guests import CannotRunError, build
from benchmarks.report import describe_machine
from ftvm.errors import FtvmError
from ftvm.runtime.report import Protection
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.runtime.transport import listen
from ftvm.units import Nanoseconds

TICK = Nanoseconds(1_000_000)
GOES_ON_NS = 500_000_000
"""How long the guest is watched behind the transfer."""
PIECE_BYTES = 1 << 17
GUEST = "writer"
PATIENCE_NS = 120_000_000_000
ROUNDS = 3


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
        return self.protection.bytes / 1e6 / (self.protection.total_ns / 1e9)

    @property
    def copied_megabytes_a_second(self) -> float:
        return self.protection.bytes / 1e6 / (self.copy_ns / 1e9)


FULL = (Case(64, 0), Case(64, 4), Case(64, 56), Case(1024, 0), Case(1024, 64), Case(1024, 960))
TINY = (Case(16, 0), Case(16, 4))

FIGURES: dict[str, Callable[[Measured], float]] = {
    "sent, MB": lambda m: m.protection.bytes / 1e6,
    "rounds": lambda m: m.protection.rounds,
    "total, ms": lambda m: m.protection.total_ns / 1e6,
    "pause, ms": lambda m: m.protection.pause_ns / 1e6,
    "longest silence, ms": lambda m: m.silence_ns / 1e6,
    "MB/s": lambda m: m.megabytes_a_second,
    "plain copy, MB/s": lambda m: m.copied_megabytes_a_second,
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


def protect(image: Path, case: Case) -> tuple[Protection, int]:
    """Run a pair, kill the backup, and return what the next one took, and the longest silence."""
    watch = Watch()
    spec = RunSpec(
        image_path=image,
        image_name=GUEST,
        memory_bytes=case.megabytes << 20,
        append=f"megabytes={case.megabytes} hot={case.hot}",
        solo=False,
        crashes=(),
        epoch_s=0,
    )
    with Supervisor(spec, watch.take) as supervisor:
        supervisor.start()
        _until(supervisor, lambda: supervisor.protected and b"full\n." in watch.output)
        backup = supervisor.replica("backup")
        assert backup is not None
        backup.kill()
        _until(supervisor, lambda: not supervisor.protected)
        watch.begin()
        _until(supervisor, lambda: bool(supervisor.report().protections))
        goes_on = time.monotonic_ns() + GOES_ON_NS
        _until(supervisor, lambda: time.monotonic_ns() > goes_on)
        protection = supervisor.report().protections[0]
        silence_ns = watch.longest_ns
        supervisor.write(b"q")
        _until(supervisor, lambda: supervisor.finished)
        if not supervisor.report().replicas_equal:
            raise CannotRunError("the replicas differ")
    return protection, silence_ns


def _until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    until = time.monotonic_ns() + PATIENCE_NS
    while not condition():
        if time.monotonic_ns() > until:
            raise CannotRunError("a transfer takes longer than anybody would wait")
        supervisor.poll(TICK)


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


def measure(cases: tuple[Case, ...], rounds: int) -> dict[Case, list[Measured]]:
    """Measure all cases, each in turn, some rounds long."""
    results: dict[Case, list[Measured]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        image = build((GUEST,), Path(folder))[GUEST]
        for _ in range(rounds):
            for case in cases:
                protection, silence_ns = protect(image, case)
                results[case].append(Measured(protection, silence_ns, copy(protection.bytes)))
    return results


def as_json(results: dict[Case, list[Measured]], machine: str) -> dict[str, object]:
    """Return everything measured, every single run too."""
    return {
        "machine": machine,
        "transfers": [
            {
                **asdict(case),
                "runs": [
                    {
                        **msgspec.structs.asdict(one.protection),
                        "silence_ns": one.silence_ns,
                        "copy_ns": one.copy_ns,
                    }
                    for one in runs
                ],
            }
            for case, runs in results.items()
        ],
    }


def main() -> int:
    """Measure, print a table, perhaps write JSON; 1 if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement too")
    arguments = parser.parse_args()
    rounds = 1 if arguments.tiny else ROUNDS
    try:
        results = measure(TINY if arguments.tiny else FULL, rounds)
    except (CannotRunError, FtvmError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    console = Console(width=None if sys.stdout.isatty() else 160)
    machine = describe_machine()
    console.print(machine)
    table = Table("guest", title=f"Protecting again: medians of {rounds}")
    for figure in FIGURES:
        table.add_column(figure, justify="right")
    for case, runs in results.items():
        medians = (statistics.median(map(value, runs)) for value in FIGURES.values())
        table.add_row(str(case), *(f"{median:,.1f}" for median in medians))
    console.print(table)
    if arguments.json:
        document = json.dumps(as_json(results, machine), indent=1)
        arguments.json.write_text(document + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
