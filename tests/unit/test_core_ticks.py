"""Ticks of the interval timer that the core does by itself, live and replayed."""

from pathlib import Path

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import NEVER, Kind, Reason
from ftvm.machine.log_entries import decode_entries
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import InstructionCount, Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
MS_NS = 1_000_000
TICKS = 20
STEPS = 100_000  # between two ticks: more than a slice


def boot(images: Path) -> Machine:
    machine = Machine(CONFIG)
    image = (images / "bench" / "ticks.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, "rate=1000 rounds=1000000", "ticks"))
    return machine


def test_a_tick_is_done_without_python(guest_images: Path) -> None:
    recorded = boot(guest_images)
    recorded.cpu.simulate_host(1, Nanoseconds(0))
    recorded.record()
    bases = recorded.cpu.log_bases
    recorded.run(InstructionCount(STEPS))  # which sets up the timer
    for tick in range(1, TICKS + 1):
        recorded.cpu.set_host_ns(Nanoseconds(tick * MS_NS + MS_NS // 2))
        end = InstructionCount((tick + 1) * STEPS)
        assert recorded.cpu.run(end, NEVER) is Reason.TARGET
    log = recorded.cpu.log_take()
    kinds = [entry.kind for entry, _, _ in decode_entries(log, bases)]
    assert kinds.count(Kind.TIMER) == kinds.count(Kind.INTERRUPT) == TICKS

    replayed = boot(guest_images)
    replayed.replay()
    assert replayed.cpu.log_put(log) == len(log)
    replayed.cpu.set_mark(recorded.count)
    assert replayed.cpu.run(recorded.count, NEVER) is Reason.TARGET
    assert replayed.state_digest() == recorded.state_digest()
