"""What can go wrong, when, and for how long."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from ftvm.replication.backup import BackupProtocol

from .network import MILLISECOND

if TYPE_CHECKING:
    from .world import World

Place = int | str
"""A node by its number in order of its start, or by what it is now; or the console."""

PRIMARY, BACKUP, CONSOLE = "primary", "backup", "console"
NODES: tuple[Place, ...] = (0, 1)
PAIR: tuple[Place, ...] = (PRIMARY, BACKUP)
"""Whoever runs the guest, and the newest of those who do not."""
PRIMARY_STEPS = (
    *(("", 60), ("send-state", 12), ("send-handover", 1), ("send-commit", 1), ("peer-joined", 1)),
    *(("send-mark", 5), ("send-output", 20)),
)
BACKUP_STEPS = (
    *(("", 60), ("feed-state", 12), ("state-given", 1), ("send-complete", 1), ("peer-joined", 1)),
    *(("feed-log", 5), ("send-ack", 5)),
)
"""Steps of a transfer and what surrounds it, and how often each is done in one at most."""


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
    node: Place
    silently: bool

    def strike(self, world: "World") -> None:
        world.node_at(self.node).crash(silently=self.silently)


@dataclass(frozen=True)
class CrashAtStep(Fault):
    """A crash between two steps of the protocol, wherever in time they fall."""

    node: Place
    silently: bool
    event: int

    def strike(self, world: "World") -> None:
        node = world.node_at(self.node)
        node.strike_at("", self.event, lambda: node.crash(silently=self.silently))


@dataclass(frozen=True)
class Pause(Fault):
    node: Place

    def strike(self, world: "World") -> None:
        if world.node_at(self.node).running:
            world.node_at(self.node).pause(int(self.span_ns))


@dataclass(frozen=True)
class Stuck(Fault):
    """The machine does not move, though its node lives."""

    node: Place

    def strike(self, world: "World") -> None:
        node = world.node_at(self.node)
        node.stuck = True
        world.clock.after(self.span_ns, lambda: setattr(node, "stuck", False))


@dataclass(frozen=True)
class Partition(Fault):
    """Nothing passes from one host to another, or between them."""

    pairs: frozenset[tuple[Place, Place]]

    def strike(self, world: "World") -> None:
        world.network.blocked |= {
            (world.host_name(one), world.host_name(other)) for one, other in self.pairs
        }
        world.clock.after(self.span_ns, world.network.heal)


@dataclass(frozen=True)
class Cut(Fault):
    """All connections between two hosts break."""

    hosts: frozenset[Place]

    def strike(self, world: "World") -> None:
        names = set(map(world.host_name, self.hosts))
        for link, connection in list(world.network.connections.items()):
            if connection.hosts == names:
                connection.cut(world.random)
                del world.network.connections[link]


@dataclass(frozen=True)
class SlowNetwork(Fault):
    factor: float

    def strike(self, world: "World") -> None:
        world.network.slowness = self.factor
        world.clock.after(self.span_ns, lambda: setattr(world.network, "slowness", 1.0))


@dataclass(frozen=True)
class InTransfer(Fault):
    """A fault right before a step of the next transfer, the new backup's or its primary's.

    ``step`` is a name of STEPS, or empty for any; the fault comes when it is to be done
    the `number`-th time.
    """

    of_primary: bool
    step: str
    number: int
    fault: Fault

    @property
    def end_ns(self) -> float:
        return self.start_ns + self.fault.end_ns

    def strike(self, world: "World") -> None:
        world.in_transfer.append(self)


@dataclass(frozen=True)
class StoreAway(Fault):
    hosts: frozenset[Place]

    def strike(self, world: "World") -> None:
        world.store.cut_off |= set(map(world.host_name, self.hosts))
        world.clock.after(self.span_ns, world.store.cut_off.clear)


@dataclass(frozen=True)
class StoreAnswersLost(Fault):
    answers: int

    def strike(self, world: "World") -> None:
        world.store.answers_lost = self.answers


@dataclass(frozen=True)
class Stranger(Fault):
    """Somebody sends garbage to a port of a node."""

    node: Place
    garbage: bytes
    console: bool

    def strike(self, world: "World") -> None:
        world.strange_bytes(world.node_at(self.node), self.garbage, self.console)


@dataclass(frozen=True)
class Corruption(Fault):
    """A bit of the newest backup's guest flips."""

    def strike(self, world: "World") -> None:
        world.corrupted = True
        backups = [node for node in world.nodes if isinstance(node.protocol, BackupProtocol)]
        if backups:
            backups[-1].guest.number ^= 64


