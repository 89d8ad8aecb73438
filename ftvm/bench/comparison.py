"""A session beside an older one: what became worse by more than chance."""

from collections.abc import Iterable
from dataclasses import dataclass

from ftvm.bench.measurement import Measurement
from ftvm.bench.session import Document
from ftvm.bench.speed import SECTION as SPEED

WORSE_MIN = 0.10
SPREADS = 3.0
YARDSTICKS = ("QEMU", "stock")

RULE = f"""\
A figure regressed if it is worse than before by more than {WORSE_MIN:.0%} and by more
than {SPREADS:g} spreads (1.4826 times the median absolute deviation; both sessions'
added as squares). Speeds are taken relative to {YARDSTICKS[0]}'s of the same row and
session, or {YARDSTICKS[1]}'s, which another load or machine slows as much."""


@dataclass(frozen=True)
class Change:
    """A figure then and now; ``ratio`` is above 1 if it is better now."""

    name: str
    ratio: float
    noise: float

    @property
    def regressed(self) -> bool:
        """Whether it is worse beyond its noise."""
        return 1 / self.ratio - 1 > max(WORSE_MIN, self.noise)

    @property
    def improved(self) -> bool:
        """Whether it is better beyond its noise."""
        return self.ratio - 1 > max(WORSE_MIN, self.noise)


def compare(old: Document, new: Document, clock: str) -> list[Change]:
    """Return how each figure changed that both sessions have, in the new one's order."""
    before = {_key(m): m for m in old.measurements}
    changes = []
    for measurement in new.measurements:
        then = before.get(_key(measurement))
        if then is None or not then.median(clock) or not measurement.median(clock):
            continue
        if measurement.section == SPEED and measurement.column in YARDSTICKS:
            continue
        ratio = measurement.median(clock) / then.median(clock)
        if measurement.better == "less":
            ratio = 1 / ratio
        spreads = [measurement.spread(clock), then.spread(clock)]
        if measurement.section == SPEED:
            yardstick, scale = _yardstick(measurement, old.measurements, new.measurements, clock)
            ratio /= scale
            spreads += yardstick
        noise = SPREADS * sum(spread**2 for spread in spreads) ** 0.5
        changes.append(Change(" / ".join(_key(measurement)), ratio, noise))
    return changes


def _key(measurement: Measurement) -> tuple[str, str, str]:
    return measurement.section, measurement.row, measurement.column


def _yardstick(
    measurement: Measurement,
    old: Iterable[Measurement],
    new: Iterable[Measurement],
    clock: str,
) -> tuple[list[float], float]:
    """The spreads of the row's yardstick, and how much faster it is now."""
    for name in YARDSTICKS:
        key = (measurement.section, measurement.row, name)
        pair = [next((m for m in side if _key(m) == key), None) for side in (old, new)]
        then, now = pair
        if then is not None and now is not None:
            spreads = [then.spread(clock), now.spread(clock)]
            return spreads, now.median(clock) / then.median(clock)
    return [], 1.0
