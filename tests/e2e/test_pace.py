"""A slow, stuck or silent other half, with real processes: nothing is lost, nothing piles up."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from ftvm_command import FtvmCommand
from hosts import wait_for
from pair_session import TICK, Session, judge_counter, run_spec
from sockets_of import connections

from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

SECOND_NS = 1_000_000_000
ROUNDS = 800
KEPT_BYTES_MAX = 48 << 20
"""More than all bounds together, and far less than what a guest logs in some seconds."""
SHARE = 10
"""A throttled backup runs one of so many turns."""


@pytest.fixture
def begin(guest_images: Path) -> Iterator[Callable[..., Session]]:
    opened: list[Supervisor] = []

    def start(guest: str, append: str, failure_timeout_s: int) -> Session:
        output = bytearray()
        timeout_ns = Nanoseconds(failure_timeout_s * SECOND_NS)
        spec = replace(run_spec(guest_images, guest, append=append), failure_timeout_ns=timeout_ns)
        opened.append(Supervisor(spec, output.extend))
        opened[-1].start()
        return Session(opened[-1], output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()


def pid_of(run: Session, role: str) -> int:
    replica = run.supervisor.replica(role)
    assert replica is not None
    return replica.pid


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_stopped_backup_costs_bounded_memory_and_then_counts_as_lost(
    begin: Callable[..., Session],
) -> None:
    run = begin("entropy", f"n={ROUNDS}", 3)
    run.until_output(1000)
    primary = pid_of(run, "primary")
    os.kill(pid_of(run, "backup"), signal.SIGSTOP)
    before, largest = resident_bytes(primary), 0
    while not run.supervisor.report().backup_losses:
        run.supervisor.poll(TICK)
        largest = max(largest, resident_bytes(primary))
    assert largest - before < KEPT_BYTES_MAX
    assert run.supervisor.report().backup_losses[0].cause == "heartbeats missed"
    report = run.finish()
    assert report.exit_status == 0
    assert bytes(run.output).count(b"round ") == ROUNDS
    assert report.contradictions == report.divergences == []


def test_a_throttled_backup_slows_its_primary_and_loses_nothing(
    begin: Callable[..., Session],
) -> None:
    run = begin("primes", "size=400000 rounds=60", 60)
    run.until(lambda: run.supervisor.protected)
    backup = pid_of(run, "backup")
    turn = 0
    while not run.supervisor.finished:
        turn += 1
        if run.supervisor.replica("backup") is not None:
            os.kill(backup, signal.SIGCONT if turn % SHARE == 0 else signal.SIGSTOP)
        run.supervisor.poll(Nanoseconds(5_000_000))
    report = run.supervisor.report()
    assert report.exit_status == 0
    assert report.replicas_equal
    assert report.backup_losses == report.deaths == []
    assert report.flow is not None
    assert report.flow.slowed > 0
    assert report.flow.lag_ns_max > 50_000_000


def test_a_console_that_was_stopped_finds_its_guest_again(ftvm: FtvmCommand) -> None:
    process = ftvm.start("run", "guest:counter", "--failure-timeout", "300ms")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"counter: ready\n"
    for answer in (b"1\n", b"2\n"):
        process.stdin.write(b"i")
        process.stdin.flush()
        assert process.stdout.readline() == answer
        missed = connections(process.pid)
        process.send_signal(signal.SIGSTOP)
        # The nodes have closed them, and a process that is stopped closes nothing itself.
        wait_for(
            lambda missed=missed: not connections(process.pid) & missed,
            lambda: "nobody misses it",
        )
        process.send_signal(signal.SIGCONT)
    process.stdin.write(b"q")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_store_that_comes_later_is_waited_for(guest_images: Path, etcd: EtcdServer) -> None:
    etcd.kill()
    output = bytearray()
    spec = run_spec(guest_images, "counter", store_url=etcd.url)
    spec = replace(spec, failure_timeout_ns=Nanoseconds(SECOND_NS // 2))
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        run = Session(supervisor, output)
        run.until(lambda: bool(supervisor.refusals))
        assert "primary a waits: " in supervisor.refusals[0]
        until = time.monotonic() + 3  # more than any timeout of a pair at its beginning
        while time.monotonic() < until:
            supervisor.poll(TICK)
        etcd.start()
        report = judge_counter(run)
    assert report.replicas_equal
    assert report.deaths == []


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--failure-timeout", "2", "--failure-timeout '2' is not a time: give 2s or 500ms, say"),
        ("--failure-timeout", "1ms", "--failure-timeout 1ms: give 100ms or more"),
        ("--lag-bound", "-1s", "expected one argument"),
        ("--lag-bound", "5ms", "--lag-bound 5ms: give 10ms or more"),
    ],
)
def test_times_that_are_none(ftvm: FtvmCommand, option: str, value: str, complaint: str) -> None:
    done = ftvm("run", "guest:hello", option, value)
    assert (done.status, done.out, len(done.lines)) == (2, b"", 1)
    assert complaint in done.err
