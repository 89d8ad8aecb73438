"""Heartbeats of one connection: when to send one, and when silence means loss."""

from ftvm.replication.settings import Settings
from ftvm.units import Nanoseconds


class Pulse:
    """Counts from the caller's clock, which only has to be steady, not equal to anybody's."""

    def __init__(self, settings: Settings, now: Nanoseconds) -> None:
        """Begin to listen at `now`; the first beat is due at once."""
        self._interval_ns = settings.heartbeat_interval_ns
        self._silence_max_ns = settings.silence_max_ns
        self._beat_at = now
        self._heard_at = now

    def heard(self, now: Nanoseconds) -> None:
        """Note that the peer sent something."""
        self._heard_at = max(self._heard_at, now)

    def beat_due(self, now: Nanoseconds) -> bool:
        """Whether to send a heartbeat now; if so, the next one is due an interval later."""
        if now < self._beat_at:
            return False
        self._beat_at = Nanoseconds(now + self._interval_ns)
        return True

    def silent(self, now: Nanoseconds) -> bool:
        """Whether the peer has been silent for too long."""
        return now - self._heard_at >= self._silence_max_ns

    def deadline(self) -> Nanoseconds:
        """When something is due next."""
        return min(self._beat_at, Nanoseconds(self._heard_at + self._silence_max_ns))
