"""What fault tolerance costs, in the terms of the VMware FT paper's tables.

Scales, Nelson, Venkitachalam: The Design of a Practical System for
Fault-Tolerant Virtual Machines, 2010, section 5.
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ftvm.bench.channel import MESSAGE, greet, hear, other_process
from ftvm.bench.guest_run import Reported, run_guest
from ftvm.bench.measurement import Measurement, percentile
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.programs import image_path
from ftvm.bench.rivals import COUNTED, PAIR, RIVALS, Boot
from ftvm.bench.watch import CannotRunError, Typing, watch
from ftvm.runtime import security
from ftvm.runtime.addresses import Address
from ftvm.runtime.key_file import generate_key
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

LOG_SECTION = "log of a pair"
COMMIT_SECTION = "output commit"
FAILOVER_SECTION = "failover"
IDLE_SECTION = "idle session, 100 Hz"

ECHO, PROTECTED_ECHO = "TCP echo", "protected echo"
_READY, _KEY, _LAST_KEY = b"ready\n", b"i", b"q"
_TICK = Nanoseconds(1_000_000)
_PATIENCE_S = 60.0
_ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
stream, _ = listener.accept()
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := stream.recv(4096):
    stream.sendall(data)
"""
_PARTS = (("p50", 0.5), ("p99", 0.99))


def typing_for(seconds: float) -> Typing:
    """Type at the guest `counter`."""
    return Typing(_READY, _KEY, _LAST_KEY, seconds)


