"""What happened among hosts, found out from what they say of themselves one after the other."""

from collections.abc import Iterator

from ftvm.runtime.names import address_in
from ftvm.ui.watch.model import Weight
from ftvm.ui.watch.sighting import Sighting

_WHY = {
    "lostConnection": "its backup is out of reach",
    "divergence": "its backup differed",
    "userAction": "its backup was made to leave",
    "initializing": "no backup has joined yet",
}


def events_between(before: Sighting | None, now: Sighting) -> Iterator[tuple[Weight, str]]:
    """Yield what is new of one host, as weight and text."""
    name = now.name
    if not now.alive:
        if before is not None and before.alive:
            yield "event", f"{name} is out of reach: {now.end}"
        return
    status = now.status
    if status is None:
        return
    old = before.status if before is not None and before.alive else None
    if before is not None and not before.alive:
        yield "info", f"{name} answers again, as {now.role}"
    if old is None or old.node != status.node or old.role != status.role:
        yield from _roles(now, was=old.role if old and old.node == status.node else "")
    if status.role != "primary":
        return
    if old is not None and (old.role, old.protection) == (status.role, status.protection):
        return
    if status.protection == "running":
        yield "event", f"protected: {name} has its backup {address_in(status.peer)}"
    elif status.protection == "starting" and status.peer:
        yield "info", f"{address_in(status.peer)} is being made the backup"
    elif status.protection == "needSecondary":
        why = _WHY.get(status.reason, status.reason)
        weight: Weight = "error" if status.reason == "divergence" else "event"
        detail = f" ({status.detail})" if status.detail else ""
        yield weight, f"{name} is alone from instruction {status.instructions:,}: {why}{detail}"


def _roles(now: Sighting, *, was: str) -> Iterator[tuple[Weight, str]]:
    status = now.status
    assert status is not None
    if was == "backup" and status.role == "primary":
        count = f"generation {status.generation}, instruction {status.instructions:,}"
        yield "event", f"failover: {now.name} is the primary, {count}"
    elif status.role == "standby":
        yield "info", f"{now.name} stands by"
    else:
        yield "info", f"{now.name} is the {status.role}, generation {status.generation}"
