"""What can go wrong, when, and for how long."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ftvm.replication.backup import BackupProtocol
from ftvm.simulation.network import MILLISECOND

if TYPE_CHECKING:
    from ftvm.simulation.world import World

Place = int | str
"""A node by its number in order of its start, or by what it is now; or the console."""

PRIMARY, BACKUP, CONSOLE = "primary", "backup", "console"
NODES: tuple[Place, ...] = (0, 1)
PAIR: tuple[Place, ...] = (PRIMARY, BACKUP)
"""Whoever runs the guest, and the newest of those who do not."""


@dataclass(frozen=True)
class Fault:
    """Something that happens at `start_ns` and is over by `end_ns`."""

    start_ns: float
    span_ns: float

    @property
    def end_ns(self) -> float:
        """When all of it is over."""
        return self.start_ns + self.span_ns

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        raise AssertionError("each kind of fault has its own")

    def describe(self, world: "World") -> str:
        """Say what happens, if nobody else does; to whom, is decided now."""
        return ""

    @property
    def span(self) -> str:
        """For how long, in words."""
        return f"for {self.span_ns / MILLISECOND:.0f} ms"


@dataclass(frozen=True)
class Crash(Fault):
    """A node dies, with or without a word to its peers."""

    node: Place
    silently: bool

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.node_at(self.node).crash(silently=self.silently)


@dataclass(frozen=True)
class CrashAtStep(Fault):
    """A crash between two steps of the protocol, wherever in time they fall."""

    node: Place
    silently: bool
    event: int

    def strike(self, world: "World") -> None:
        """Let it happen at the `event`-th step from now."""
        node = world.node_at(self.node)
        node.strike_at("", self.event, lambda: node.crash(silently=self.silently))


@dataclass(frozen=True)
class Leave(Fault):
    """Somebody asks a node to leave the guest to the others, as SIGTERM does a host."""

    node: Place

    def strike(self, world: "World") -> None:
        """Ask now."""
        world.node_at(self.node).leave()


@dataclass(frozen=True)
class Pause(Fault):
    """A process is stopped, and goes on."""

    node: Place

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        if world.node_at(self.node).running:
            world.node_at(self.node).pause(int(self.span_ns))


@dataclass(frozen=True)
class Stuck(Fault):
    """The machine does not move, though its node lives."""

    node: Place

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        node = world.node_at(self.node)
        node.stuck = True
        world.clock.after(self.span_ns, lambda: setattr(node, "stuck", False))

    def describe(self, world: "World") -> str:
        """Say whose machine it is."""
        return f"the machine of {world.host_name(self.node)} is stuck {self.span}"


@dataclass(frozen=True)
class Partition(Fault):
    """Nothing passes from one host to another, or between them."""

    pairs: frozenset[tuple[Place, Place]]

    def _names(self, world: "World") -> set[tuple[str, str]]:
        return {(world.host_name(one), world.host_name(other)) for one, other in self.pairs}

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.network.blocked |= self._names(world)
        world.clock.after(self.span_ns, world.network.heal)

    def describe(self, world: "World") -> str:
        """Say who cannot reach whom."""
        names = self._names(world)
        ways = " and ".join(f"from {one} to {other}" for one, other in sorted(names))
        return f"nothing gets {ways} {self.span}"


@dataclass(frozen=True)
class Cut(Fault):
    """All connections between two hosts break."""

    hosts: frozenset[Place]

    def _names(self, world: "World") -> set[str]:
        return set(map(world.host_name, self.hosts))

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.network.cut(self._names(world))

    def describe(self, world: "World") -> str:
        """Say whose connections they are."""
        return f"the connections between {' and '.join(sorted(self._names(world)))} break"


@dataclass(frozen=True)
class SlowNetwork(Fault):
    """Everything takes longer."""

    factor: float

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.network.slowness = self.factor
        world.clock.after(self.span_ns, lambda: setattr(world.network, "slowness", 1.0))

    def describe(self, world: "World") -> str:
        """Say how slow."""
        return f"the network is {self.factor:.0f} times as slow {self.span}"


@dataclass(frozen=True)
class SlowLink(Fault):
    """Each byte between two hosts takes its time, so that what is sent queues up."""

    hosts: frozenset[Place]
    byte_ns: float

    def _names(self, world: "World") -> frozenset[str]:
        return frozenset(map(world.host_name, self.hosts))

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        names = self._names(world)
        world.network.slow_links[names] = self.byte_ns
        world.clock.after(self.span_ns, partial(world.network.slow_links.pop, names, 0.0))

    def describe(self, world: "World") -> str:
        """Say which link, and how slow."""
        names = " and ".join(sorted(self._names(world)))
        rate = MILLISECOND / self.byte_ns
        return f"the link between {names} carries {rate:.0f} bytes per ms {self.span}"


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
        """When all of it is over, if it happens at once."""
        return self.start_ns + self.fault.end_ns

    def strike(self, world: "World") -> None:
        """Keep it ready."""
        world.in_transfer.append(self)


@dataclass(frozen=True)
class StoreAway(Fault):
    """Some hosts cannot reach the store."""

    hosts: frozenset[Place]

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.store.cut_off |= set(map(world.host_name, self.hosts))
        world.clock.after(self.span_ns, world.store.cut_off.clear)

    def describe(self, world: "World") -> str:
        """Say who cannot reach it."""
        names = " and ".join(sorted(set(map(world.host_name, self.hosts))))
        return f"the store is out of reach of {names} {self.span}"


@dataclass(frozen=True)
class StoreCrash(Fault):
    """The store dies with the answers that are on their way, and begins again."""

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.store.crash(self.span_ns)

    def describe(self, world: "World") -> str:
        """Say for how long."""
        return f"the store crashes, and is down {self.span}"


@dataclass(frozen=True)
class StoreAnswersLost(Fault):
    """The store does what it is asked, and its answers do not arrive."""

    answers: int

    def strike(self, world: "World") -> None:
        """Let it happen from now on."""
        world.store.answers_lost = self.answers

    def describe(self, world: "World") -> str:
        """Say how many."""
        return f"the store's next answers are lost: {self.answers}"


@dataclass(frozen=True)
class Stranger(Fault):
    """Somebody sends garbage to a port of a node."""

    node: Place
    garbage: bytes
    console: bool

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.strange_bytes(world.node_at(self.node), self.garbage, self.console)

    def describe(self, world: "World") -> str:
        """Say to whom."""
        port = "console" if self.console else "logging"
        return f"a stranger sends {self.garbage!r} to {world.host_name(self.node)}'s {port} port"


@dataclass(frozen=True)
class Corruption(Fault):
    """A bit of the newest backup's guest flips."""

    def strike(self, world: "World") -> None:
        """Let it happen now."""
        world.corrupted = True
        backups = [node for node in world.nodes if isinstance(node.protocol, BackupProtocol)]
        if backups and backups[-1].held_guest is not None:
            backups[-1].guest.corrupt()

    def describe(self, world: "World") -> str:
        """Say what."""
        return "a bit flips in the newest backup's guest"
