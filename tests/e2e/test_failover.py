"""Real replicas, real SIGKILL: whatever dies at whatever moment, the console shows no seam."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pair_session import (
    MEMORY_BYTES,
    SESSION,
    SESSION_OUTPUT,
    TICK,
    Session,
    judge_counter,
    run_spec,
)
from replica_memory import corrupt_guest_memory

from ftvm.errors import LostGuestError
from ftvm.runtime.supervisor import Supervisor


@pytest.fixture
def session(guest_images: Path) -> Iterator[Callable[..., Session]]:
    opened: list[Supervisor] = []

    def start(guest: str, *crashes: str, append: str = "", solo: bool = False) -> Session:
        output = bytearray()
        spec = run_spec(guest_images, guest, *crashes, append=append, solo=solo)
        supervisor = Supervisor(spec, output.extend)
        opened.append(supervisor)
        supervisor.start()
        return Session(supervisor, output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()


def test_nobody_dies(session: Callable[..., Session]) -> None:
    report = judge_counter(session("counter"))
    assert report.failovers == []
    assert report.replicas_equal
    assert report.log.digests > 0
    assert 0 < report.held_bytes_max <= report.output_bytes


@pytest.mark.parametrize("role", ["primary", "backup"])
def test_a_death_at_every_log_entry(session: Callable[..., Session], role: str) -> None:
    entries = judge_counter(session("counter")).log.entries
    assert entries > 2 * len(SESSION)
    died = 0
    for entry in range(1, entries + 1):
        report = judge_counter(session("counter", f"{role}@entry:{entry}"))
        died += len(report.deaths)
        assert report.deaths or report.log.entries < entry
        assert all(death.status == "killed by SIGKILL" for death in report.deaths)
        if role == "primary":
            assert len(report.failovers) == len(report.deaths)
        else:  # who dies when the guest has ended is missed by nobody
            assert len(report.backup_losses) <= len(report.deaths)
    assert died > 2 * len(SESSION)  # some runs need fewer timer ticks than the first


def test_a_death_at_every_output(session: Callable[..., Session]) -> None:
    for output in range(1, len(SESSION_OUTPUT) + 1):
        report = judge_counter(session("counter", f"primary@output:{output}"))
        assert [death.role for death in report.deaths] == ["primary"]
        assert len(report.failovers) == 1


@pytest.mark.parametrize("instruction", [0, 1, 1000, 4000])
def test_a_death_at_an_instruction(session: Callable[..., Session], instruction: int) -> None:
    report = judge_counter(session("counter", f"primary@instruction:{instruction}"))
    assert len(report.deaths) == 1
    assert report.failovers[0].instruction <= instruction


def test_a_primary_that_was_paused_does_no_harm(session: Callable[..., Session]) -> None:
    run = session("counter")
    run.supervisor.write(b"ii")
    run.until(lambda: run.output.endswith(b"2\n"))
    paused = run.supervisor.replica("primary")
    assert paused is not None
    os.kill(paused.pid, signal.SIGSTOP)
    run.until(lambda: run.supervisor.generation == 2)
    run.supervisor.write(b"i")
    run.until(lambda: run.output.endswith(b"3\n"))
    os.kill(paused.pid, signal.SIGCONT)
    run.until(lambda: not paused.alive)
    run.supervisor.write(b"iq")
    report = run.finish()
    assert bytes(run.output) == b"counter: ready\n1\n2\n3\n4\n"
    assert report.contradictions == []
    assert paused.over is not None
    assert paused.over.cause in ("fenced", "lost arbitration")


def test_a_timer_driven_guest_keeps_its_ticks(session: Callable[..., Session]) -> None:
    run = session("ticker", "primary@time:300ms", append="rate=100 ticks=100")
    report = run.finish()
    ticks = [f"tick {tick}\n" for tick in range(10, 101, 10)]
    assert run.output.decode().endswith("".join(ticks[-2:]) + "ticker: done\n")
    assert report.exit_status == 0
    assert len(report.failovers) == 1


def test_a_second_death_loses_the_guest(session: Callable[..., Session]) -> None:
    run = session("counter", "primary@output:17", "primary@output:19")
    run.supervisor.write(b"iiiiq")
    with pytest.raises(LostGuestError, match="SIGKILL"):
        run.finish()
    assert run.supervisor.report().end == "lost"


def test_alone_a_guest_runs_without_a_backup(session: Callable[..., Session]) -> None:
    report = judge_counter(session("counter", solo=True))
    assert not report.protected
    assert report.replicas_equal is None


def test_a_backup_that_differs_is_found_out_and_dropped(session: Callable[..., Session]) -> None:
    run = session("counter")
    run.supervisor.write(b"ii")
    run.until(lambda: run.output.endswith(b"2\n"))
    backup = run.supervisor.replica("backup")
    assert backup is not None
    corrupt_guest_memory(backup.pid, b"counter: ", MEMORY_BYTES)
    while backup.alive:  # a digest comes every tenth of a second in which the guest did something
        run.supervisor.write(b"x")
        run.supervisor.poll(TICK)
    run.supervisor.write(b"iq")
    report = run.finish()
    assert bytes(run.output) == b"counter: ready\n1\n2\n3\n"
    assert len(report.divergences) == 1
    assert "the digest at count" in report.divergences[0]
    assert [loss.cause for loss in report.backup_losses] == ["diverged"]
    assert report.exit_status == 0
