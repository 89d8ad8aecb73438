"""A recording makes another machine do the same, and says so when it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from ftvm.errors import DivergenceError, LogError
from ftvm.log.recording import Recorder, Recording, replay
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import Kind, Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
SLICE_NS = 2_000_000


def boot(images: Path, guest: str, append: str = "") -> Machine:
    machine = Machine(CONFIG)
    image = (images / f"{guest}.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, append, guest))
    return machine


def record(machine: Machine, keys: bytes = b"") -> tuple[Recording, bytes]:
    """Run to the guest's exit, typing a key whenever it sleeps."""
    recorder = Recorder(machine)
    waiting = list(keys)
    output = b""
    while machine.exit_value is None:
        reason = machine.run(deadline=Nanoseconds(machine.cpu.host_ns() + SLICE_NS))
        output += b"".join(o.data for o in machine.take_outputs())
        recorder.drain()
        if reason is Reason.HALTED and waiting:
            machine.input(bytes([waiting.pop(0)]))
        elif reason is Reason.DEADLINE:
            machine.checkpoint()
    return recorder.finish(), output


@pytest.mark.parametrize(
    ("guest", "append", "keys"),
    [
        ("counter", "", b"iixirq"),
        ("dice", "rate=1000", b"ttxtq"),
        ("entropy", "n=20", b""),
        ("ticker", "rate=1000 ticks=20", b""),
        ("storm", "ops=3000 nondet", b""),
        ("faults", "", b""),
        ("smc", "", b""),
        ("bench/tsc", "rounds=20", b""),
    ],
)
def test_a_replay_is_the_run_again(
    guest_images: Path, guest: str, append: str, keys: bytes
) -> None:
    recorded = boot(guest_images, guest, append)
    recording, output = record(recorded, keys)
    replayed = boot(guest_images, guest, append)
    replay(replayed, recording)
    assert b"".join(o.data for o in replayed.take_outputs()) == output
    assert replayed.links == recorded.links
    assert replayed.digest == recorded.digest


def test_time_stamps_that_follow_from_one_another_are_not_logged(guest_images: Path) -> None:
    recorded = boot(guest_images, "bench/tsc", "rounds=20")
    recording, _ = record(recorded)
    stamps = [entry for entry in recording.entries() if entry.kind is Kind.TSC]
    reads = 20 * 10_000
    assert reads / 64 < len(stamps) < reads / 3  # every tenth step is one, and 64 steps follow
    assert sorted(entry.value for entry in stamps) == [entry.value for entry in stamps]


def test_a_recording_for_another_start_diverges(guest_images: Path) -> None:
    recording, _ = record(boot(guest_images, "entropy", "n=2"))
    with pytest.raises(DivergenceError):
        replay(boot(guest_images, "entropy", "n=3"), recording)


def test_another_end_digest_is_told(guest_images: Path) -> None:
    recording, _ = record(boot(guest_images, "hello"))
    with pytest.raises(DivergenceError, match="the state at the end"):
        replay(boot(guest_images, "hello"), replace(recording, end_digest=bytes(16)))


def test_a_cut_or_damaged_log_is_told(guest_images: Path) -> None:
    recording, _ = record(boot(guest_images, "entropy", "n=1"))
    assert {entry.kind for entry in recording.entries()} >= {Kind.TSC, Kind.RANDOM, Kind.CLOCK}
    with pytest.raises(LogError, match="cut off"):
        list(replace(recording, log=recording.log[:-1]).entries())
    with pytest.raises(LogError, match="byte 0"):
        list(replace(recording, log=b"\xff" + recording.log).entries())
    for log in (recording.log[:-1], b"\xff" + recording.log, recording.log + b"\x01\x00\x00"):
        with pytest.raises(DivergenceError):
            replay(boot(guest_images, "entropy", "n=1"), replace(recording, log=log))
