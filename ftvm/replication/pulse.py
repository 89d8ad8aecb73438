"""Heartbeats of one connection: when to send one, and when silence means loss.

Each side has a patience of its own, and tells it with its heartbeats; the other
beats so often that it is not lost, even if it is more patient itself.
"""

from ftvm.replication.messages import Heartbeat
from ftvm.replication.settings import Settings
from ftvm.units import InstructionCount, Nanoseconds

INTERVAL_MIN_NS = Nanoseconds(1_000_000)
"""No peer is so impatient that it is told more often that we live."""

NOWHERE = InstructionCount(0)
"""Where a sender stands whose place is of no interest."""


class Pulse:
    """Counts from the caller's clock, which only has to be steady, not equal to anybody's."""

    def __init__(self, settings: Settings, now: Nanoseconds) -> None:
        """Begin to listen at `now`; the first beat is due at once."""
        self._interval_ns = settings.heartbeat_interval_ns
        self._beats = settings.heartbeats_missed_max
        self._silence_max_ns = settings.silence_max_ns
        self._beat_at = now
        self._heard_at = now

    def heard(self, now: Nanoseconds) -> None:
        """Note that the peer sent something."""
        self._heard_at = max(self._heard_at, now)

    def felt(self, beat: Heartbeat) -> None:
        """Note how often the peer has to be told that we live."""
        if beat.patience_ns:
            wanted = max(beat.patience_ns // self._beats, INTERVAL_MIN_NS)
            spared = max(self._interval_ns - wanted, 0)
            self._interval_ns = Nanoseconds(self._interval_ns - spared)
            self._beat_at = Nanoseconds(self._beat_at - spared)

    def beat_due(self, now: Nanoseconds) -> bool:
        """Whether to send a heartbeat now; if so, the next one is due an interval later."""
        if now < self._beat_at:
            return False
        self._beat_at = Nanoseconds(now + self._interval_ns)
        return True

    def beat(self, count: InstructionCount = NOWHERE) -> Heartbeat:
        """Return what to send then, from a machine at `count`."""
        return Heartbeat(count, self._silence_max_ns)

    def silent(self, now: Nanoseconds) -> bool:
        """Whether the peer has been silent for too long."""
        return now - self._heard_at >= self._silence_max_ns

    def deadline(self) -> Nanoseconds:
        """When something is due next."""
        return min(self._beat_at, Nanoseconds(self._heard_at + self._silence_max_ns))
