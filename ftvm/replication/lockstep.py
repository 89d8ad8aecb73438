"""How far the backup is known to be: marks sent, acknowledged, executed."""

from collections import deque

from ftvm.errors import ProtocolError
from ftvm.replication.messages import Ack, Mark
from ftvm.units import InstructionCount, LogPosition, Nanoseconds


class Lockstep:
    """The primary's knowledge of its backup; stays as the last known when the backup is lost."""

    def __init__(self, count: InstructionCount, position: LogPosition, now: Nanoseconds) -> None:
        """Begin with both at the same place."""
        self.marked = Mark(count, position)
        self.acknowledged = self.marked
        self.executed = count
        self._sent: deque[Mark] = deque()
        self._progress_at = now

    @property
    def behind(self) -> bool:
        """Whether the backup still has something to acknowledge or to execute."""
        return self.acknowledged != self.marked or self.executed < self.marked.count

    def mark(self, mark: Mark, now: Nanoseconds) -> None:
        """Note that `mark` was sent."""
        if not self.behind:
            self._progress_at = now
        self.marked = mark
        self._sent.append(mark)

    def acknowledge(self, ack: Ack, now: Nanoseconds) -> None:
        """Take the backup's word for where it is; ProtocolError if that cannot be true."""
        mark = Mark(ack.count, ack.position)
        moved = mark != self.acknowledged or ack.executed > self.executed
        if mark != self.acknowledged:
            # One acknowledgement may stand for several marks, but never for none.
            while self._sent and self._sent[0] != mark:
                self._sent.popleft()
            if not self._sent:
                raise ProtocolError(f"mark at {ack.count} acknowledged, which was not sent")
        if not self.executed <= ack.executed <= ack.count:
            raise ProtocolError(f"backup executed to {ack.executed}, having marks to {ack.count}")
        self.acknowledged, self.executed = mark, ack.executed
        if moved:
            self._progress_at = now

    def stalls_at(self, patience_ns: Nanoseconds) -> Nanoseconds | None:
        """When a backup that does not move counts as lost; None while nothing is asked of it."""
        return Nanoseconds(self._progress_at + patience_ns) if self.behind else None
