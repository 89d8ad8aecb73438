"""Asks hosts how they are, again and again, and gives it to the model."""

from collections.abc import Sequence

from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.inquirer import Inquirer
from ftvm.runtime.security import Security
from ftvm.runtime.transport import Transport
from ftvm.ui.watch.host_events import events_between
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.sighting import Sighting
from ftvm.units import Nanoseconds

ASK_NS = Nanoseconds(200_000_000)
SILENCE_NS = Nanoseconds(2_000_000_000)
"""A host that has been asked, and says nothing for so long, is out of reach."""


class HostsLookout:
    """Call `poll` in a loop; `transport` is for whatever else is to be waited for."""

    def __init__(self, addresses: Sequence[Address], security: Security, model: PairModel) -> None:
        self.transport = Transport(security)
        self._inquirer = Inquirer(self.transport, addresses)
        self._model = model
        self._asked_ns = self._began_ns = now_ns()
        self._seen: dict[Address, Sighting] = {}
        self.answered_ns = self._began_ns
        """When there was last an answer."""

    @property
    def troubles(self) -> list[str]:
        """What is in the way of those who do not answer."""
        return list(self._inquirer.troubles.values())

    def poll(self, timeout: Nanoseconds) -> None:
        """Do what there is to do, waiting at most `timeout` for something."""
        inquirer, now = self._inquirer, now_ns()
        if now - self._asked_ns >= ASK_NS and (
            inquirer.settled or now - self._asked_ns > SILENCE_NS
        ):
            self._asked_ns = now
            inquirer.forget()
        inquirer.tend(now)
        for happening in self.transport.poll(timeout):
            inquirer.take(happening)
        self._take(now_ns())

    def end(self) -> None:
        """Close all connections."""
        self._inquirer.end()
        self.transport.part()

    def _take(self, now: Nanoseconds) -> None:
        changed = False
        for address in self._inquirer.addresses:
            sighting = self._sight(address, now)
            before = self._seen.get(address)
            if sighting is None or sighting == before:
                continue
            for weight, text in events_between(before, sighting):
                self._model.tell(weight, text, now)
            self._seen[address] = sighting
            changed = True
        if not self._inquirer.settled and now - self._began_ns < SILENCE_NS:
            return  # who comes first shall not be who stands first
        if changed or now - self._model.now >= ASK_NS:
            self._model.see(list(self._seen.values()), now)
            self._name_guest()

    def _sight(self, address: Address, now: Nanoseconds) -> Sighting | None:
        """Return what is known of a host now; None if that is nothing yet."""
        before = self._seen.get(address)
        status = self._inquirer.answers.get(address)
        name = str(address)
        if status is not None:
            if before is not None and before.alive and before.status is status:
                return before
            self.answered_ns = now
            return Sighting(name=name, role=status.role, status=status, at=now)
        trouble = self._inquirer.troubles.get(address, "").removeprefix(f"{name}: ")
        heard = before.at if before is not None else self._began_ns
        if not trouble:
            if now - heard < SILENCE_NS:
                return before
            trouble = "no answer"
        role = before.role if before is not None else "standby"
        old = before.status if before is not None else None
        return Sighting(name=name, role=role, alive=False, end=trouble, status=old, at=heard)

    def _name_guest(self) -> None:
        """Take the guest's name from whom knows it."""
        for sighting in self._seen.values():
            if sighting.status is not None and sighting.status.image:
                size = f"{sighting.status.memory_bytes / (1 << 20):g} MiB"
                self._model.title = f"{sighting.status.image}  {size}"
