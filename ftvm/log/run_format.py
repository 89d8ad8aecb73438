"""What the frames of a recorded run say; docs/run-format.md has it for readers.

Numbers are little-endian. Counts are engine steps since reset, positions are
bytes of log since the recording began, offsets are bytes of console output since
then.
"""

import struct
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from ftvm.errors import LogError, StateError
from ftvm.log.frames import Frame
from ftvm.machine.disk import SECTOR_BYTES
from ftvm.machine.machine import DIGEST_BYTES, MachineConfig
from ftvm.machine.plain import decode_plain, encode_plain
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, Sector, StreamOffset

Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Digest = Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]

T = TypeVar("T")

DIVERGED = "diverged"
"""How a replica's recording ends that was found to differ from its primary."""

END_MAGIC = b"ftvm-end"
_LOG = struct.Struct("<QQQ")
_CHECKPOINT = struct.Struct("<QQQQQQ")
_END_TAIL = struct.Struct("<Q8s")
_DISK = struct.Struct("<II")
_MOMENT = struct.Struct("<BQQQ")
_FLIP = struct.Struct("<QQB")

END_TAIL_BYTES = _END_TAIL.size


@dataclass(frozen=True)
class Flip:
    """One bit of guest memory turned over, before the instruction behind `count`.

    ``count`` is 1 or more, so that a machine at its start has none behind it.
    """

    count: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    address: Natural
    bit: Annotated[int, msgspec.Meta(ge=0, le=7)]


@dataclass(frozen=True)
class RunHeader:
    """Who recorded what.

    ``run`` is shared by the replicas of one run and by nothing else; ``node`` is
    the replica's name. ``image_hash`` is BLAKE2b, 32 bytes, of all that was loaded.
    ``began_s`` is the date, in seconds since 1970-01-01 UTC.
    """

    engine: str
    run: bytes
    node: str
    image_name: str
    image_hash: bytes
    append: str
    config: MachineConfig
    began_s: int


@dataclass(frozen=True)
class Stand:
    """Where a recording is: what its machine has executed, logged and put out."""

    count: InstructionCount
    position: LogPosition
    output: StreamOffset


@dataclass(frozen=True)
class CheckpointFrame:
    """A whole machine, in the bytes of `ftvm.machine.snapshot`, and when it was taken.

    ``log_bases``: what the next log entry's differences refer to.
    """

    stand: Stand
    host_ns: Nanoseconds
    log_bases: tuple[int, int]
    snapshot: bytes


@dataclass(frozen=True)
class LogFrame:
    """The next entries of the log.

    ``mark``: with them and those before, everything that had an effect on the
    machine up to this count is here; entries may go further. ``output`` is what
    the machine had put out at the mark, ``host_ns`` when that was.
    """

    mark: InstructionCount
    host_ns: Nanoseconds
    output: StreamOffset
    entries: bytes


@dataclass(frozen=True)
class DiskFrame:
    """Sectors of a drive's image, as the machine read them; each is in a recording once.

    ``content`` is that of one after the other.
    """

    drive: int
    sectors: tuple[Sector, ...]
    content: bytes


@dataclass(frozen=True)
class CheckpointPlace:
    """An entry of the index: a checkpoint, and where its frame begins in the file."""

    count: Natural
    position: Natural
    offset: Natural


@dataclass(frozen=True)
class RunEnd:
    """How a recording ended, and what it has.

    ``how`` is exit, off, halt, reset, triple fault, stopped, diverged, or what else made the
    replica end. ``exit_status`` is the guest's. ``digest`` is of the state at
    `count`; ``output_hash`` is BLAKE2b, 16 bytes, of all output recorded.
    ``planted`` are the faults that were put into the machine on purpose.
    """

    how: str
    exit_status: int
    count: Natural
    digest: Digest
    output: Natural
    output_hash: Digest
    position: Natural
    host_ns: Natural
    checkpoints: tuple[CheckpointPlace, ...]
    planted: tuple[Flip, ...]


class What:
    """Kinds of moments of a pair, as the primary saw them."""

    MARKED = 1
    """A mark was sent: count and log position of it."""
    ACKNOWLEDGED = 2
    """The backup has this mark."""
    EXECUTED = 3
    """The backup had executed so much; the position is 0."""
    RELEASED = 4
    """Output up to the offset `position` was let out; it was made at the count."""
    JOINED = 5
    """A backup joined."""
    LOST = 6
    """The backup is lost."""
    LIVE = 7
    """This replica went live."""


@dataclass(frozen=True)
class Moment:
    """Something that happened between the replicas; ``what`` is one of `What`."""

    what: int
    host_ns: Nanoseconds
    count: InstructionCount
    position: int


def encode_header(header: RunHeader) -> bytes:
    """Return the body of a HEAD frame."""
    return encode_plain(header)


