"""A network of virtual connections: bytes in order, late, in pieces, cut off, or stuck."""

import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from ftvm.replication.events import Link
from ftvm.units import Nanoseconds

MILLISECOND = 1_000_000


class Clock:
    """Virtual time and what is to happen in it."""

    def __init__(self) -> None:
        self.now = Nanoseconds(0)
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._number = 0

    def after(self, delay_ns: float, action: Callable[[], object]) -> None:
        """Let something happen `delay_ns` from now."""
        self._number += 1
        heapq.heappush(self._agenda, (self.now + int(delay_ns), self._number, action))

    def step(self, until: int) -> bool:
        """Do the next thing due before `until`; return whether there was one."""
        if not self._agenda or self._agenda[0][0] > until:
            return False
        at, _, action = heapq.heappop(self._agenda)
        self.now = Nanoseconds(at)
        action()
        return True


class Host(Protocol):
    """Whoever has connections."""

    name: str

    def on_bytes(self, link: Link, data: bytes) -> None:
        """Take what arrived."""

    def on_closed(self, link: Link) -> None:
        """Note that a connection is gone."""


class Pipe:
    """One direction of a connection."""

    def __init__(self, network: "Network", source: str, target: Host, link: Link) -> None:
        self.network, self.source, self.target, self.link = network, source, target, link
        self.flying: deque[tuple[int, bytes | None]] = deque()
        """Arrival times and bytes; None is the end."""
        self.arrival = 0
        self.ended = False
        network.pipes.append(self)

    def put(self, data: bytes | None) -> None:
        """Send bytes, or the end of the connection."""
        if self.ended:
            return
        self.ended = data is None
        network = self.network
        pace = network.pace(self.source, self.target.name)
        begun = max(self.arrival, network.clock.now + network.delay())
        self.arrival = begun + int(pace * len(data or b""))
        self.flying.append((self.arrival, data))
        network.clock.after(self.arrival - network.clock.now, self.arrive)

    def lose(self, kept: int) -> None:
        """Lose all but the first `kept` of what is on its way."""
        while len(self.flying) > kept:
            self.flying.pop()

    def arrive(self) -> None:
        """Hand over what is due, unless it is held up on the way."""
        network = self.network
        while self.flying and self.flying[0][0] <= network.clock.now:
            if (self.source, self.target.name) in network.blocked:
                return
            _, data = self.flying.popleft()
            if data is None:
                self.target.on_closed(self.link)
                return
            if network.random.random() < 0.2 and len(data) > 1:
                cut = network.random.randrange(1, len(data))
                self.target.on_bytes(self.link, data[:cut])
                data = data[cut:]
            self.target.on_bytes(self.link, data)


class Connection:
    """Two pipes between two hosts, under one link number."""

    def __init__(self, network: "Network", one: Host, other: Host, link: Link) -> None:
        self.hosts = {one.name, other.name}
        self.pipes = {
            one.name: Pipe(network, one.name, other, link),
            other.name: Pipe(network, other.name, one, link),
        }

    def cut(self, random: Random, *, silently_for: str | None = None) -> None:
        """Break: of what is on its way a part may still arrive, then the end is seen."""
        for source, pipe in self.pipes.items():
            pipe.lose(random.randint(0, len(pipe.flying)))
            if source == silently_for:
                pipe.ended = True  # power loss: nobody is told
            else:
                pipe.put(None)


class Network:
    """All connections, and who cannot reach whom."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock, self.random = clock, random
        self.blocked: set[tuple[str, str]] = set()
        self.slowness = 1.0
        self.slow_links: dict[frozenset[str], float] = {}
        """How many ns a byte takes between two hosts, where that is much."""
        self.connections: dict[Link, Connection] = {}
        self.pipes: list[Pipe] = []
        self._links = 0

    def pace(self, source: str, target: str) -> float:
        """Return how many ns a byte takes."""
        return self.slow_links.get(frozenset((source, target)), 0.0)

    def delay(self) -> int:
        """Draw how long the next bytes are on their way."""
        base = self.random.expovariate(1 / (0.4 * MILLISECOND)) + 0.05 * MILLISECOND
        return int(min(base, 4 * MILLISECOND) * self.slowness)

    def connect(self, one: Host, other: Host) -> Link:
        """Connect two hosts, at once."""
        self._links += 1
        link = Link(self._links)
        self.connections[link] = Connection(self, one, other, link)
        return link

    def send(self, source: str, link: Link, data: bytes) -> None:
        """Send bytes; of a connection that is gone they are lost."""
        if (connection := self.connections.get(link)) is not None:
            connection.pipes[source].put(data)

    def close(self, source: str, link: Link) -> None:
        """Close by one side, in good order: what it sent still arrives."""
        if (connection := self.connections.pop(link, None)) is None:
            return
        for name, pipe in connection.pipes.items():
            if name == source:
                pipe.put(None)
            else:
                pipe.lose(0)
                pipe.ended = True

    def crash(self, name: str, *, silently: bool) -> None:
        """Break the connections of a host that dies, with or without a word."""
        for link, connection in list(self.connections.items()):
            if name in connection.hosts:
                connection.cut(self.random, silently_for=name if silently else None)
                if not silently:
                    del self.connections[link]

    def leave(self, name: str) -> None:
        """Close all connections of a host in good order."""
        for link, connection in list(self.connections.items()):
            if name in connection.hosts:
                self.close(name, link)

    def flying(self) -> bool:
        """Whether anything is on its way that can arrive."""
        return any(
            pipe.flying and (pipe.source, pipe.target.name) not in self.blocked
            for pipe in self.pipes
        )

    def cut(self, hosts: set[str]) -> None:
        """Break all connections between two hosts."""
        for link, connection in list(self.connections.items()):
            if connection.hosts == hosts:
                connection.cut(self.random)
                del self.connections[link]

    def heal(self) -> None:
        """End all partitions: what was held up arrives."""
        self.blocked.clear()
        for pipe in list(self.pipes):
            pipe.arrive()
