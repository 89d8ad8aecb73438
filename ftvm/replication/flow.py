"""How fast a guest may go so that its backup can follow, and what that costs.

VMware FT (Scales et al. 2010, section 2.4) gives a primary whose backup falls
behind a smaller share of the CPU, little by little, instead of stopping it and
letting it go. Here the share falls from all, at a quarter of the lag bound, to
nothing at the bound. The lag itself closes the loop: it grows as long as the
primary is faster than its backup, and comes to rest where both are equally fast.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from ftvm.replication.lockstep import Lag
from ftvm.replication.settings import Settings
from ftvm.units import Nanoseconds

EASE = 0.25
"""Part of the lag bound up to which a guest runs at its full speed."""


class Wait(StrEnum):
    """Why a guest must not run now."""

    NOT_STARTED = "not started"
    LOG_FULL = "log full"
    LAG = "lag"
    OUTPUT_FULL = "output full"
    LOG_EMPTY = "log empty"
    """Of a backup: it stands at the newest mark."""
    OVER = "over"


STALLS = (Wait.LOG_FULL, Wait.LAG, Wait.OUTPUT_FULL, Wait.LOG_EMPTY)
"""What a guest waits for that could run."""


@dataclass
class Stall:
    """How often a guest had to wait for one thing, and for how long in all."""

    times: int = 0
    ns: int = 0


@dataclass
class FlowTotals:
    """What the pace of the other replica has cost so far."""

    lag_count_max: int = 0
    lag_ns_max: int = 0
    ran_ns: int = 0
    slowed_ns: int = 0
    """How long a primary's guest rested so that its backup could follow."""
    stalls: dict[Wait, Stall] = field(default_factory=lambda: {why: Stall() for why in STALLS})

    @property
    def slowed(self) -> float:
        """Part of its time that the guest rested, 0 to 1."""
        both = self.ran_ns + self.slowed_ns
        return self.slowed_ns / both if both else 0.0


class Flow:
    """Paces one guest, and keeps account of its waiting."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waits_for: Wait | None = None
        self.now = Nanoseconds(0)
        """The last time that was handed in."""
        self.totals = FlowTotals()

    def waits(self, why: Wait | None, now: Nanoseconds) -> None:
        """Note what the guest waits for now, if it does."""
        now = max(now, self.now)
        if self._waits_for in STALLS:
            self.totals.stalls[self._waits_for].ns += now - self.now
        if why in STALLS and why is not self._waits_for:
            self.totals.stalls[why].times += 1
        self._waits_for, self.now = why, now

    def behind(self, lag: Lag) -> float:
        """Return what part of its bound a lag is: at 1 the guest must not run."""
        bounds = self._settings.lag_count_max, self._settings.lag_ns_max
        return max(lag.count / bounds[0], lag.ns / bounds[1])

    def bound_reached(self, unacknowledged_bytes: int, lag: Lag) -> Wait | None:
        """Return which bound on what its backup may lack a guest has come to, if any."""
        if unacknowledged_bytes >= self._settings.log_unacknowledged_bytes_max:
            return Wait.LOG_FULL
        return Wait.LAG if self.behind(lag) >= 1 else None

    def share(self, lag: Lag) -> float:
        """Return the share of its time that a guest may run, 0 to 1."""
        behind = max(self.behind(lag), lag.catch_up_ns / self._settings.lag_ns_max)
        return min(max((1 - behind) / (1 - EASE), 0.0), 1.0)

    def rest(self, ran_ns: int, lag: Lag) -> Nanoseconds:
        """Note that the guest ran for `ran_ns`; return how long it must rest now."""
        totals, share = self.totals, self.share(lag)
        # Not longer than it takes to see whether the backup has caught up.
        longest = self._settings.lag_ns_max * EASE
        rest_ns = int(min(ran_ns * (1 / share - 1), longest) if share else longest)
        totals.lag_count_max = max(totals.lag_count_max, lag.count)
        totals.lag_ns_max = max(totals.lag_ns_max, lag.ns)
        totals.ran_ns += ran_ns
        totals.slowed_ns += rest_ns
        return Nanoseconds(rest_ns)
