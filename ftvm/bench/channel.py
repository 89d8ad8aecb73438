"""What protecting a channel costs: the transport between two processes, plain and protected."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ftvm.bench.measurement import Measurement, percentile
from ftvm.bench.plan import Plan, Tell
from ftvm.replication.events import Link
from ftvm.runtime import security
from ftvm.runtime.happenings import Accepted, Received
from ftvm.runtime.key_file import generate_key
from ftvm.runtime.security import Security
from ftvm.runtime.sockets import listen
from ftvm.runtime.transport import Transport

MESSAGE = bytes(48)
"""As long as a mark in its frame."""
CHUNK_BYTES = 1 << 16
UNSENT_BYTES_MAX = 1 << 20
SECTION = "channel"
FIGURES = {
    "connect and first answer, p50": ("µs", "less"),
    "message and answer, p50": ("µs", "less"),
    "message and answer, p99": ("µs", "less"),
    "one way": ("MB/s", "more"),
}
FULL = (3000, 100)
TINY = (50, 2)
"""Rounds of messages, and megabytes one way."""


@contextmanager
def other_process(secured: Security | None) -> Iterator[int]:
    """Fork a process that answers each message with itself; yields its port."""
    listener = listen()
    port: int = listener.getsockname()[1]
    pid = os.fork()
    if pid == 0:
        try:
            answer_for_ever(secured, listener)
        finally:
            os._exit(1)
    listener.close()
    try:
        yield port
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def answer_for_ever(secured: Security | None, listener: object) -> None:
    """Send short messages back; of long ones only the last byte of each CHUNK_BYTES."""
    transport = Transport(secured)
    transport.accept_from(listener, "logging")  # type: ignore[arg-type]
    counted = 0
    while True:
        for happening in transport.poll(None):
            if isinstance(happening, Received):
                if len(happening.data) == len(MESSAGE):
                    transport.send(happening.link, happening.data)
                else:
                    before, counted = counted, counted + len(happening.data)
                    whole = counted // CHUNK_BYTES - before // CHUNK_BYTES
                    transport.send(happening.link, b"." * whole)
            elif isinstance(happening, Accepted):
                counted = 0


def hear(transport: Transport, length: int) -> int:
    """Wait for at least so many bytes; return how many came."""
    heard = 0
    while heard < length:
        heard += sum(len(h.data) for h in transport.poll(None) if isinstance(h, Received))
    return heard


def greet(transport: Transport, port: int) -> Link:
    """Connect, and wait for an answer."""
    link = transport.connect("127.0.0.1", port)
    transport.send(link, MESSAGE)
    hear(transport, len(MESSAGE))
    return link


def measure(secured: Security | None, rounds: int, megabytes: int) -> dict[str, float]:
    """Return the figures of one kind of channel."""
    with other_process(secured) as port:
        transport = Transport(secured)
        greetings, turns = [], []
        for _ in range(max(rounds // 50, 3)):
            start = time.perf_counter_ns()
            transport.close(greet(transport, port))
            greetings.append((time.perf_counter_ns() - start) / 1e3)
        link = greet(transport, port)
        for _ in range(rounds):
            start = time.perf_counter_ns()
            transport.send(link, MESSAGE)
            hear(transport, len(MESSAGE))
            turns.append((time.perf_counter_ns() - start) / 1e3)
        chunk, chunks, heard = os.urandom(CHUNK_BYTES), megabytes * 16, 0
        start = time.perf_counter_ns()
        for _ in range(chunks):
            while transport.unsent(link) > UNSENT_BYTES_MAX:
                heard += hear(transport, 1)
            transport.send(link, chunk)
        hear(transport, chunks - heard)
        seconds = (time.perf_counter_ns() - start) / 1e9
    figures = (
        percentile(greetings, 0.5),
        percentile(turns, 0.5),
        percentile(turns, 0.99),
        chunks * CHUNK_BYTES / 1e6 / seconds,
    )
    return dict(zip(FIGURES, figures, strict=True))


def measure_channels(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Measure both kinds in turn."""
    kinds = {"plain": None, "protected": security.from_key(generate_key())}
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for turn in range(plan.turns):
        tell(f"channels, turn {turn + 1} of {plan.turns}")
        for kind, secured in kinds.items():
            runs[kind].append(measure(secured, *(TINY if plan.tiny else FULL)))
    for row, (unit, better) in FIGURES.items():
        yield [
            Measurement(
                section=SECTION,
                row=row,
                column=kind,
                unit=unit,
                better=better,
                samples=[run[row] for run in made],
            )
            for kind, made in runs.items()
        ]
