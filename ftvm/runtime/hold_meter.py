"""How long output is held: from its being made until the output rule lets it out."""

from bisect import bisect_left
from collections import deque

from ftvm.units import Nanoseconds, StreamOffset

BOUNDS_NS = tuple(
    Nanoseconds(microseconds * 1000)
    for microseconds in (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
                         250_000, 1_000_000)
)  # fmt: skip
"""Upper bounds of the histogram's buckets; the last bucket has none."""

NEWEST = 4096
"""So many outputs are known one by one."""


class HoldMeter:
    """A histogram of one node's life, for output that it made as primary."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.sum_ns = 0
        self._newest: deque[int] = deque(maxlen=NEWEST)
        self._held: deque[tuple[StreamOffset, Nanoseconds]] = deque()
        self._made = StreamOffset(0)

    def made(self, end: StreamOffset, now: Nanoseconds) -> None:
        """Note that output up to `end` is made; no matter if that was said before."""
        if end > self._made:
            self._made = end
            self._held.append((end, now))

    def released(self, end: StreamOffset, now: Nanoseconds) -> None:
        """Note that output up to `end` may leave."""
        while self._held and self._held[0][0] <= end:
            held_ns = now - self._held.popleft()[1]
            self.counts[bisect_left(BOUNDS_NS, held_ns)] += 1
            self.sum_ns += held_ns
            self._newest.append(held_ns)

    def percentiles(self, *parts: float) -> tuple[int, ...]:
        """How long at most these parts (0 to 1) of the newest outputs were held, in ns."""
        ordered = sorted(self._newest)
        return tuple(ordered[int(part * (len(ordered) - 1))] for part in parts if ordered)
