"""The log entries of a recorded run, one by one, without a machine."""

from collections.abc import Iterator

from ftvm.errors import LogError
from ftvm.log.frames import Kind as FrameKind
from ftvm.log.run_format import CheckpointPlace, LogFrame, decode_log
from ftvm.log.run_reader import RunReader
from ftvm.machine.cpu import Entry
from ftvm.machine.log_entries import decode_entries
from ftvm.units import LogPosition, Nanoseconds, StreamOffset


class RunEntries:
    """Iterates over the entries behind the checkpoint `place`, or all, as far as the file is good.

    Its attributes say where the iteration is.
    """

    def __init__(self, reader: RunReader, place: CheckpointPlace | None = None) -> None:
        self._reader = reader
        checkpoint, self._behind = reader.checkpoint(place or reader.checkpoints[0])
        self._bases = checkpoint.log_bases
        self.position: LogPosition = checkpoint.stand.position
        """Bytes of log before the entry behind this one."""
        self.output: StreamOffset = checkpoint.stand.output
        """Console output at the last mark."""
        self.began_ns = checkpoint.host_ns
        """Host time at the checkpoint."""
        self.host_ns = checkpoint.host_ns
        """Host time at the last mark."""

    @property
    def guest_ns(self) -> Nanoseconds:
        """Guest time as the last entry left it."""
        return Nanoseconds(self._bases[1])

    def __iter__(self) -> Iterator[Entry]:
        for frame in self._reader.frames(self._behind):
            if frame.kind is not FrameKind.LOG:
                continue
            log = decode_log(frame, self._reader.name)
            try:
                yield from self._entries_of(log)
            except ValueError as error:
                what = f"{self._reader.name}: in the frame at byte {frame.offset}, {error}"
                raise LogError(what) from None
            self.output, self.host_ns = log.output, log.host_ns

    def _entries_of(self, log: LogFrame) -> Iterator[Entry]:
        first, end = self.position, 0
        for entry, end, bases in decode_entries(log.entries, self._bases):
            self.position, self._bases = LogPosition(first + end), bases
            yield entry
        if end != len(log.entries):
            raise ValueError(f"byte {end} begins an entry that is cut off")
