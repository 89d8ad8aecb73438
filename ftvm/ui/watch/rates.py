"""How fast a replica runs and logs, by what it says of itself again and again."""

from collections import deque

from ftvm.runtime.status import HostStatus
from ftvm.units import Nanoseconds

_SPEED_NS = 1_000_000_000
_DENSITY_NS = 10_000_000_000
"""Log comes in bursts: over a second its density says little."""


class Rates:
    """Of one replica."""

    def __init__(self) -> None:
        self._seen: deque[tuple[Nanoseconds, int, int]] = deque()

    def take(self, status: HostStatus, at: Nanoseconds) -> None:
        """Take a status that was heard at `at`."""
        self._seen.append((at, status.instructions, status.log_bytes))
        while self._seen[0][0] < at - _DENSITY_NS:
            self._seen.popleft()

    @property
    def instructions_per_s(self) -> float:
        """Over the last second, about."""
        if not self._seen:
            return 0.0
        at, count, _ = self._seen[-1]
        then, before, _ = next(s for s in self._seen if s[0] >= at - _SPEED_NS)
        return max(count - before, 0) * 1e9 / (at - then) if at > then else 0.0

    @property
    def log_bytes_per_1000(self) -> float | None:
        """Bytes of log for each 1,000 instructions of late; None without any."""
        if not self._seen:
            return None
        (_, before, log_before), (_, count, log) = self._seen[0], self._seen[-1]
        if count <= before:
            before = log_before = 0
        return (log - log_before) * 1000 / (count - before) if count > before else None
