"""How long a live guest runs on behind its output before that is handed out."""

from pathlib import Path

import pytest

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import FOREVER, GATHER_NS, Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
VERY_LONG_NS = Nanoseconds(1_000_000_000_000)
LEAST_ROOM_BYTES = 32 << 10


@pytest.fixture
def printing(guest_images: Path) -> Machine:
    """A guest that prints without a rest."""
    machine = Machine(CONFIG)
    image = (guest_images / "bench" / "lines.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, "rounds=1000000", "lines"))
    machine.record()
    return machine


def printed(machine: Machine, gather: Nanoseconds) -> int:
    """Return how many bytes the machine has put out when its run ends."""
    machine.cpu.set_gather(gather)
    reason = machine.run(FOREVER, Nanoseconds(machine.cpu.host_ns() + VERY_LONG_NS))
    assert reason in (Reason.DEADLINE, Reason.ATTENTION)
    return sum(len(output.data) for output in machine.take_outputs())


def test_output_is_handed_out_by_time_or_when_there_is_little_room(printing: Machine) -> None:
    assert printing.cpu.gather_ns == GATHER_NS
    assert printed(printing, VERY_LONG_NS) > LEAST_ROOM_BYTES
    assert 0 < printed(printing, Nanoseconds(0)) < LEAST_ROOM_BYTES
    assert printed(printing, VERY_LONG_NS) > LEAST_ROOM_BYTES
