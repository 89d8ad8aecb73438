"""A pair that is not there, for the screen to be shown: what two replicas would say."""

from dataclasses import dataclass, field, replace

from ftvm.runtime.status import Check, HostStatus, Protection
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.sighting import Sighting
from ftvm.units import Nanoseconds

SECOND = 1_000_000_000
TENTH = SECOND // 10


def status(name: str, role: str, **more: object) -> HostStatus:
    """What a replica says that is well."""
    start = HostStatus(
        node=name,
        role="primary" if role == "primary" else "backup",
        state="paired" if role == "primary" else "following",
        protection="running",
        reason="",
        detail="",
        run="00" * 16,
        generation=1,
        instructions=1_234_567_890,
        lag_instructions=4_321,
        lag_ns=2_100_000,
        log_bytes=54_321,
        log_bytes_per_s=1_100,
        buffer_bytes=40 << 10,
        buffer_bytes_max=1 << 20,
        held_bytes=12 if role == "primary" else 0,
    )
    changes = {key: value for key, value in more.items() if key in HostStatus.__struct_fields__}
    fields = {name: getattr(start, name) for name in HostStatus.__struct_fields__}
    return HostStatus(**{**fields, **changes})


def sighting(name: str, role: str, at: int = 0, **more: object) -> Sighting:
    """A replica that is well, but for what is given."""
    own = {key: value for key, value in more.items() if key in Sighting.__dataclass_fields__}
    start = Sighting(
        name=name,
        role="primary" if role == "primary" else "backup",
        process=f"pid {4000 + ord(name[0])}",
        status=status(name, role, **more),
        at=Nanoseconds(at),
    )
    return replace(start, **own)  # type: ignore[arg-type]  # by name, in a test


@dataclass
class Pair:
    """A model and what it is shown: `step` lets a tenth of a second pass."""

    model: PairModel = field(
        default_factory=lambda: PairModel("counter.elf  64 MiB", Nanoseconds(0), owned=True)
    )
    now: int = 0
    number: int = 0
    differs: bool = False

    def step(self, *sightings: Sighting, times: int = 1) -> None:
        """See these again and again, each with a new check."""
        for _ in range(times):
            self.now += TENTH
            self.number += 1
            seen = []
            for each in sightings:
                if each.status is not None and each.alive:
                    check = self._check(each)
                    fields = {n: getattr(each.status, n) for n in HostStatus.__struct_fields__}
                    fields["instructions"] += self.number * 20_000_000
                    each = replace(
                        each,
                        at=Nanoseconds(self.now),
                        status=HostStatus(**{**fields, "checks": (check,)}),
                    )
                seen.append(each)
            self.model.see(seen, Nanoseconds(self.now))

    def _check(self, each: Sighting) -> Check:
        primary = each.role == "primary"
        digest = f"{self.number * 0x9E3779B97F4A7C15 % 2**128:032x}"
        if self.differs and not primary:
            digest = digest[::-1]
        age = 5_100_000 if primary else 3_000_000
        return Check(self.number, self.number * 20_000_000, digest, age)


def well(**more: object) -> tuple[Sighting, Sighting]:
    """A pair in lockstep."""
    return sighting("a", "primary", **more), sighting("b", "backup", **more)


def alone(name: str, generation: int) -> Sighting:
    """A primary without a backup."""
    protection: Protection = "needSecondary"
    return sighting(name, "primary", protection=protection, state="solo", generation=generation)


def dead(name: str, role: str) -> Sighting:
    """One that was killed."""
    return sighting(name, role, alive=False, end="killed by SIGKILL")
