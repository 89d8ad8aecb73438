"""A recorded run is the run again, anywhere and from any checkpoint, or says why it is not."""

import io
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_run import EVERY_GUEST, HEADER, boot, open_run, plant, record

from ftvm.errors import DivergenceError, LogError
from ftvm.log.frames import START_BYTES, FrameReader, Kind
from ftvm.log.run_format import Flip
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import Finding, RunReplay, check_engine
from ftvm.machine.engine import ENGINE
from ftvm.ui.images import bundled_guests
from ftvm.units import InstructionCount


def replay_all(reader: RunReader, place: int = 0) -> tuple[RunReplay, bytes]:
    replay = RunReplay(reader, reader.checkpoints[place] if place else None)
    output = b""
    while not replay.over:
        output += replay.run()
    return replay, output


def finding(data: bytes) -> Finding:
    """What somebody who replays the file is told of it."""
    try:
        replay, _ = replay_all(open_run(data))
    except LogError as error:
        return Finding.TORN if "torn" in str(error) else Finding.DAMAGED
    except DivergenceError:
        return Finding.DIVERGED
    return replay.judge()[0]


@pytest.mark.parametrize(("guest", "append", "keys"), EVERY_GUEST)
def test_every_guest_is_the_same_again(
    guest_images: Path, guest: str, append: str, keys: bytes
) -> None:
    recorded = boot(guest_images, guest, append)
    data, output = record(recorded, keys, checkpoint_every=2)
    reader = open_run(data)
    replay, again = replay_all(reader)
    assert replay.judge() == (Finding.EQUAL, "")
    assert again == output
    assert replay.machine.digest == recorded.digest
    assert replay.machine.state_digest() == recorded.state_digest()
    for place in range(1, len(reader.checkpoints))[:5]:
        replay, rest = replay_all(reader, place)
        assert replay.judge() == (Finding.EQUAL, "")
        assert output.endswith(rest)


def test_no_guest_is_left_out() -> None:
    assert {guest for guest, _, _ in EVERY_GUEST} == {guest.name for guest in bundled_guests()}


def test_a_replay_stops_at_any_instruction(guest_images: Path) -> None:
    data, output = record(boot(guest_images, "counter"), b"iiq")
    reader = open_run(data)
    replay, again = RunReplay(reader), b""
    for count in sorted(random.Random(7).sample(range(1, reader.end_count), 50)):
        again += replay.run(InstructionCount(count))
        assert replay.count == count
        assert replay.judge() == (Finding.EQUAL, "")
    again += replay.run()
    assert again == output
    assert replay.judge() == (Finding.EQUAL, "")


def test_a_log_that_is_fed_in_pieces_is_used_up(guest_images: Path) -> None:
    recorded = boot(guest_images, "storm", "ops=200000 nondet")
    data, _ = record(recorded, slice_ns=100_000_000, checkpoint_every=1000)
    reader = open_run(data)
    assert reader.end is not None
    assert reader.end.position > 1 << 16  # more than is fed at once
    replay, _ = replay_all(reader)
    assert replay.judge() == (Finding.EQUAL, "")
    assert replay.machine.state_digest() == recorded.state_digest()


@pytest.fixture(scope="module")
def short(guest_images: Path) -> bytes:
    """A short run that has some of everything; its two planted faults cancel each other out."""
    data, _ = record(boot(guest_images, "counter"), b"iq", checkpoint_every=1)
    flip = Flip(open_run(data).end_count - 1, 0x7F0000, 3)
    return plant(data, flip, flip)


def places(request: pytest.FixtureRequest, data: bytes) -> Iterator[int]:
    """Every byte in the long mode; else every byte that is not inside a checkpoint, and some."""
    inside = {
        offset
        for frame in FrameReader(io.BytesIO(data)).frames(START_BYTES)
        if frame.kind is Kind.CHECKPOINT  # type: ignore[union-attr]
        for offset in range(frame.offset + 16, frame.behind)  # type: ignore[union-attr]
        if offset % 97
    }
    step = 1 if request.config.getoption("--long") else 5
    return (at for at in range(len(data)) if at not in inside and at % step == 0)


