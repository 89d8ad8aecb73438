"""A machine taken apart in the middle and restored in another process goes on as before."""

import contextlib
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from assembler import EAX, Assembler
from bare import CODE, DATA, machine_of
from hypothesis import HealthCheck, given, settings
from log_entries import encode_entry

from ftvm.errors import StateError
from ftvm.log.recording import Recorder, Recording, replay
from ftvm.machine import snapshot
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import Entry, Kind
from ftvm.machine.log_entries import decode_entries
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import InstructionCount, Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)

# Restores argv[1], gives it the log in argv[2] if it is not empty, runs to the count argv[3].
ELSEWHERE = """
import sys
from pathlib import Path
from ftvm.machine import snapshot
machine = snapshot.restore(Path(sys.argv[1]).read_bytes())
end = int(sys.argv[3])
if sys.argv[2]:
    machine.replay()
    machine.cpu.log_put(Path(sys.argv[2]).read_bytes())
    machine.cpu.set_mark(end)
    machine.run()
while machine.count < end and machine.exit_value is None:
    machine.run(until=end)
print(machine.count, machine.state_digest().hex(), machine.digest.hex())
"""


def boot(images: Path, guest: str, append: str = "") -> Machine:
    machine = Machine(CONFIG)
    image = (images / f"{guest}.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, append, guest))
    return machine


def go_on_elsewhere(folder: Path, state: bytes, log: bytes, end: int) -> list[str]:
    (folder / "state").write_bytes(state)
    (folder / "log").write_bytes(log)
    arguments = [str(folder / "state"), str(folder / "log") if log else "", str(end)]
    command = [sys.executable, "-P", "-c", ELSEWHERE, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def run_to(machine: Machine, count: int) -> None:
    """Run to a count, however often the guest's output comes between."""
    while machine.count < count and machine.exit_value is None:
        machine.run(InstructionCount(count))


def stand(machine: Machine) -> list[str]:
    return [str(machine.count), machine.state_digest().hex(), machine.digest.hex()]


@pytest.mark.parametrize("guest", ["primes", "sort", "crc", "smc"])
@pytest.mark.parametrize("middle", [1, 4_321, 1_234_567])
def test_another_process_comes_to_the_same_end(
    guest_images: Path, tmp_path: Path, guest: str, middle: int
) -> None:
    machine = boot(guest_images, guest)
    run_to(machine, middle)
    assert machine.count == middle
    state = snapshot.take(machine)
    end = InstructionCount(middle + 5_000_000)
    run_to(machine, end)
    assert go_on_elsewhere(tmp_path, state, b"", end) == stand(machine)


def test_another_process_replays_what_came_in_since(guest_images: Path, tmp_path: Path) -> None:
    machine = boot(guest_images, "storm", "ops=100000 nondet")
    recorder = Recorder(machine)
    run_to(machine, 700_001)
    recorder.drain()
    state = snapshot.take(machine)
    since = Recorder(machine)
    for _ in range(5):
        machine.run(deadline=Nanoseconds(machine.cpu.host_ns() + 2_000_000))
        machine.checkpoint()
        since.drain()
    recording = since.finish()
    assert recording.log
    end = recording.end_count
    assert go_on_elsewhere(tmp_path, state, recording.log, end) == stand(machine)


@pytest.mark.parametrize("middle", range(1, 12))
def test_time_stamps_that_the_log_leaves_out_follow_in_a_snapshot_as_well(middle: int) -> None:
    """Of readings close together only the first is logged; a replay is taken apart behind it."""
    code = Assembler(CODE)
    for reading in range(4):
        code.rdtsc().store(DATA + 4 * reading, EAX).nop()
    recorded = machine_of(code.hlt())
    recorder = Recorder(recorded)
    recorded.run()
    whole = recorder.finish()
    replica = machine_of(code)
    replica.replay()
    replica.cpu.log_put(whole.log)
    replica.cpu.set_mark(whole.end_count)
    run_to(replica, middle)
    rest = whole.log[len(whole.log) - replica.cpu.log_pending :]
    elsewhere = snapshot.restore(snapshot.take(replica))
    bases = elsewhere.cpu.log_bases
    replay(elsewhere, Recording(rest, bases, whole.end_count, whole.end_digest))
    assert elsewhere.count == whole.end_count
    assert elsewhere.state_digest() == whole.end_digest
    read = slice(DATA, DATA + 16)
    assert elsewhere.cpu.memory[read] == recorded.cpu.memory[read]


def test_damaged_snapshots_are_refused_in_one_line(guest_images: Path) -> None:
    state = snapshot.take(boot(guest_images, "hello"))
    flipped = bytearray(state)
    flipped[len(state) // 2] ^= 1
    for damaged, says in (
        (b"", "no ftvm snapshot"),
        (b"x" + state[1:], "no ftvm snapshot"),
        (state[:8] + b"\x09" + state[9:], "version 9"),
        (state[:-1], "bytes of"),
        (bytes(flipped), "checksum"),
    ):
        with pytest.raises(StateError, match=says) as caught:
            snapshot.restore(damaged)
        assert "\n" not in str(caught.value)


entries = st.builds(
    lambda kind, steps, value, payload: (kind, steps, value, payload),
    st.sampled_from(Kind),
    st.integers(0, 1 << 40),
    st.integers(0, 255),
    st.binary(max_size=40),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(entries, max_size=30))
def test_log_entries_survive_their_encoding(drawn: list[tuple[Kind, int, int, bytes]]) -> None:
    log, bases, written = b"", (0, 0), []
    for kind, steps, value, content in drawn:
        timed = kind in (Kind.TSC, Kind.CLOCK, Kind.TIMER)
        payload = {Kind.INPUT: content, Kind.DIGEST: content.ljust(16, b".")[:16]}.get(kind, b"")
        value = bases[1] + value if timed else 0 if kind is Kind.DIGEST else value
        entry = Entry(kind, InstructionCount(bases[0] + steps), value, payload)
        data, bases = encode_entry(entry, bases)
        log += data
        written.append(entry)
    assert [entry for entry, _, _ in decode_entries(log)] == written


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_entries_or_none(data: bytes) -> None:
    ends = [0]
    with contextlib.suppress(ValueError):  # which is what it says of bytes that are no entry
        ends += [end for _, end, _ in decode_entries(data)]
    assert ends == sorted(set(ends))
    assert ends[-1] <= len(data)
