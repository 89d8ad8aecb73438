"""What a backup keeps of where it was equal is that machine, though the copy takes many turns."""

import io
from pathlib import Path

import pytest

from ftvm.log import last_equal
from ftvm.log.last_equal import LastEqual, Replica
from ftvm.log.run_format import RunHeader
from ftvm.log.run_reader import RunReader
from ftvm.machine import snapshot
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.transfer import StateReceiver, StateSender
from ftvm.units import InstructionCount, Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
STEP = 20_000


@pytest.fixture
def primary(guest_images: Path) -> Machine:
    machine = Machine(CONFIG)
    machine.boot(load((guest_images / "sort.elf").read_bytes(), CONFIG.memory_bytes, "", "sort"))
    machine.record()
    machine.run(InstructionCount(1_000_000))
    return machine


def backup_of(primary: Machine) -> Machine:
    receiver = StateReceiver()
    machines = [receiver.feed(piece) for piece in StateSender(primary).finish()]
    assert machines[-1] is not None
    machines[-1].replay()
    primary.cpu.log_take()
    return machines[-1]


def kept_by(last: LastEqual) -> Machine:
    header = RunHeader("engine", bytes(16), "a", "sort", bytes(32), "", CONFIG, 0)
    replica = Replica(header, ())
    straight, _ = last.recordings(replica, replica, Nanoseconds(0))
    reader = RunReader(io.BytesIO(straight), "straight")
    base, _ = reader.checkpoint(reader.place_before(InstructionCount(1 << 62)))
    return snapshot.restore(base.snapshot)


@pytest.mark.parametrize("pages", [1, 7, 2048])
def test_it_is_the_machine_at_the_last_digest(
    primary: Machine, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_equal, "COPY_PAGES", pages)
    backup = backup_of(primary)
    last = LastEqual(backup)
    assert last.is_whole == (pages > len(backup.cpu.used_pages()))
    turns = 0
    while not last.is_whole or turns < 3:
        primary.run(InstructionCount(primary.count + STEP))
        primary.checkpoint()
        there = primary.count, primary.state_digest()
        primary.run(InstructionCount(primary.count + STEP // 2))
        log = primary.cpu.log_take()
        assert backup.cpu.log_put(log) == len(log)
        last.fed(log)
        backup.cpu.set_mark(primary.count)
        backup.run()
        last.copy_some()
        turns += 1
    kept = kept_by(last)
    assert (kept.count, kept.state_digest()) == there