def measure_log(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """How much log a guest makes that is idle, that computes, and that is typed at."""
    seconds = 2 * plan.seconds
    kinds: dict[str, Callable[[], Reported]] = {
        "idle, 100 Hz": lambda: run_guest(
            PAIR, "ticker", f"rate=100 ticks={max(int(seconds * 100), 2)}"
        ),
        "computing, 100 Hz": lambda: run_guest(
            PAIR, "ticks", f"rate=100 rounds={max(int(seconds * 15000), 10)}"
        ),
        "typed at": lambda: run_guest(PAIR, "counter", "", typing=typing_for(seconds)),
    }
    for kind, run in kinds.items():
        tell(f"log: {kind}")
        runs = [run() for _ in range(plan.turns)]
        yield [
            _figure(
                LOG_SECTION,
                "bandwidth",
                kind,
                "Mbit/s",
                [one.report["log"]["bytes"] * 8e-6 / one.watched.wall_s for one in runs],
            ),
            _figure(
                LOG_SECTION,
                "for 1,000 instructions",
                kind,
                "bytes",
                [one.report["log"]["bytes"] * 1e3 / one.report["instructions"] for one in runs],
            ),
        ]


def measure_idle(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """A guest that sleeps between its ticks, and its replay, where sleep takes no time."""
    tell("idle session")
    chosen = [rival for name in ("record", "replay") for rival in RIVALS if rival.name == name]
    boot = Boot(image_path("ticker"), f"go rate=100 ticks={max(int(plan.seconds * 500), 2)}")
    faster = []
    for _ in range(plan.turns):
        with tempfile.TemporaryDirectory(prefix="ftvm-bench-") as name:
            folder = Path(name)
            recorded, replayed = (watch(r.command_for(boot, folder), folder) for r in chosen)
            faster.append(recorded.wall_s / max(replayed.wall_s, 1e-6))
    yield [
        Measurement(
            section=IDLE_SECTION,
            row="faster than real time",
            column="replay",
            unit="times",
            better="more",
            samples=faster,
        )
    ]


def measure_commit(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """From a key to its answer, and how much of that the output rule holds the answer back.

    Beside a byte's way to another process and back: that is what the rule waits for.
    """
    answers: dict[str, list[float]] = {}
    held: list[tuple[float, ...]] = []
    for turn in range(plan.turns):
        tell(f"output commit, turn {turn + 1} of {plan.turns}")
        answers.setdefault(ECHO, []).extend(_tcp_echoes(plan.seconds))
        answers.setdefault(PROTECTED_ECHO, []).extend(_protected_echoes(plan.seconds))
        for rival in (COUNTED, PAIR):
            run = run_guest(rival, "counter", "", typing=typing_for(plan.seconds))
            answers.setdefault(rival, []).extend(run.watched.answers_s)
        held.append(_held(plan.seconds))
    for at, (name, part) in enumerate(_PARTS):
        figures = {kind: percentile(samples, part) * 1e3 for kind, samples in answers.items()}
        yield [
            _figure(COMMIT_SECTION, f"key to answer, {name}", kind, "ms", [figure])
            for kind, figure in figures.items()
        ]
        yield [
            *(
                _figure(COMMIT_SECTION, f"output held, {name}", kind, "ms", [figures[kind]])
                for kind in (ECHO, PROTECTED_ECHO)
            ),
            _figure(COMMIT_SECTION, f"output held, {name}", PAIR, "ms", [one[at] for one in held]),
        ]


def _pair_of(guest: str, append: str, metrics: Address | None = None) -> RunSpec:
    return RunSpec(
        image_path=image_path(guest),
        image_name=guest,
        memory_bytes=64 << 20,
        append=append,
        solo=False,
        crashes=(),
        epoch_s=0,
        metrics=metrics,
    )


def _held(seconds: float) -> tuple[float, ...]:
    """How long a pair that is typed at holds its output, from made to released: p50, p99 in ms."""
    output = bytearray()
    # Nobody scrapes the metrics; that they are asked for lets the replicas measure.
    spec = _pair_of("counter", "", Address("127.0.0.1", 0))
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        poll_until(supervisor, lambda: supervisor.protected and output.endswith(_READY))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            supervisor.write(_KEY)
            poll_until(supervisor, partial(_answered, output, len(output)))
        primary = supervisor.replica("primary")
        assert primary is not None
        primary.measure()
        poll_until(supervisor, lambda: not primary.asked)
        supervisor.write(_LAST_KEY)
        poll_until(supervisor, lambda: supervisor.finished)
    if primary.measured is None or not supervisor.report().replicas_equal:
        raise CannotRunError("the pair did not stay a pair")
    return tuple(ns / 1e6 for ns in primary.measured.hold_percentiles_ns)


def _answered(output: bytearray, size: int) -> bool:
    return len(output) > size and output.endswith(b"\n")


def _protected_echoes(seconds: float) -> list[float]:
    """Times that a mark's length takes to another process and back, as a pair's channel does it."""
    secured, samples = security.from_key(generate_key()), []
    with other_process(secured) as port:
        transport = Transport(secured)
        link = greet(transport, port)
        until = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < until:
            transport.send(link, MESSAGE)
            hear(transport, len(MESSAGE))
            samples.append(time.perf_counter() - begun)
    return samples


def _tcp_echoes(seconds: float) -> list[float]:
    """Times that a byte takes to another process and back, over loopback."""
    command = [sys.executable, "-P", "-c", _ECHO]
    samples = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = ("127.0.0.1", int(server.stdout.readline()))
        with socket.create_connection(address) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            until = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < until:
                stream.sendall(_KEY)
                stream.recv(1)
                samples.append(time.perf_counter() - begun)
    return samples


def measure_failover(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Kill the primary again and again; each time another backup has joined."""
    report = _fail_over(plan.failovers, tell)
    if len(report.failovers) != plan.failovers:
        raise CannotRunError(f"{plan.failovers} primaries died, {len(report.failovers)} followed")
    steps = ("detect_ns", "drain_ns", "arbitrate_ns", "go_live_ns", "attach_ns", "total_ns")
    for step in steps:
        times = [getattr(failover.time, step) / 1e6 for failover in report.failovers]
        row = step.removesuffix("_ns").replace("_", " ")
        yield [
            _figure(FAILOVER_SECTION, row, name, "ms", [percentile(times, part)])
            for name, part in _PARTS
        ]


def _fail_over(times: int, tell: Tell) -> RunReport:
    spec = _pair_of("ticker", "rate=100 ticks=100000000")
    with Supervisor(spec, lambda _data: None) as supervisor:
        supervisor.start()
        for number in range(times):
            tell(f"failover {number + 1} of {times}")
            poll_until(supervisor, lambda: supervisor.protected)
            primary = supervisor.replica("primary")
            assert primary is not None
            primary.kill()
            poll_until(supervisor, partial(_followed, supervisor, number + 1))
        return supervisor.report()


def _followed(supervisor: Supervisor, times: int) -> bool:
    return len(supervisor.report().failovers) >= times


def poll_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    """Let a run go on until something is so; CannotRunError if that takes too long."""
    until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise CannotRunError("a pair takes longer than anybody would wait")
        supervisor.poll(_TICK)


def _figure(section: str, row: str, column: str, unit: str, samples: list[float]) -> Measurement:
    return Measurement(
        section=section, row=row, column=column, unit=unit, better="less", samples=samples
    )
