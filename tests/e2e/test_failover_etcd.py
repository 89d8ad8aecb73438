"""A pair that arbitrates by a real etcd server, which has its own troubles."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from pair_session import TICK, Session, judge_counter, run_spec

from ftvm.runtime.supervisor import Supervisor


@pytest.fixture
def session(guest_images: Path, etcd: EtcdServer) -> Iterator[Callable[..., Session]]:
    opened: list[Supervisor] = []

    def start(*crashes: str) -> Session:
        output = bytearray()
        spec = run_spec(guest_images, "counter", *crashes, store_url=etcd.url)
        supervisor = Supervisor(spec, output.extend)
        opened.append(supervisor)
        supervisor.start()
        return Session(supervisor, output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()


def count_to_two(run: Session) -> None:
    run.supervisor.write(b"ii")
    run.until(lambda: run.output.endswith(b"2\n"))


def kill(run: Session, role: str) -> None:
    replica = run.supervisor.replica(role)
    assert replica is not None
    replica.kill()
    run.until(lambda: not replica.alive)


@pytest.mark.parametrize("role", ["primary", "backup"])
def test_a_death_in_the_middle(session: Callable[..., Session], role: str) -> None:
    report = judge_counter(session(f"{role}@output:17"))
    assert [death.role for death in report.deaths] == [role]
    assert len(report.failovers) == (role == "primary")
    assert len(report.backup_losses) == (role == "backup")


@pytest.mark.parametrize("role", ["primary", "backup"])
@pytest.mark.parametrize("trouble", ["paused", "killed"])
def test_an_unreachable_store_means_waiting_until_it_is_back(
    session: Callable[..., Session], etcd: EtcdServer, trouble: str, role: str
) -> None:
    run = session()
    count_to_two(run)
    if trouble == "paused":
        etcd.pause()
    else:
        etcd.kill()
    kill(run, role)
    generation = run.supervisor.generation
    run.supervisor.write(b"iq")
    for _ in range(20):
        run.supervisor.poll(TICK)
    assert run.output.endswith(b"2\n")
    if trouble == "paused":
        etcd.go_on()
    else:
        etcd.start()
    report = run.finish()
    assert bytes(run.output) == b"counter: ready\n1\n2\n3\n"
    assert report.exit_status == 0
    assert report.contradictions == []
    if role == "primary":
        assert run.supervisor.generation == generation + 1


def test_a_store_that_hangs_stops_no_replica(
    session: Callable[..., Session], etcd: EtcdServer
) -> None:
    run = session()
    count_to_two(run)
    etcd.pause()
    kill(run, "backup")
    run.supervisor.stop("enough")
    report = run.finish()
    assert [death.role for death in report.deaths] == ["backup"]
