"""What was measured: samples of one figure, their median and spread."""

import statistics
from collections.abc import Iterable

import msgspec

_MAD_TO_SIGMA = 1.4826
"""A median absolute deviation of normally distributed samples is so much less than sigma."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a table.

    ``section``, ``row`` and ``column`` say where it stands, ``better`` is "more"
    or "less". ``samples`` are by the clock on the wall; ``cpu_samples`` are the
    same runs by the CPU time of all processes, where that says anything.
    ``details`` are other numbers of the runs.
    """

    section: str
    row: str
    column: str
    unit: str
    better: str
    samples: list[float]
    cpu_samples: list[float] = []
    details: dict[str, float] = {}

    def taken(self, clock: str) -> list[float]:
        """The samples by a clock, "wall" or "cpu"; those by the wall if it has no others."""
        return self.cpu_samples if clock == "cpu" and self.cpu_samples else self.samples

    def median(self, clock: str = "wall") -> float:
        """The middle sample."""
        return statistics.median(self.taken(clock))

    def spread(self, clock: str = "wall") -> float:
        """Standard deviation as a part of the median, estimated by the MAD."""
        return relative_spread(self.taken(clock))


def relative_spread(samples: list[float]) -> float:
    """Return 1.4826 times the median absolute deviation, as a part of the median."""
    middle = statistics.median(samples)
    if not middle:
        return 0.0
    deviation = statistics.median(abs(sample - middle) for sample in samples)
    return _MAD_TO_SIGMA * deviation / abs(middle)


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Geometric mean of those that are there."""
    known = [value for value in values if value]
    return statistics.geometric_mean(known) if known else None


def percentile(samples: list[float], part: float) -> float:
    """Return the smallest sample that at least the `part` of all are not above."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
