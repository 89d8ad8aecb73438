"""How far the backup is known to be: marks sent, acknowledged, executed."""

from collections import deque

import msgspec

from ftvm.errors import ProtocolError
from ftvm.replication.messages import Ack, Mark
from ftvm.replication.settings import Settings
from ftvm.units import InstructionCount, LogPosition, Nanoseconds


class Lag(msgspec.Struct, frozen=True):
    """How far a backup is behind its primary."""

    count: InstructionCount
    ns: Nanoseconds
    """How long ago the primary was where the backup is."""
    catch_up_ns: Nanoseconds
    """How long the backup will take to be where the primary is, by its pace of late. That tells
    of a slow backup at once; the time above only when it has come to where we were fast."""


NO_LAG = Lag(InstructionCount(0), Nanoseconds(0), Nanoseconds(0))
FORESIGHT = 8
"""The time a backup will need is foreseen up to so many times what we needed: its pace of late
says little where a guest's next instructions take far less time than the last, on both sides."""
LAG_STEPS = 64
"""The lag in time is known to this part of its bound."""
IDLE_INTERVALS = 2
"""So many times as long as others, a guest that does next to nothing is without a mark."""
LOG_STEPS = 8
"""A mark goes out with this part of the log that may be unacknowledged."""


class Lockstep:
    """The primary's knowledge of its backup; stays as the last known when the backup is lost."""

    def __init__(
        self,
        settings: Settings,
        count: InstructionCount,
        position: LogPosition,
        now: Nanoseconds,
    ) -> None:
        """Begin with both at the same place."""
        self.marked = Mark(count, position)
        self.acknowledged = self.marked
        self.executed = count
        self.awaited = False
        """Whether an output waits for the next mark to be acknowledged."""
        self._settings = settings
        self._marked_at = now
        self._log_bytes_max = settings.log_unacknowledged_bytes_max // LOG_STEPS
        self._lag_step_ns = settings.lag_ns_max // LAG_STEPS
        self._sent: deque[Mark] = deque()
        self._ahead: deque[tuple[InstructionCount, Nanoseconds]] = deque()
        """Counts that the backup has not executed, and when we stood before them."""
        self._progress_at = now
        self._pace = 0.0
        """Instructions per ns that the backup executes when it has some; 0 if not known."""
        self._timed_from: tuple[InstructionCount, Nanoseconds, InstructionCount] | None = None

    @property
    def behind(self) -> bool:
        """Whether the backup still has something to acknowledge or to execute."""
        return self.acknowledged != self.marked or self.executed < self.marked.count

    @property
    def full(self) -> bool:
        """Whether no further mark may be sent before one is acknowledged."""
        return len(self._sent) >= self._settings.marks_unacknowledged_max

    def mark_due(self, mark: Mark, now: Nanoseconds) -> bool:
        """Whether to send `mark`, where the machine stands, now."""
        due_at = self.mark_due_at(mark)
        return due_at is not None and now >= due_at

    def mark_due_at(self, mark: Mark) -> Nanoseconds | None:
        """When to send `mark`, where the machine stands; None while there is no need.

        At once if somebody waits for it; else after some time, instructions or
        log, because each costs either side more than what it tells. A guest that
        all but sleeps has time.
        """
        if mark == self.marked or self.full:
            return None
        if (
            self.awaited
            or mark.count - self.marked.count >= self._settings.mark_count_max
            or mark.position - self.marked.position >= self._log_bytes_max
        ):
            return self._marked_at
        is_near = mark.count - self.marked.count <= self._settings.near_count
        interval_ns = self._settings.mark_interval_ns * (IDLE_INTERVALS if is_near else 1)
        return Nanoseconds(self._marked_at + interval_ns)

    def unacknowledged(self, position: LogPosition) -> int:
        """Bytes of a log that ends at `position` that the backup has not acknowledged."""
        return position - self.acknowledged.position

    def lag(self, count: InstructionCount, now: Nanoseconds) -> Lag:
        """How far the backup is behind a primary that stands at `count`."""
        if not self._ahead:
            return Lag(InstructionCount(count - self.executed), Nanoseconds(0), Nanoseconds(0))
        left, ns = InstructionCount(count - self.executed), max(now - self._ahead[0][1], 0)
        catch_up = max(now - self._progress_at, 0) + (left / self._pace if self._pace else 0)
        return Lag(left, Nanoseconds(ns), Nanoseconds(min(int(catch_up), FORESIGHT * ns)))

    def mark(self, mark: Mark, now: Nanoseconds) -> None:
        """Note that `mark` was sent."""
        if not self.behind:
            self._progress_at = now
        self.marked, self._marked_at, self.awaited = mark, now, False
        self._sent.append(mark)

    def reached(self, count: InstructionCount, now: Nanoseconds) -> None:
        """Note that our own machine has come to `count`."""
        if count <= (self._ahead[-1][0] if self._ahead else self.executed):
            return
        if self._ahead and now - self._ahead[-1][1] < self._lag_step_ns:
            now = self._ahead.pop()[1]
        self._ahead.append((count, now))

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
            self._sent.popleft()
        if not self.executed <= ack.executed <= ack.count:
            raise ProtocolError(f"backup executed to {ack.executed}, having marks to {ack.count}")
        self.acknowledged, self.executed = mark, ack.executed
        while self._ahead and self._ahead[0][0] <= ack.executed:
            self._ahead.popleft()
        if moved:
            self._progress_at = now
            self._time(now)

    def _time(self, now: Nanoseconds) -> None:
        """Take the backup's time, over what it had to execute when that time began.

        What was marked later it may have had to wait for, and that is not its pace.
        """
        if self.executed >= self.marked.count:
            self._timed_from = None
            return
        restart = self.executed, now, self.marked.count
        executed, since, had = self._timed_from or restart
        if self.executed > had:
            self._timed_from = restart
        elif now - since >= max(self._lag_step_ns, 1):
            pace = (self.executed - executed) / (now - since)
            self._pace = (self._pace + pace) / 2 if self._pace else pace
            self._timed_from = restart
        else:
            self._timed_from = executed, since, had

    def asked_at(self) -> Nanoseconds | None:
        """Since when a backup that has something to do has not moved; None if it has nothing."""
        return self._progress_at if self.behind else None
