"""A file of checksummed frames: written from start to end, read from anywhere.

    offset  bytes
    0       8      magic, "ftvm-run": not some other file
    8       4      version of the format, little-endian
    12      4      CRC-32 of the twelve bytes before
    16             frames, one behind the other

    offset  bytes  of a frame
    0       4      kind, four letters
    4       4      length of the body
    8       4      CRC-32 of the body
    12      4      CRC-32 of the twelve bytes before and of the frame's offset in
                   the file (eight bytes): a frame counts only where it was written
    16             body

A writer that dies leaves a file that ends within a frame, or behind one that is
not the last. That is *torn*: what is before is good. Anything else that does not
fit is *damage*: bytes have changed since they were written.
"""

import enum
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ftvm.errors import LogError

MAGIC = b"ftvm-run"
VERSION = 2
_START = struct.Struct("<8sII")
_HEAD = struct.Struct("<4sIII")
_OFFSET = struct.Struct("<Q")
_PIECE_BYTES = 1 << 20

START_BYTES = _START.size
HEAD_BYTES = _HEAD.size


class Kind(enum.Enum):
    """What a frame holds; `run_format` has the bodies."""

    HEADER = b"HEAD"
    CHECKPOINT = b"CHKP"
    LOG = b"LOG "
    FLIP = b"FLIP"
    PAIR = b"PAIR"
    DISK = b"DISK"
    END = b"END "


@dataclass(frozen=True)
class Frame:
    """A frame whose checksums are right. ``offset`` is where it begins."""

    kind: Kind
    body: bytes
    offset: int

    @property
    def behind(self) -> int:
        """Where the next one begins."""
        return self.offset + HEAD_BYTES + len(self.body)


@dataclass(frozen=True)
class Flaw:
    """Where a file stops being good, and why. ``torn``: its writer did not come further."""

    offset: int
    torn: bool
    what: str


def encode_start() -> bytes:
    """Return what stands in front of the first frame."""
    start = MAGIC + VERSION.to_bytes(4, "little")
    return start + zlib.crc32(start).to_bytes(4, "little")


def encode_frame(kind: Kind, body: bytes, offset: int) -> bytes:
    """Return a frame for the place `offset` in the file."""
    front = _HEAD.pack(kind.value, len(body), zlib.crc32(body), 0)[:12]
    check = zlib.crc32(front + _OFFSET.pack(offset))
    return front + check.to_bytes(4, "little") + body


def check_start(file: BinaryIO, name: str) -> None:
    """Raise LogError if `file` is not of this format and version; `name` is for the text."""
    start = read_at(file, 0, START_BYTES)
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise LogError(f"{name}: not a recorded run; `ftvm record` makes one")
    if len(start) < START_BYTES:
        raise LogError(f"{name}: torn at byte {len(start)}: nothing of the run was written yet")
    _, version, check = _START.unpack(start)
    if zlib.crc32(start[:12]) != check:
        raise LogError(f"{name}: damaged at byte {len(MAGIC)}: its first bytes have changed")
    if version != VERSION:
        raise LogError(
            f"{name}: written in version {version} of the format, and this ftvm reads version "
            f"{VERSION}; use the ftvm that recorded it"
        )


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Read up to `length` bytes; LogError if the host cannot."""
    try:
        file.seek(offset)
        return file.read(length)
    except OSError as error:
        raise LogError(f"cannot read the recording at byte {offset}: {error.strerror}") from None


class FrameReader:
    """Reads frames of a seekable file whose start was checked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def read(self, offset: int) -> Frame | Flaw:
        """Return the frame at `offset`, or why there is none."""
        head = read_at(self._file, offset, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            what = "the recording breaks off" if not head else "a frame is cut off"
            return Flaw(offset, True, what)
        kind, length, body_check, check = _HEAD.unpack(head)
        if zlib.crc32(head[:12] + _OFFSET.pack(offset)) != check:
            # What a crash of the host may leave of a file that had grown.
            if self._zeros_from(offset):
                return Flaw(offset, True, "only zeros follow")
            return Flaw(offset, False, "the head of a frame has changed")
        if length > self.size - offset - HEAD_BYTES:
            return Flaw(offset, True, "a frame is cut off")
        body = read_at(self._file, offset + HEAD_BYTES, length)
        if zlib.crc32(body) != body_check:
            return Flaw(offset, False, "the content of a frame has changed")
        try:
            return Frame(Kind(kind), body, offset)
        except ValueError:
            return Flaw(offset, False, f"a frame of kind {kind!r}")

    def frames(self, offset: int) -> Iterator[Frame | Flaw]:
        """Yield the frames from `offset` on, up to the END frame or a flaw, both included."""
        while True:
            found = self.read(offset)
            yield found
            if isinstance(found, Flaw):
                return
            offset = found.behind
            if found.kind is Kind.END:
                if offset < self.size:
                    yield Flaw(offset, False, "there is something behind the end")
                return

    def _zeros_from(self, offset: int) -> bool:
        while piece := read_at(self._file, offset, _PIECE_BYTES):
            if piece.count(0) != len(piece):
                return False
            offset += len(piece)
        return True
