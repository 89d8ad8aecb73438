"""The metrics of a supervised run: asked of all replicas when somebody asks for them."""

import socket

from ftvm.runtime.clock import now_ns
from ftvm.runtime.exposition import expose
from ftvm.runtime.scrapes import Scrapes
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

PATIENCE_NS = Nanoseconds(200_000_000)
"""How long a replica may take to say how it is; one that is paused is left out."""


class RunMetrics:
    """Call `tend` after each poll of the supervisor, and poll it again within `patience`."""

    def __init__(self, supervisor: Supervisor, listener: socket.socket) -> None:
        self._supervisor = supervisor
        self._scrapes = Scrapes(supervisor.transport, listener, self._ask)
        self._until = Nanoseconds(0)

    def _ask(self) -> None:
        self._until = Nanoseconds(now_ns() + PATIENCE_NS)
        for replica in self._supervisor.replicas:
            if replica.alive:
                replica.measure()

    def tend(self) -> None:
        """Answer who waits, once all replicas have, or have been waited for."""
        if not self._scrapes.waiting:
            return
        living = [replica for replica in self._supervisor.replicas if replica.alive]
        asked = [replica for replica in living if replica.asked]
        if asked and now_ns() < self._until:
            return
        told = [r.measured for r in living if r.measured is not None and not r.asked]
        self._scrapes.answer(expose(told, len(self._supervisor.report().failovers)))

    def patience(self, otherwise: Nanoseconds) -> Nanoseconds:
        """How long the next poll may wait."""
        if not self._scrapes.waiting:
            return otherwise
        return Nanoseconds(max(0, min(otherwise, self._until - now_ns())))
