"""The log as it comes to a backup, and how far marks cover it."""

from ftvm.errors import ProtocolError
from ftvm.replication.messages import Entries, Mark
from ftvm.units import InstructionCount, LogPosition


class IncomingLog:
    """Keeps log that no mark covers: it may be followed by an entry that is still on its way."""

    def __init__(self, unmarked_bytes_max: int) -> None:
        """Begin where a run begins; at most so many bytes are kept."""
        self._unmarked_bytes_max = unmarked_bytes_max
        self._unmarked = bytearray()
        self.mark = Mark(InstructionCount(0), LogPosition(0))
        """The newest mark."""

    @property
    def unmarked_bytes(self) -> int:
        """How much log has come that no mark covers."""
        return len(self._unmarked)

    def begin(self, count: InstructionCount, position: LogPosition) -> None:
        """Go on from where a machine stands that was handed over."""
        self.mark = Mark(count, position)

    def take(self, entries: Entries) -> None:
        """Take the next log; ProtocolError if it is not the next, or too much without a mark."""
        end = self.mark.position + len(self._unmarked)
        if entries.position != end:
            raise ProtocolError(f"log from position {entries.position} where {end} is next")
        self._unmarked += entries.data
        if len(self._unmarked) > self._unmarked_bytes_max:
            raise ProtocolError(f"{len(self._unmarked)} bytes of log without a mark")

    def cover(self, mark: Mark) -> bytes:
        """Take a mark; return the log that it covers. ProtocolError if it cannot be true."""
        fresh = mark.position - self.mark.position
        if mark.count < self.mark.count or not 0 <= fresh <= len(self._unmarked):
            raise ProtocolError(
                f"mark at {mark.count} with log to {mark.position} after {self.mark.count}"
                f" with {self.mark.position}, {len(self._unmarked)} bytes received since"
            )
        covered = bytes(self._unmarked[:fresh])
        del self._unmarked[:fresh]
        self.mark = Mark(mark.count, mark.position)
        return covered