def decode_header(body: bytes, name: str) -> RunHeader:
    """Read the body of a HEAD frame; `name` of the file is for the error's text."""
    return _decode_plain(body, RunHeader, f"{name}: header")


def encode_checkpoint(checkpoint: CheckpointFrame) -> bytes:
    """Return the body of a CHKP frame."""
    stand = checkpoint.stand
    numbers = (stand.count, stand.position, stand.output, checkpoint.host_ns)
    return _CHECKPOINT.pack(*numbers, *checkpoint.log_bases) + checkpoint.snapshot


def decode_checkpoint(frame: Frame, name: str) -> CheckpointFrame:
    """Read a CHKP frame."""
    count, position, output, host_ns, *bases = _unpack(_CHECKPOINT, frame, name)
    stand = Stand(InstructionCount(count), LogPosition(position), StreamOffset(output))
    return CheckpointFrame(
        stand, Nanoseconds(host_ns), (bases[0], bases[1]), frame.body[_CHECKPOINT.size :]
    )


def encode_log(log: LogFrame) -> bytes:
    """Return the body of a LOG frame."""
    return _LOG.pack(log.mark, log.host_ns, log.output) + log.entries


def decode_log(frame: Frame, name: str) -> LogFrame:
    """Read a LOG frame."""
    mark, host_ns, output = _unpack(_LOG, frame, name)
    return LogFrame(
        InstructionCount(mark),
        Nanoseconds(host_ns),
        StreamOffset(output),
        frame.body[_LOG.size :],
    )


def encode_disk(disk: DiskFrame) -> bytes:
    """Return the body of a DISK frame."""
    count = len(disk.sectors)
    return _DISK.pack(disk.drive, count) + struct.pack(f"<{count}Q", *disk.sectors) + disk.content


def decode_disk(frame: Frame, name: str) -> DiskFrame:
    """Read a DISK frame."""
    drive, count = _unpack(_DISK, frame, name)
    begin = _DISK.size + 8 * count
    if len(frame.body) != begin + count * SECTOR_BYTES:
        raise LogError(f"{name}: the frame at byte {frame.offset} has {len(frame.body)} bytes")
    return DiskFrame(
        drive, struct.unpack_from(f"<{count}Q", frame.body, _DISK.size), frame.body[begin:]
    )


def encode_flip(flip: Flip) -> bytes:
    """Return the body of a FLIP frame."""
    return _FLIP.pack(flip.count, flip.address, flip.bit)


def decode_flip(frame: Frame, name: str) -> Flip:
    """Read a FLIP frame."""
    count, address, bit = _unpack(_FLIP, frame, name)
    if count == 0 or bit > 7:
        raise LogError(f"{name}: the frame at byte {frame.offset} flips bit {bit} at {count}")
    return Flip(count, address, bit)


def encode_moments(moments: list[Moment]) -> bytes:
    """Return the body of a PAIR frame."""
    return b"".join(_MOMENT.pack(m.what, m.host_ns, m.count, m.position) for m in moments)


def decode_moments(frame: Frame, name: str) -> list[Moment]:
    """Read a PAIR frame."""
    if len(frame.body) % _MOMENT.size:
        raise LogError(f"{name}: the frame at byte {frame.offset} has {len(frame.body)} bytes")
    return [
        Moment(what, Nanoseconds(host_ns), InstructionCount(count), position)
        for what, host_ns, count, position in _MOMENT.iter_unpack(frame.body)
    ]


def encode_end(end: RunEnd, offset: int) -> bytes:
    """Return the body of an END frame that begins at `offset`; it ends with that offset."""
    return encode_plain(end) + _END_TAIL.pack(offset, END_MAGIC)


def decode_end(frame: Frame, name: str) -> RunEnd:
    """Read an END frame."""
    what = f"{name}: the frame at byte {frame.offset}"
    return _decode_plain(frame.body[:-END_TAIL_BYTES], RunEnd, what)


def find_end(tail: bytes) -> int | None:
    """Return where the END frame begins, by a file's last bytes; None if they do not say."""
    if len(tail) != END_TAIL_BYTES:
        return None
    offset, magic = _END_TAIL.unpack(tail)
    return offset if magic == END_MAGIC else None


def _decode_plain(body: bytes, kind: type[T], what: str) -> T:
    try:
        return decode_plain(body, kind, what)
    except StateError as error:
        raise LogError(str(error)) from None


def _unpack(form: struct.Struct, frame: Frame, name: str) -> tuple[int, ...]:
    if len(frame.body) < form.size:
        raise LogError(f"{name}: the frame at byte {frame.offset} has {len(frame.body)} bytes")
    numbers: tuple[int, ...] = form.unpack_from(frame.body)
    return numbers
