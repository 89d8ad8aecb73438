"""Real replicas that die again and again: the survivor is protected anew each time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pair_session import Session, run_spec
from writer_guest import DIGITS, writer_image

from ftvm.errors import LostGuestError
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor

READY = b"counter: ready\n"
CHAIN = 10
PAUSE_NS_MAX = 1_000_000_000
"""Far from what it is for (some milliseconds), and near enough to tell the rest from the whole."""


@pytest.fixture
def begin() -> Iterator[Callable[[RunSpec], Session]]:
    opened: list[Supervisor] = []

    def start(spec: RunSpec) -> Session:
        output = bytearray()
        opened.append(Supervisor(spec, output.extend))
        opened[-1].start()
        return Session(opened[-1], output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()


@pytest.fixture
def session(guest_images: Path, begin: Callable[[RunSpec], Session]) -> Callable[..., Session]:
    return lambda guest, *crashes: begin(run_spec(guest_images, guest, *crashes))


class Client:
    """Types increments and knows what must come back."""

    def __init__(self, run: Session) -> None:
        self.run = run
        self.number = 0
        self.expected = READY

    def type(self, increments: int) -> None:
        self.run.supervisor.write(b"i" * increments)
        for _ in range(increments):
            self.number += 1
            self.expected += b"%d\n" % self.number

    def answered(self) -> None:
        self.run.until_output(len(self.expected))
        assert bytes(self.run.output) == self.expected

    def leave(self) -> None:
        self.run.supervisor.write(b"q")


def test_ten_failovers_under_load_show_no_seam(session: Callable[..., Session]) -> None:
    run = session("counter")
    client = Client(run)
    for _ in range(CHAIN):
        run.until(lambda: run.supervisor.protected)
        client.type(20)
        run.until(lambda: len(run.output) > len(client.expected) - 40)
        primary = run.supervisor.replica("primary")
        assert primary is not None
        primary.kill()
        client.type(5)
        client.answered()
    client.leave()
    report = run.finish()
    assert bytes(run.output) == client.expected
    assert len(report.failovers) == CHAIN
    assert [failover.generation for failover in report.failovers] == list(range(2, CHAIN + 2))
    assert len(report.protections) >= CHAIN - 1
    assert len({protection.backup for protection in report.protections}) == len(report.protections)
    assert all(failover.digests > 0 for failover in report.failovers)
    assert report.contradictions == report.divergences == []
    assert (report.end, report.exit_status) == ("exit", 0)


def test_a_backup_that_dies_is_replaced(session: Callable[..., Session]) -> None:
    run = session("counter")
    client = Client(run)
    for deaths in range(1, 4):
        run.until(lambda: run.supervisor.protected)
        backup = run.supervisor.replica("backup")
        assert backup is not None
        backup.kill()
        client.type(3)
        client.answered()
        run.until(lambda deaths=deaths: len(run.supervisor.report().protections) == deaths)
    client.leave()
    report = run.finish()
    assert bytes(run.output) == client.expected
    assert len(report.backup_losses) == 3
    assert report.failovers == []
    assert report.replicas_equal


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_a_new_backup_that_dies_on_the_way_is_no_loss(
    session: Callable[..., Session], piece: int
) -> None:
    run = session("counter", "backup@output:16", f"backup@state:{piece}")
    client = Client(run)
    client.type(5)
    client.answered()
    run.until(lambda: len(run.supervisor.report().protections) == 1)
    client.type(5)
    client.answered()
    client.leave()
    report = run.finish()
    assert [death.node for death in report.deaths] == ["b", "c"]
    assert [death.crash for death in report.deaths] == ["backup@output:16", f"backup@state:{piece}"]
    assert [failure.backup for failure in report.protection_failures] == ["c"]
    assert [protection.backup for protection in report.protections] == ["d"]
    assert [loss.backup for loss in report.backup_losses] == ["b"]
    assert report.protections[0].generation == 2
    assert report.failovers == []
    assert report.replicas_equal


def test_a_primary_that_dies_while_it_sends_its_state_loses_the_guest(
    session: Callable[..., Session],
) -> None:
    run = session("counter", "primary@output:20", "primary@state:2")
    client = Client(run)
    client.type(5)
    with pytest.raises(LostGuestError, match="SIGKILL"):
        run.finish()
    report = run.supervisor.report()
    assert [death.node for death in report.deaths] == ["a", "b"]
    assert client.expected.startswith(bytes(run.output))
    assert report.contradictions == []


def test_a_guest_that_writes_everywhere_all_the_time_is_protected(
    begin: Callable[[RunSpec], Session], tmp_path: Path
) -> None:
    memory_bytes = 32 << 20
    (tmp_path / "writer.elf").write_bytes(writer_image(memory_bytes))
    run = begin(replace(run_spec(tmp_path, "writer"), memory_bytes=memory_bytes))
    run.until(lambda: run.supervisor.protected)
    primary = run.supervisor.replica("primary")
    assert primary is not None
    primary.kill()
    run.until(lambda: len(run.supervisor.report().protections) == 1)
    second = run.supervisor.replica("primary")
    assert second is not None
    assert second.name == "b"
    second.kill()
    run.until_output(len(run.output) + 10)
    run.supervisor.write(b"q")
    report = run.finish()
    assert bytes(run.output) == (DIGITS * (len(run.output) // len(DIGITS) + 1))[: len(run.output)]
    assert (report.end, report.exit_status) == ("exit", 0)
    protection = report.protections[0]
    assert protection.rounds > 2
    assert protection.pages > memory_bytes // 4096
    assert protection.pause_ns < min(PAUSE_NS_MAX, protection.transfer_ns)
    assert [failover.died for failover in report.failovers] == ["a", "b"]
