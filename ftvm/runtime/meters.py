"""How far and how fast a machine has come lately, for whoever asks."""

from collections import deque
from dataclasses import dataclass

from ftvm.units import InstructionCount, LogPosition, Nanoseconds

_SAMPLE_INTERVAL_NS = Nanoseconds(2_000_000)
_WINDOW_NS = Nanoseconds(4_000_000_000)
"""What is remembered: longer than any lag that the bounds allow on a machine that moves."""
_RATE_NS = Nanoseconds(1_000_000_000)


@dataclass(frozen=True, slots=True)
class _Sample:
    at: Nanoseconds
    count: InstructionCount
    position: LogPosition


class Meters:
    """Where the log's writer stood, and when we knew."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def note(self, count: InstructionCount, position: LogPosition, now: Nanoseconds) -> None:
        """Note where the writer stands now."""
        newest = self._samples[-1] if self._samples else None
        if newest is not None and (newest.count, newest.position) == (count, position):
            return
        if newest is not None and now - newest.at < _SAMPLE_INTERVAL_NS:
            return
        self._samples.append(_Sample(now, count, position))
        while self._samples[0].at < now - _WINDOW_NS:
            self._samples.popleft()

    def lag_ns(self, executed: InstructionCount, now: Nanoseconds) -> Nanoseconds:
        """How long ago the writer passed `executed`, at most some seconds; 0 if it has not."""
        passed = next((s.at for s in self._samples if s.count > executed), now)
        return Nanoseconds(now - passed)

    def log_bytes_per_s(self, position: LogPosition, now: Nanoseconds) -> int:
        """Bytes of log a second, over about the last one."""
        recent = [sample for sample in self._samples if sample.at >= now - _RATE_NS]
        if not recent:
            return 0
        return (position - recent[0].position) * 1_000_000_000 // _RATE_NS