def campaign(random: Random) -> Iterator[Fault]:
    """Choose what goes wrong again and again, while the survivor protects itself."""
    at = random.uniform(15, 60)
    for _ in range(random.randint(2, 5)):
        start = (at + random.uniform(0, 25)) * MILLISECOND
        if random.random() < 0.5:
            yield Crash(start, 0, random.choice((PRIMARY, PRIMARY, BACKUP)), random.random() < 0.3)
        else:
            span = random.choice((3, 10, 30, 120)) * random.uniform(0.5, 1.5) * MILLISECOND
            yield _fault(random, start, span, PAIR)
        for _ in range(random.choice((0, 0, 1, 2))):
            yield _in_transfer(random, at * MILLISECOND)
        at += random.choice((30, 80, 150)) * random.uniform(0.5, 1.5)


def _in_transfer(random: Random, start: float) -> Fault:
    of_primary = random.random() < 0.5
    step, number_max = random.choice(PRIMARY_STEPS if of_primary else BACKUP_STEPS)
    span = random.choice((25, 60)) * random.uniform(0.8, 1.2) * MILLISECOND
    there, back = (PRIMARY, BACKUP), (BACKUP, PRIMARY)
    match random.randrange(6):
        case 0:
            fault: Fault = Crash(0, 0, random.choice(PAIR), random.random() < 0.3)
        case 1:
            fault = Cut(0, 0, frozenset(PAIR))
        case 2:
            fault = Partition(0, span, frozenset({there, back}))
        case 3:
            fault = Partition(0, span, frozenset({random.choice((there, back))}))
        case 4:
            fault = Pause(0, span, random.choice(PAIR))
        case _:
            fault = Partition(0, span, frozenset({(PRIMARY, CONSOLE), (CONSOLE, PRIMARY)}))
    return InTransfer(start, 0, of_primary, step, random.randint(1, number_max), fault)


def plan(random: Random) -> Iterator[Fault]:
    """Choose what goes wrong in one run: often one thing, sometimes several close together."""
    if random.random() < 0.04:
        yield Corruption(random.uniform(10, 60) * MILLISECOND, 0)
        return
    around = random.uniform(8, 90)
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        start = max(around + random.uniform(-5, 40), 0) * MILLISECOND
        span = random.choice((3, 10, 30, 120)) * random.uniform(0.5, 1.5) * MILLISECOND
        yield _fault(random, start, span, NODES)


def _fault(random: Random, start: float, span: float, nodes: tuple[Place, ...]) -> Fault:
    node = random.choice((nodes[0], *nodes))
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
            one, other = random.sample((*nodes, CONSOLE), 2)
            pairs = {(one, other)} | ({(other, one)} if random.random() < 0.6 else set())
            return Partition(start, span, frozenset(pairs))
        case 9:
            return Cut(start, 0, frozenset(random.sample((*nodes, CONSOLE), 2)))
        case 10:
            return SlowNetwork(start, span, random.choice((3.0, 10.0)))
        case 11:
            hosts = random.choice((nodes, nodes[:1], nodes[1:]))
            if random.random() < 0.3:
                return StoreAnswersLost(start, 0, random.randint(1, 2))
            return StoreAway(start, span, frozenset(hosts))
        case _:
            garbage = random.choice((b"GET / HTTP/1.1\r\n", b"\0\0\0\2\7\1", random.randbytes(12)))
            return Stranger(start, 0, node, garbage, random.random() < 0.5)
