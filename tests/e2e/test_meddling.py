"""What a person may do to a living pair: cut it, pause it, make it wrong, leave it alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pair_session import Session, run_spec
from recorded_run import open_run

from ftvm.log.comparison import Comparison
from ftvm.log.state_difference import compare_machines
from ftvm.runtime.replica import Replica
from ftvm.runtime.status import HostStatus
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import InstructionCount, Nanoseconds

READY = b"counter: ready\n"
FAILURE_TIMEOUT = Nanoseconds(400_000_000)
ADDRESS, BIT = 0x108000, 3


@pytest.fixture
def run(guest_images: Path) -> Iterator[Session]:
    """A counter that has come up, whose new backups come when they are called."""
    spec = replace(
        run_spec(guest_images, "counter"), failure_timeout_ns=FAILURE_TIMEOUT, protects=False
    )
    output = bytearray()
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        session = Session(supervisor, output)
        session.until(lambda: bytes(output) == READY and supervisor.protected)
        yield session


def replica(run: Session, role: str) -> Replica:
    found = run.supervisor.replica(role)
    assert found is not None
    return found


def status(run: Session, replica: Replica) -> HostStatus:
    replica.measure()
    run.until(lambda: not replica.asked)
    assert replica.measured is not None
    return replica.measured.status


def type_and_see(run: Session, number: int) -> None:
    expected = len(run.output) + len(b"%d\n" % number)
    run.supervisor.write(b"i")
    run.until_output(expected)
    assert run.output.endswith(b"\n%d\n" % number)


def test_output_waits_while_the_two_are_cut_and_comes_when_the_cut_is_mended(run: Session) -> None:
    primary, backup = replica(run, "primary"), replica(run, "backup")
    backup.cut()
    run.supervisor.write(b"i")
    run.until(lambda: status(run, primary).held_bytes > 0)
    assert bytes(run.output) == READY
    backup.mend()
    run.until_output(len(READY + b"1\n"))
    assert run.supervisor.protected
    assert run.supervisor.report().failovers == []


def test_of_two_that_stay_cut_one_goes_on_and_the_other_halts(run: Session) -> None:
    type_and_see(run, 1)
    before = list(run.supervisor.replicas)
    replica(run, "backup").cut()
    run.until(lambda: sum(r.alive for r in before) == 1)
    (survivor,) = (r for r in before if r.alive)
    (gone,) = (r for r in before if not r.alive)
    assert gone.over is not None
    assert gone.over.cause in ("fenced", "lost arbitration")
    run.until(lambda: survivor.role == "primary")
    type_and_see(run, 2)


def test_a_flipped_bit_is_found_by_the_next_digest(run: Session) -> None:
    primary, backup = replica(run, "primary"), replica(run, "backup")
    backup.flip(ADDRESS, BIT)
    type_and_see(run, 1)
    run.until(lambda: bool(run.supervisor.report().divergences))
    run.until(lambda: not backup.alive)
    assert backup.measured is not None
    theirs = backup.measured.status.checks[-1]
    ours = next(c for c in status(run, primary).checks if c.number == theirs.number)
    assert ours.instruction == theirs.instruction
    assert ours.digest != theirs.digest


def test_a_flip_is_in_the_recording_and_is_flipped_again(
    guest_images: Path, tmp_path: Path
) -> None:
    spec = replace(run_spec(guest_images, "counter", record=tmp_path / "run"), protects=False)
    output = bytearray()
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        run = Session(supervisor, output)
        run.until(lambda: bytes(output) == READY and supervisor.protected)
        type_and_see(run, 1)
        replica(run, "backup").flip(ADDRESS, BIT)
        type_and_see(run, 2)
        run.until(lambda: bool(supervisor.report().divergences))
        supervisor.write(b"q")
        run.finish()
    straight, bent = (open_run((tmp_path / f"run.{name}").read_bytes()) for name in "ab")
    assert straight.planted == ()
    (flip,) = bent.planted
    assert (flip.address, flip.bit) == (ADDRESS, BIT)
    comparison = Comparison(straight, bent)
    parting = comparison.find()
    assert (parting.equal, parting.different) == (flip.count - 1, flip.count)
    one, other = comparison.stand_at(InstructionCount(flip.count))
    found = compare_machines(one.machine, other.machine, 10)
    assert [(at, a ^ b) for at, a, b in found.memory] == [(ADDRESS, 1 << BIT)]


def test_a_paused_primary_is_replaced_and_halts_when_it_wakes_up(run: Session) -> None:
    type_and_see(run, 1)
    old = replica(run, "primary")
    old.pause()
    run.until(lambda: run.supervisor.generation == 2)
    type_and_see(run, 2)
    old.resume()
    run.until(lambda: not old.alive)
    assert old.over is not None
    assert old.over.cause in ("fenced", "lost arbitration")


def test_a_guest_that_is_to_be_left_alone_gets_a_backup_when_it_is_asked_for(run: Session) -> None:

    replica(run, "primary").kill()
    run.until(lambda: run.supervisor.generation == 2)
    type_and_see(run, 1)
    assert len(run.supervisor.replicas) == 2
    run.supervisor.protect()
    run.until(lambda: run.supervisor.protected)
    replica(run, "backup").kill()
    run.until(lambda: bool(run.supervisor.report().backup_losses))
    assert [f.cause for f in run.supervisor.report().failovers] == ["connection closed"]
    replica(run, "primary").pause()
    run.supervisor.stop("left")
    run.until(lambda: all(not r.alive for r in run.supervisor.replicas))
