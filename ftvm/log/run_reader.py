"""Reads a recorded run, whole or torn: header, checkpoints, log, end."""

from collections.abc import Iterator
from typing import BinaryIO

from ftvm.errors import LogError
from ftvm.log.frames import START_BYTES, Flaw, Frame, FrameReader, Kind, check_start, read_at
from ftvm.log.recorded_images import RecordedImages
from ftvm.log.run_format import (
    END_TAIL_BYTES,
    CheckpointFrame,
    CheckpointPlace,
    Flip,
    RunEnd,
    RunHeader,
    decode_checkpoint,
    decode_end,
    decode_flip,
    decode_header,
    decode_log,
    find_end,
)
from ftvm.units import InstructionCount


class RunReader:
    """A recorded run in a seekable file, which must stay open.

    Raises LogError if it is none, is of another version of the format, or ends
    before its first checkpoint. `name` is what its messages call it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        check_start(file, name)
        self._frames = FrameReader(file)
        first = self._expect(Kind.HEADER, START_BYTES)
        self.header: RunHeader = decode_header(first.body, name)
        start = self._expect(Kind.CHECKPOINT, first.behind)
        begin = decode_checkpoint(start, name).stand
        self.begin_count: InstructionCount = begin.count
        self.images = RecordedImages(self.frames, name)
        """What was read of the machine's disk images."""
        self.flaw: Flaw | None = None
        """Where the run stops being good; None if it has an end."""
        self.end: RunEnd | None = self._find_end(file)
        """How the run ended; None if it is torn or damaged before its end."""
        if self.end is not None:
            self.checkpoints = self.end.checkpoints
            self.planted: tuple[Flip, ...] = self.end.planted
            self.end_count = InstructionCount(self.end.count)
        else:
            self._look_through(start)

    def frames(self, offset: int = START_BYTES) -> Iterator[Frame]:
        """Yield frames from `offset` on, as far as they are good; then `flaw` is known."""
        for found in self._frames.frames(offset):
            if isinstance(found, Flaw):
                self.flaw = found
            else:
                yield found

    def checkpoint(self, place: CheckpointPlace) -> tuple[CheckpointFrame, int]:
        """Return a checkpoint of the index, and the offset of the frame behind it."""
        frame = self._expect(Kind.CHECKPOINT, place.offset)
        return decode_checkpoint(frame, self.name), frame.behind

    def place_before(self, count: InstructionCount) -> CheckpointPlace:
        """Return the last checkpoint at or before `count`, which is not before the first."""
        return next(place for place in reversed(self.checkpoints) if place.count <= count)

    def describe_flaw(self) -> str:
        """Return what is wrong with the file, in a few words."""
        assert self.flaw is not None
        how = "torn" if self.flaw.torn else "damaged"
        return f"{how} at byte {self.flaw.offset}: {self.flaw.what}"

    def _expect(self, kind: Kind, offset: int) -> Frame:
        found = self._frames.read(offset)
        if isinstance(found, Flaw):
            how = "torn" if found.torn else "damaged"
            raise LogError(f"{self.name}: {how} at byte {offset}: {found.what}")
        if found.kind is not kind:
            raise LogError(f"{self.name}: damaged at byte {offset}: no {kind.name} frame is here")
        return found

    def _find_end(self, file: BinaryIO) -> RunEnd | None:
        tail = max(0, self._frames.size - END_TAIL_BYTES)
        offset = find_end(read_at(file, tail, END_TAIL_BYTES))
        if offset is None or offset >= self._frames.size:
            return None
        found = self._frames.read(offset)
        if isinstance(found, Flaw) or found.kind is not Kind.END:
            return None
        end = decode_end(found, self.name)
        if not end.checkpoints:
            raise LogError(f"{self.name}: damaged at byte {offset}: the index is empty")
        return end

    def _look_through(self, start: Frame) -> None:
        """Find out without the index what there is."""
        places, planted = [], []
        self.end_count = self.begin_count
        for frame in self.frames(start.offset):
            if frame.kind is Kind.CHECKPOINT:
                stand = decode_checkpoint(frame, self.name).stand
                places.append(CheckpointPlace(stand.count, stand.position, frame.offset))
            elif frame.kind is Kind.LOG:
                self.end_count = decode_log(frame, self.name).mark
            elif frame.kind is Kind.FLIP:
                planted.append(decode_flip(frame, self.name))
        self.checkpoints, self.planted = tuple(places), tuple(planted)
