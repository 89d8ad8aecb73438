"""The bundled guests on the oracle: the same count, state and output at random stops."""

import random
from pathlib import Path

import pytest
from comparison import assert_same, assert_same_output, oracle_pc, record

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.machine import Machine, MachineConfig

CONFIG = MachineConfig(memory_bytes=8 << 20, epoch_s=1_700_000_000)
STEPS_MAX = 400_000
GUESTS = {
    "hello": "",
    "counter": "",
    "dice": "rate=1000",
    "ticker": "rate=1000 ticks=10",
    "entropy": "n=2",
    "primes": "size=2000 rounds=1",
    "sort": "size=2000 rounds=1",
    "crc": "size=512 rounds=1",
    "faults": "",
    "smc": "",
    "storm": "ops=200",
}


# Guests with an instruction that the oracle cannot follow (RDMSR), and the least count
# that it comes to before.
CORE_DEFINES = {"faults": 300_000}


@pytest.mark.parametrize("guest", GUESTS)
def test_the_guest_is_the_same_on_the_oracle(guest_images: Path, guest: str) -> None:
    plan = load(
        (guest_images / f"{guest}.elf").read_bytes(), CONFIG.memory_bytes, GUESTS[guest], guest
    )
    machine = Machine(CONFIG)
    machine.boot(plan)
    keys = {"counter": [b"i", b"i", b"r", b"q"], "dice": [b"t", b"x", b"t", b"q"]}.get(guest, [])

    def wait(machine: Machine) -> bool:
        if keys:
            machine.input(keys.pop(0))
            return True
        return machine.next_deadline() is not None  # asked again until it is due

    stops = random.Random(guest).sample(range(1, STEPS_MAX), 40)
    recording = record(machine, stops, STEPS_MAX, wait)
    oracle, pc = oracle_pc(plan, CONFIG, recording.entries)
    oracle.run(STEPS_MAX, [*recording.views])
    assert_same(recording, oracle)
    if guest in CORE_DEFINES:
        assert oracle.limit == "stock Unicorn does this otherwise"
        assert oracle.count > CORE_DEFINES[guest]
        return
    assert oracle.limit is None
    assert_same_output(recording, pc)
    assert pc.exit_value == machine.exit_value
