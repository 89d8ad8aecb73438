"""What can go wrong, when, and for how long."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .network import MILLISECOND

if TYPE_CHECKING:
    from .world import World

NODES = ("alpha", "beta")
HOSTS = (*NODES, "console")


@dataclass(frozen=True)
class Fault:
    """Something that happens at `start_ns` and is over by `end_ns`."""

    start_ns: float
    span_ns: float

    @property
    def end_ns(self) -> float:
        return self.start_ns + self.span_ns

    def strike(self, world: "World") -> None:
        raise AssertionError("each kind of fault has its own")


@dataclass(frozen=True)
class Crash(Fault):
    node: int
    silently: bool

    def strike(self, world: "World") -> None:
        world.nodes[self.node].crash(silently=self.silently)


@dataclass(frozen=True)
class CrashAtStep(Fault):
    """A crash between two steps of the protocol, wherever in time they fall."""

    node: int
    silently: bool
    event: int

    def strike(self, world: "World") -> None:
        node = world.nodes[self.node]
        node.crash_at_event = node.events_done + self.event
        node.crash_silently = self.silently


@dataclass(frozen=True)
class Pause(Fault):
    node: int

    def strike(self, world: "World") -> None:
        if world.nodes[self.node].running:
            world.nodes[self.node].pause(int(self.span_ns))


@dataclass(frozen=True)
class Stuck(Fault):
    """The machine does not move, though its node lives."""

    node: int

    def strike(self, world: "World") -> None:
        node = world.nodes[self.node]
        node.stuck = True
        world.clock.after(self.span_ns, lambda: setattr(node, "stuck", False))


@dataclass(frozen=True)
class Partition(Fault):
    """Nothing passes from one host to another, or between them."""

    pairs: frozenset[tuple[str, str]]

    def strike(self, world: "World") -> None:
        world.network.blocked |= self.pairs
        world.clock.after(self.span_ns, world.network.heal)


@dataclass(frozen=True)
class Cut(Fault):
    """All connections between two hosts break."""

    hosts: frozenset[str]

    def strike(self, world: "World") -> None:
        for link, connection in list(world.network.connections.items()):
            if connection.hosts == self.hosts:
                connection.cut(world.random)
                del world.network.connections[link]


@dataclass(frozen=True)
class SlowNetwork(Fault):
    factor: float

    def strike(self, world: "World") -> None:
        world.network.slowness = self.factor
        world.clock.after(self.span_ns, lambda: setattr(world.network, "slowness", 1.0))


@dataclass(frozen=True)
class StoreAway(Fault):
    hosts: frozenset[str]

    def strike(self, world: "World") -> None:
        world.store.cut_off |= self.hosts
        world.clock.after(self.span_ns, world.store.cut_off.clear)


@dataclass(frozen=True)
class StoreAnswersLost(Fault):
    answers: int

    def strike(self, world: "World") -> None:
        world.store.answers_lost = self.answers


@dataclass(frozen=True)
class Stranger(Fault):
    """Somebody sends garbage to a port of a node."""

    node: int
    garbage: bytes
    console: bool

    def strike(self, world: "World") -> None:
        world.strange_bytes(world.nodes[self.node], self.garbage, self.console)


@dataclass(frozen=True)
class Corruption(Fault):
    """A bit of the backup's guest flips."""

    def strike(self, world: "World") -> None:
        world.corrupted = True
        world.backup.guest.number ^= 64


def plan(random: Random) -> Iterator[Fault]:
    """Choose what goes wrong in one run: often one thing, sometimes several close together."""
    if random.random() < 0.04:
        yield Corruption(random.uniform(10, 60) * MILLISECOND, 0)
        return
    around = random.uniform(8, 90)
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        start = max(around + random.uniform(-5, 40), 0) * MILLISECOND
        span = random.choice((3, 10, 30, 120)) * random.uniform(0.5, 1.5) * MILLISECOND
        yield _fault(random, start, span)


def _fault(random: Random, start: float, span: float) -> Fault:
    node = random.choice((0, 0, 1))
    match random.randrange(13):
        case 0 | 1:
            return Crash(start, 0, node, random.random() < 0.3)
        case 2 | 3 | 4:
            return CrashAtStep(start, 0, node, random.random() < 0.3, random.randint(1, 40))
        case 5:
            return Pause(start, span, node)
        case 6:
            return Stuck(start, span, node)
        case 7 | 8:
            one, other = random.sample(HOSTS, 2)
            pairs = {(one, other)} | ({(other, one)} if random.random() < 0.6 else set())
            return Partition(start, span, frozenset(pairs))
        case 9:
            return Cut(start, 0, frozenset(random.sample(HOSTS, 2)))
        case 10:
            return SlowNetwork(start, span, random.choice((3.0, 10.0)))
        case 11:
            hosts = random.choice((NODES, NODES[:1], NODES[1:]))
            if random.random() < 0.3:
                return StoreAnswersLost(start, 0, random.randint(1, 2))
            return StoreAway(start, span, frozenset(hosts))
        case _:
            garbage = random.choice((b"GET / HTTP/1.1\r\n", b"\0\0\0\2\7\1", random.randbytes(12)))
            return Stranger(start, 0, node, garbage, random.random() < 0.5)