def test_a_run_cut_off_anywhere_is_torn(short: bytes, request: pytest.FixtureRequest) -> None:
    assert finding(short) is Finding.EQUAL
    for end in places(request, short):
        assert finding(short[:end]) in (Finding.TORN, Finding.DAMAGED), end
        if end > START_BYTES:
            assert finding(short[:end]) is Finding.TORN, end


def test_a_changed_byte_anywhere_is_told(short: bytes, request: pytest.FixtureRequest) -> None:
    draw = random.Random(3)
    for at in places(request, short):
        changed = bytearray(short)
        changed[at] ^= draw.randrange(1, 256)
        assert finding(bytes(changed)) is not Finding.EQUAL, at


def test_bytes_behind_the_end_are_told(short: bytes) -> None:
    assert finding(short + b"x") is Finding.DAMAGED
    assert finding(short + bytes(64)) is Finding.DAMAGED


def test_zeros_where_a_host_crashed_are_a_torn_end(short: bytes) -> None:
    frames = list(FrameReader(io.BytesIO(short)).frames(START_BYTES))
    cut = frames[-2].offset
    assert finding(short[:cut] + bytes(4096)) is Finding.TORN


def test_what_is_before_a_tear_is_all_there(guest_images: Path) -> None:
    recorded, output = record(boot(guest_images, "faults"), checkpoint_every=2)
    whole = open_run(recorded)
    torn = open_run(recorded[: whole.end.checkpoints[-1].offset - 1])  # type: ignore[union-attr]
    assert torn.end is None
    assert torn.checkpoints == whole.checkpoints[:-1]
    replay, again = replay_all(torn)
    assert replay.judge()[0] is Finding.TORN
    assert replay.count == torn.end_count < whole.end_count
    assert replay.machine.links > 0
    assert output.startswith(again)


def test_another_engine_and_version_are_refused_with_advice(short: bytes) -> None:
    with pytest.raises(LogError, match=r"version 9 .* use the ftvm that recorded it"):
        open_run(with_version(short, 9))
    reader = open_run(short)
    check_engine(reader, ENGINE)
    with pytest.raises(LogError, match="replay it with that version"):
        check_engine(reader, "ftvm 99, unicorn 3")


def with_version(data: bytes, version: int) -> bytes:
    import zlib

    start = data[:8] + version.to_bytes(4, "little")
    return start + zlib.crc32(start).to_bytes(4, "little") + data[START_BYTES:]


@pytest.mark.parametrize("data", [b"", b"x", b"ftvm-rum" + bytes(40), b"\x7fELF" + bytes(100)])
def test_other_files_are_no_runs(data: bytes) -> None:
    with pytest.raises(LogError, match="not a recorded run"):
        open_run(data)


def test_a_planted_flip_is_planted_again(guest_images: Path) -> None:
    data, _ = record(boot(guest_images, "primes", "size=100000 rounds=1"))
    reader = open_run(data)
    middle = reader.end_count // 2
    flipped = open_run(plant(data, Flip(middle, 0x7F0000, 3)))
    with pytest.raises(DivergenceError, match=r"digest|state"):
        replay_all(flipped)
    straight, bent = RunReplay(reader), RunReplay(flipped)
    for replay in (straight, bent):
        replay.run(InstructionCount(middle - 1))
    assert straight.machine.state_digest() == bent.machine.state_digest()
    for replay in (straight, bent):
        replay.run(InstructionCount(middle))  # where the flip is
    one, other = (bytes(replay.machine.cpu.memory) for replay in (straight, bent))
    assert one[:0x7F0000] == other[:0x7F0000]
    assert one[0x7F0000] == other[0x7F0000] ^ 8
    assert one[0x7F0001:] == other[0x7F0001:]


def test_a_fault_planted_in_no_memory_is_refused(short: bytes) -> None:
    with pytest.raises(LogError, match="in no memory"):
        RunReplay(open_run(plant(short, Flip(5, 1 << 40, 0))))


def test_the_header_says_who_recorded_what(guest_images: Path) -> None:
    header = replace(HEADER, node="b", append="x y", began_s=5)
    data, _ = record(boot(guest_images, "hello"), header=header)
    assert open_run(data).header == header
