"""A guest recorded in this process, as the bytes of a run file."""

import io
from dataclasses import replace
from pathlib import Path

from ftvm.log.frames import START_BYTES, Frame, FrameReader, Kind, encode_frame
from ftvm.log.run_format import (
    CheckpointPlace,
    Flip,
    RunHeader,
    decode_end,
    encode_end,
    encode_flip,
)
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import Finding, RunReplay
from ftvm.log.run_writer import RunWriter
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import Reason
from ftvm.machine.engine import ENGINE
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import Nanoseconds

CONFIG = MachineConfig(memory_bytes=8 << 20, epoch_s=1_700_000_000)
HEADER = RunHeader(
    engine=ENGINE,
    run=bytes(16),
    node="a",
    image_name="guest",
    image_hash=bytes(32),
    append="",
    config=CONFIG,
    began_s=1_700_000_000,
)

EVERY_GUEST = [
    ("hello", "", b""),
    ("counter", "", b"iixirq"),
    ("dice", "rate=1000", b"txtq"),
    ("disk", "", b""),
    ("ticker", "rate=1000 ticks=30", b""),
    ("entropy", "n=20", b""),
    ("primes", "size=100000 rounds=1", b""),
    ("sort", "size=100000 rounds=1", b""),
    ("crc", "size=4096 rounds=4", b""),
    ("faults", "", b""),
    ("faults", "triple", b""),
    ("smc", "", b""),
    ("storm", "ops=20000 nondet", b""),
]
"""With command lines and keys that make them end."""


def boot(images: Path, guest: str, append: str = "") -> Machine:
    machine = Machine(CONFIG)
    image = (images / f"{guest}.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, append, guest))
    return machine


def record(
    machine: Machine,
    keys: bytes = b"",
    *,
    slice_ns: int = 2_000_000,
    checkpoint_every: int = 5,
    stop_at: int = 2**63,
    header: RunHeader = HEADER,
) -> tuple[bytes, bytes]:
    """Run to the guest's end or to a count; return the run file and the output.

    A key is typed whenever the guest sleeps, a digest made at every slice, a
    checkpoint behind every so many digests.
    """
    file, output, waiting = io.BytesIO(), b"", list(keys)
    machine.record()
    writer = RunWriter(file.write, header, machine, Nanoseconds(0))  # type: ignore[arg-type]
    how = "stopped"
    while machine.count < stop_at:
        reason = machine.run(
            min(stop_at, 2**63),  # type: ignore[arg-type]
            Nanoseconds(machine.cpu.host_ns() + slice_ns),
        )
        made = b"".join(o.data for o in machine.take_outputs())
        output += made
        writer.put_out(made)
        if machine.exit_value is not None:
            how = "exit"
        elif reason is Reason.SHUTDOWN:
            how = "triple fault"
        elif machine.cpu.halted_for_good:
            how = "halt"
        elif reason is Reason.HALTED and waiting:
            machine.input(bytes([waiting.pop(0)]))
        elif reason is Reason.DEADLINE:
            machine.checkpoint()
            writer.logged(machine.cpu.log_take())
            writer.write_log(machine.cpu.host_ns())
            if machine.links % checkpoint_every == 0:
                writer.write_checkpoint(machine.cpu.host_ns())
        writer.logged(machine.cpu.log_take())
        if made:
            writer.write_log(machine.cpu.host_ns())
        if how != "stopped":
            break
    writer.write_log(machine.cpu.host_ns())
    writer.write_end(how, machine.exit_value or 0, machine.cpu.host_ns())
    return file.getvalue(), output


def open_run(data: bytes) -> RunReader:
    return RunReader(io.BytesIO(data), "a run")


def plant(data: bytes, *flips: Flip) -> bytes:
    """Return the run as a replica with these planted faults records it: with no more
    checkpoints once it has one."""
    reader = open_run(data)
    made = data[:START_BYTES]
    places: list[CheckpointPlace] = []
    has_flips = False
    first = min((flip.count for flip in flips), default=2**63)
    for frame in FrameReader(io.BytesIO(data)).frames(START_BYTES):
        assert isinstance(frame, Frame)
        body = frame.body
        if frame.kind is Kind.LOG and flips and not has_flips:
            for flip in flips:
                made += encode_frame(Kind.FLIP, encode_flip(flip), len(made))
            has_flips = True
        if frame.kind is Kind.CHECKPOINT:
            place = next(p for p in reader.checkpoints if p.offset == frame.offset)
            if place.count >= first:
                continue
            places.append(replace(place, offset=len(made)))
        elif frame.kind is Kind.END:
            end = decode_end(frame, "a run")
            end = replace(end, checkpoints=tuple(places), planted=flips)
            body = encode_end(end, len(made))
        made += encode_frame(frame.kind, body, len(made))
    return made


def replay_file(path: Path) -> tuple[Finding, bytes, RunReader]:
    """Replay a whole file; return the verdict and the console's output."""
    reader = RunReader(io.BytesIO(path.read_bytes()), path.name)
    replay, output = RunReplay(reader), b""
    while not replay.over:
        output += replay.run()
    return replay.judge()[0], output, reader
