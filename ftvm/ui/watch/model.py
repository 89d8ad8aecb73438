"""What is known of a pair and told on its screen. No clock, no terminal: who has them hands it in.

A place is one side of the screen. It belongs to a replica until that is gone and
another one comes, so that a failover does not make the sides change.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ftvm.runtime.status import Role
from ftvm.ui.watch.chain import Chain, Link
from ftvm.ui.watch.rates import Rates
from ftvm.ui.watch.sighting import Sighting
from ftvm.ui.watch.timeline import PairState, Timeline
from ftvm.units import Nanoseconds

EVENTS_MAX = 1000
_MOVES_NS = 1_500_000_000
"""A primary that has not answered for so long is called silent."""

_ROLES: tuple[Role, ...] = ("primary", "backup", "standby")

Weight = Literal["info", "event", "error"]


@dataclass(frozen=True)
class Event:
    """Something that happened, so long after the start."""

    after_ns: Nanoseconds
    weight: Weight
    text: str


@dataclass
class Place:
    """One side of the screen and the replica that it belongs to."""

    sighting: Sighting
    rates: Rates


class PairModel:
    """Of one guest. `owned`: its processes are ours, and their death is seen at once."""

    def __init__(self, title: str, began: Nanoseconds, *, owned: bool) -> None:
        self.title = title
        self.owned = owned
        self.now = began
        self.chain = Chain()
        self.events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self.told = 0
        """Events so far, those too that are forgotten."""
        self.places: list[Place | None] = [None, None]
        self.timeline = Timeline(began)
        self.end = ""
        """How the guest ended."""
        self.ends = False
        """Whether the guest has ended, and the replicas are about to."""
        self.is_lost = False
        """Whether nobody is left to run it."""
        self.standbys = 0
        self._began = began
        self._heard: dict[str, Nanoseconds] = {}
        self._state_before: PairState = "starting"
        self._primary_before = ""
        self._differing_before: list[Link] = []

    # --- what comes in ---

    def see(self, sightings: Sequence[Sighting], now: Nanoseconds) -> None:
        """Take how all are now; those that were seen before by the same names."""
        self.now = now
        self.standbys = sum(s.alive and s.role == "standby" for s in sightings)
        self._settle(sightings)
        for sighting in sightings:
            status = sighting.status
            if status is not None and sighting.at > self._heard.get(sighting.name, 0):
                self._heard[sighting.name] = sighting.at
                self.chain.take(status.node, status.checks, sighting.at)
                for place in self.places:
                    if place is not None and place.sighting.name == sighting.name:
                        place.rates.take(status, sighting.at)
        state = self.state
        self.timeline.note(state, self._lag_ns() if state == "protected" else None, now)
        self._mark(state, now)

    def _lag_ns(self) -> int:
        statuses = [s.status for s in (self.primary, self.backup) if s and s.status]
        return max((status.lag_ns or 0 for status in statuses), default=0)

    def _mark(self, state: PairState, now: Nanoseconds) -> None:
        """Mark on the timeline what is new since the last time."""
        name = self.primary.name if self.primary else self._primary_before
        if (newest := self.chain.differing[-1:]) != self._differing_before:
            self._differing_before = newest
            self.timeline.mark("divergence", state, now)
        if self._primary_before and name != self._primary_before:
            self.timeline.mark("failover", state, now)
        elif state in ("alone", "protecting") and self._state_before in ("protected", "deciding"):
            self.timeline.mark("loss", state, now)
        elif state == "protected" and self._state_before in ("alone", "protecting"):
            self.timeline.mark("protected", state, now)
        self._state_before, self._primary_before = state, name

    def tell(self, weight: Weight, text: str, now: Nanoseconds) -> None:
        """Take an event."""
        self.now = max(self.now, now)
        self.told += 1
        self.events.append(Event(self.after(now), weight, text))

    def ended(self, how: str, now: Nanoseconds) -> None:
        """Take the end of the guest."""
        self.tell("info", f"the guest has ended: {how}", now)
        self.end = f"The guest has ended: {how}."

    def after(self, at: Nanoseconds) -> Nanoseconds:
        """Return how long after the start a moment is."""
        return Nanoseconds(at - self._began)

    def _settle(self, sightings: Sequence[Sighting]) -> None:
        by_name = {sighting.name: sighting for sighting in sightings}
        for place in self.places:
            if place is not None and place.sighting.name in by_name:
                place.sighting = by_name.pop(place.sighting.name)
        for sighting in sorted(by_name.values(), key=lambda s: _ROLES.index(s.role)):
            if sighting.alive:
                self._seat(sighting)

    def _seat(self, sighting: Sighting) -> None:
        """Give a place to who has none, if there is one that nobody needs more."""
        at = min(range(len(self.places)), key=lambda at: _need(self.places[at], self.primary))
        need = _need(self.places[at], self.primary)
        if need < (1 if sighting.role == "standby" else 3):
            self.places[at] = Place(sighting, Rates())

    # --- what is told ---

    @property
    def primary(self) -> Sighting | None:
        """The living primary, the newest if an old one lives on."""
        return self._living("primary")

    @property
    def backup(self) -> Sighting | None:
        """The living backup."""
        return self._living("backup")

    def _living(self, role: str) -> Sighting | None:
        seen = [place.sighting for place in self.places if place]
        living = [s for s in seen if s.alive and s.role == role and not s.is_over]
        return max(living, key=lambda s: (s.generation, not s.paused), default=None)

    def place_of(self, role: str) -> Place | None:
        """The place of the living primary or backup."""
        sighting = self._living(role)
        return next((p for p in self.places if p and p.sighting is sighting), None)

    @property
    def paused(self) -> list[Sighting]:
        """Those who are paused."""
        return [p.sighting for p in self.places if p and p.sighting.alive and p.sighting.paused]

    @property
    def is_silent(self) -> bool:
        """Whether the primary has said nothing of late."""
        primary = self.primary
        return bool(primary and primary.status and self.now - primary.at > _MOVES_NS)

    @property
    def state(self) -> PairState:
        """How the pair is."""
        if self.is_lost or self.end or self.ends:
            return "lost" if self.is_lost else "ended"
        primary, backup = self.primary, self.backup
        if primary is None:
            if backup is not None:
                return "deciding" if self.timeline.newest(1) and backup.generation else "starting"
            seen = [p.sighting for p in self.places if p and p.sighting.role != "standby"]
            if not self.owned and not any(p.sighting.alive for p in self.places if p):
                return "unknown" if any(self.places) else "starting"
            return "deciding" if seen else "starting"
        if primary.status is None:
            return "starting"
        if primary.status.role == "backup":
            return "deciding"  # it has gone live, and has not said how it is since
        if primary.paused:
            return "deciding" if backup is not None else "alone"
        match primary.status.protection:
            case "running":
                return "protected" if backup is not None or not self.owned else "deciding"
            case "needSecondary" | "notConfigured":
                arbitrates = primary.status.state == "arbitrating"
                return "deciding" if arbitrates else "protecting" if backup is not None else "alone"
            case "disabled":
                return "ended"
        return "starting" if primary.status.state in ("claiming", "awaiting") else "protecting"

    @property
    def generation(self) -> int:
        """How often the right to run was won."""
        return max((p.sighting.generation for p in self.places if p), default=0)


def _need(place: Place | None, primary: Sighting | None) -> int:
    """How much a place is needed by who has it."""
    if place is None:
        return -1
    sighting = place.sighting
    if not sighting.alive:
        return 0
    if sighting.role == "standby":
        return 1
    return 2 if sighting.role == "primary" and sighting is not primary else 3
