"""Machines with disks: what they write is theirs, and goes where they go."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_image import MEMORY_BYTES, MemoryImage, boot_with_disks, patterned

from ftvm.errors import DivergenceError, StateError
from ftvm.log.recording import Recorder, Recording, replay
from ftvm.machine import snapshot
from ftvm.machine.cpu import Kind
from ftvm.machine.machine import Machine
from ftvm.machine.transfer import StateReceiver, StateSender
from ftvm.units import InstructionCount, Sector

OPS = "ops=150 seed=7"
BAD = set(range(900, 950))


@pytest.fixture(scope="module")
def guest(guest_images: Path) -> bytes:
    return (guest_images / "disk.elf").read_bytes()


def images(bad: set[int] | None = None) -> list[MemoryImage]:
    return [MemoryImage(patterned(3000), bad), MemoryImage(patterned(700, 3))]


def run_out(machine: Machine) -> bytes:
    output = bytearray()
    while machine.exit_value is None:
        machine.run()
        output += b"".join(made.data for made in machine.take_outputs())
    return bytes(output)


def record(machine: Machine) -> tuple[Recording, bytes]:
    recorder = Recorder(machine)
    output = bytearray()
    while machine.exit_value is None:
        machine.run(InstructionCount(machine.count + 300_000))
        machine.checkpoint() if machine.exit_value is None else None
        recorder.drain()
        output += b"".join(made.data for made in machine.take_outputs())
    return recorder.finish(), bytes(output)


def test_the_guest_checks_the_drives_and_leaves_the_images_alone(guest: bytes) -> None:
    given = images()
    machine = boot_with_disks(guest, "check", *given)
    assert b"disk: all 15 checks ok" in run_out(machine)
    assert given[0].data == patterned(3000)
    assert machine.disks[0].written != []


def test_a_recorded_run_with_disks_replays_equal(guest: bytes) -> None:
    recording, _ = record(boot_with_disks(guest, OPS, *images()))
    again = boot_with_disks(guest, OPS, *images())
    replay(again, recording)  # which compares all digests
    assert again.exit_value == 0


def test_what_was_written_is_part_of_the_digest(guest: bytes) -> None:
    recording, _ = record(boot_with_disks(guest, OPS, *images()))
    again = boot_with_disks(guest, OPS, *images())
    again.disks[1].write(Sector(650), bytes(511) + b"\1")
    with pytest.raises(DivergenceError, match="digest"):
        replay(again, recording)


def test_a_snapshot_has_what_was_written(guest: bytes) -> None:
    machine = boot_with_disks(guest, OPS, *images())
    machine.run(InstructionCount(2_000_000))
    state = snapshot.take(machine)
    other = snapshot.restore(state, lambda disks: images())
    assert other.state_digest() == machine.state_digest()
    assert run_out(other).splitlines()[-1] == run_out(machine).splitlines()[-1]
    for mine, theirs in zip(machine.disks, other.disks, strict=True):
        assert mine.overlay_hash == theirs.overlay_hash
        assert mine.content(mine.written) == theirs.content(theirs.written)


def test_a_snapshot_with_disks_needs_their_images(guest: bytes) -> None:
    state = snapshot.take(boot_with_disks(guest, OPS, *images()))
    with pytest.raises(StateError, match=r"disk\.img"):
        snapshot.restore(state)


def turns(machine: Machine, sender: StateSender) -> Iterator[bytes]:
    while (piece := sender.next_piece()) is not None:
        yield piece
        span = min(sender.allowance or 100_000, 100_000)
        machine.run(InstructionCount(machine.count + span))
        machine.cpu.log_take()
    yield from sender.finish()


def test_a_copy_of_a_running_machine_has_what_it_writes_meanwhile(guest: bytes) -> None:
    machine = boot_with_disks(guest, "ops=400 seed=9", *images())
    machine.record()
    machine.run(InstructionCount(5_000_000))
    machine.cpu.log_take()
    sender = StateSender(machine, rest_pages_max=20)
    receiver = StateReceiver(open_images=lambda disks: images())
    pieces = list(turns(machine, sender))
    assert sum(piece[:1] == b"S" for piece in pieces) > 3
    assert sender.rounds > 1
    copies = [receiver.feed(piece) for piece in pieces]
    copy = copies[-1]
    assert copy is not None
    assert copy.state_digest() == machine.state_digest()
    machine.cpu.log_take()
    copy.replay()
    while machine.exit_value is None:
        machine.run(InstructionCount(machine.count + 1_000_000))
        copy.cpu.log_put(machine.cpu.log_take())
        copy.cpu.set_mark(machine.count)
        copy.run()
    assert copy.state_digest() == machine.state_digest()


@pytest.mark.parametrize(
    "piece", [b"S", b"S" + bytes(8), b"S" + bytes(520), b"S\2" + bytes(3) + b"\1" + bytes(523)]
)
def test_sectors_that_cannot_be_are_refused(guest: bytes, piece: bytes) -> None:
    machine = boot_with_disks(guest, OPS, *images())
    first = StateSender(machine).next_piece()
    assert first is not None
    receiver = StateReceiver(open_images=lambda disks: images())
    receiver.feed(first)
    with pytest.raises(StateError, match="transfer"):
        receiver.feed(piece)


def test_an_unreadable_sector_is_an_error_for_primary_and_replica_alike(guest: bytes) -> None:
    recording, output = record(boot_with_disks(guest, "ops=80 seed=5", *images(bad=BAD)))
    failures = [entry for entry in recording.entries() if entry.kind is Kind.FAILURE]
    assert len(failures) == 1
    assert failures[0].value >> 1 in BAD
    assert b"error 40 at sector %d" % (failures[0].value >> 1) in output
    again = boot_with_disks(guest, "ops=80 seed=5", *images())  # here it could be read
    replay(again, recording)
    assert again.exit_value == 1


def test_a_replica_whose_own_image_cannot_be_read_says_so(guest: bytes) -> None:
    recording, _ = record(boot_with_disks(guest, "ops=80 seed=5", *images()))
    again = boot_with_disks(guest, "ops=80 seed=5", *images(bad=BAD))
    with pytest.raises(DivergenceError, match=r"drive 0 cannot be read here.*sector \d+"):
        replay(again, recording)
    state = snapshot.take(again)  # of which a report is made
    assert snapshot.restore(state, lambda disks: images()).state_digest() == again.state_digest()


def test_a_machine_has_an_image_for_each_disk(guest: bytes) -> None:
    config = boot_with_disks(guest, "", *images()).config
    assert config.memory_bytes == MEMORY_BYTES
    with pytest.raises(ValueError, match="zip"):
        Machine(replace(config, disks=config.disks), images()[:1])
