"""One simulated run: a seed makes a schedule of faults, an oracle judges the end."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import Event, Link
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.simulation.console import Console
from ftvm.simulation.faults import CONSOLE, PRIMARY, Fault, InTransfer, Place
from ftvm.simulation.guest import GuestKind, Past
from ftvm.simulation.machine import MachineKind
from ftvm.simulation.model_transfer import ModelKind, ModelSender
from ftvm.simulation.network import MILLISECOND, Clock, Network
from ftvm.simulation.node import Node
from ftvm.simulation.oracle import Verdict, judge
from ftvm.simulation.schedule import campaign, plan
from ftvm.simulation.store import DistantStore, MemoryStore
from ftvm.simulation.story import FAULT, Story, phrase
from ftvm.units import InstructionCount, Nanoseconds

RUN = b"simulated run 01"
SETTINGS = Settings(
    heartbeat_interval_ns=Nanoseconds(4 * MILLISECOND),
    heartbeats_missed_max=4,
    greeting_timeout_ns=Nanoseconds(150 * MILLISECOND),
    stall_timeout_ns=Nanoseconds(60 * MILLISECOND),
    store_retry_interval_ns=Nanoseconds(20 * MILLISECOND),
    log_unacknowledged_bytes_max=150,
    mark_interval_ns=Nanoseconds(2 * MILLISECOND),
    mark_count_max=InstructionCount(15),
    marks_unacknowledged_max=8,
    log_unmarked_bytes_max=1000,
    lag_ns_max=Nanoseconds(80 * MILLISECOND),
    lag_count_max=InstructionCount(120),
    output_unreceived_bytes_max=200,
    input_unconsumed_bytes_max=40,
    state_pieces_max=4,
)
SLICE = 200
"""Bytes or instructions by which one slice of running may overshoot a bound."""
PATIENCE = 2_000 * MILLISECOND
"""How long after the last fault the guest may take to finish."""
PROTECTED_WITHIN = 500 * MILLISECOND
"""How long after the last fault, or the loss of a backup, a guest may run alone."""
LANDING = 100 * MILLISECOND
"""How long what was sent last may be on its way, with a slow network too."""
NAMES = ("alpha", "beta", *(f"gamma{number}" for number in range(1, 15)))


@dataclass(frozen=True)
class Build:
    """The protocol classes to simulate, and the store's manners; tests put bugs in here."""

    primary: type[PrimaryProtocol] = PrimaryProtocol
    backup: type[BackupProtocol] = BackupProtocol
    endpoint: type[ConsoleEndpoint] = ConsoleEndpoint
    store: type[MemoryStore] = MemoryStore
    sender: type[ModelSender] = ModelSender
    """Of the model guest."""
    machine: MachineKind | None = None
    """The real machine that some of the schedules have for a guest."""


MACHINE_SHARE = 0.2
"""How many of the schedules run the real machine, if there is one."""
DETAIL_CHARACTERS_MAX = 300
JOINING = (BackupState.JOINING, BackupState.RECEIVING, BackupState.READY)


class Stranger:
    """Somebody who listens to nothing."""

    name = "stranger"

    def on_bytes(self, link: Link, data: bytes) -> None:
        """Listen to nothing."""

    def on_closed(self, link: Link) -> None:
        """Come not back."""


class World:
    """Everything in one run."""

    def __init__(
        self,
        seed: int,
        build: Build = Build(),
        story: Story | None = None,
        faults: tuple[Fault, ...] | None = None,
        campaigns: float = 0.3,
        clock_rates: tuple[float, float] = (0.9, 1.1),
    ) -> None:
        """Without `faults` the seed chooses them, a whole campaign in so many of all runs."""
        self.random = Random(seed)
        self.seed, self.build, self.clock_rates = seed, build, clock_rates
        self._story = story
        self.kind: GuestKind = ModelKind(build.sender)
        wants_machine = self.random.random() < MACHINE_SHARE
        self.is_machine = wants_machine and build.machine is not None
        if wants_machine and build.machine is not None:
            self.kind = build.machine
        steps = self.kind.steps
        self.settings = replace(
            SETTINGS,
            lag_count_max=InstructionCount(SETTINGS.lag_count_max * steps),
            mark_count_max=InstructionCount(SETTINGS.mark_count_max * steps),
        )
        self.clock = Clock()
        self.network = Network(self.clock, self.random)
        self.store = DistantStore(self.clock, self.random, build.store())
        self.faults_end = 0
        self.corrupted = False
        self.bounds_broken: list[str] = []
        self.pasts: dict[str, Past] = {}
        """What the guest that a new backup was sent had done before, by the backup's name."""
        self.in_transfer: list[InTransfer] = []
        """What shall happen during the next transfer."""
        is_campaign = faults is None and self.random.random() < campaigns
        script = self._script(is_campaign)
        primary = Node(self, "alpha", build.primary(_identity("alpha"), self._settings_of_one()))
        backup = Node(self, "beta", build.backup(_identity("beta"), self._settings_of_one()))
        self.nodes = [primary, backup]
        endpoint = build.endpoint(
            "console", RUN, input_bytes_max=30, tail_bytes_max=500, settings=self._settings_of_one()
        )
        self.console = Console(self, endpoint, script)
        self.lonely_at = self.random.uniform(60, 400) * MILLISECOND
        """When a primary that waits for its first backup waits no more."""
        if faults is None:
            faults = tuple((campaign if is_campaign else plan)(self.random))
        for fault in faults:
            self.faults_end = max(self.faults_end, int(fault.end_ns))
            self._schedule(fault)
        self.quits_at = 0.0
        """When the last key may be typed; late enough to see whether the guest is protected."""
        if is_campaign:
            self.quits_at = self.faults_end + self.random.uniform(0.1, 1.5) * PROTECTED_WITHIN

    def _script(self, is_campaign: bool) -> bytes:
        keys = self.random.randint(30, 60) if is_campaign else self.random.randint(5, 16)
        return bytes(self.random.choice(self.kind.keys) for _ in range(keys)) + b"q"

    def _settings_of_one(self) -> Settings:
        """Return the settings of one who may be more patient than the others."""
        beat_ns = SETTINGS.heartbeat_interval_ns * self.random.choice((1, 1, 1, 2, 3))
        return replace(self.settings, heartbeat_interval_ns=Nanoseconds(beat_ns))

    def draw_clock(self) -> Callable[[Nanoseconds], Nanoseconds]:
        """Return what a host's clock says by the time of the world: steady, and nobody's else."""
        offset = self.random.randrange(10**15)
        rate = self.random.uniform(*self.clock_rates)
        return lambda now: Nanoseconds(offset + int(now * rate))

    # --- the story ---------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """Add to the story what happened to `who`."""
        if self._story is not None:
            self._story.tell(self.clock.now, who, what)

    def tell_event(self, who: str, event: Event) -> None:
        """Add to the story what `who` was asked to do, or to know."""
        if self._story is not None:
            what, detail = phrase(event)
            if detail and len(what) > DETAIL_CHARACTERS_MAX:
                what = what[:DETAIL_CHARACTERS_MAX] + " ..."
            self._story.tell(self.clock.now, who, what, detail=detail)

    def see(self, who: str, data: bytes) -> None:
        """Add to the story output that `who` has seen."""
        if self._story is not None:
            self._story.see(self.clock.now, who, data)

    # --- the run -----------------------------------------------------------------------

    def begin(self) -> None:
        """Boot both nodes, connect everything."""
        first, second = self.nodes
        assert isinstance(first.protocol, PrimaryProtocol)
        first.protocol.start()
        first.act()
        for node in self.nodes:
            self._awake(node)
        self.console.turn()
        self.clock.after(10 * MILLISECOND, self.console.type_some)
        joins_after = self.random.uniform(4, 8) * MILLISECOND
        self.clock.after(joins_after, lambda: self._join(first, second))
        self.clock.after(joins_after, self._look_for_recruits)

    def _awake(self, node: Node) -> None:
        self.clock.after(self.random.uniform(0, 2) * MILLISECOND, node.turn)
        self.clock.after(self.random.uniform(0, 5) * MILLISECOND, partial(self.console.dial, node))

    def newest_primary(self) -> Node | None:
        """Return the primary of the newest generation, if one runs."""
        primaries = [
            node
            for node in self.nodes
            if node.running and isinstance(node.protocol, PrimaryProtocol)
        ]
        return max(primaries, key=lambda node: node.protocol.generation, default=None)

    def node_at(self, place: Place) -> Node:
        """Return the node that is meant by `place` now."""
        if isinstance(place, int):
            return self.nodes[place]
        if place == PRIMARY:
            return self.newest_primary() or self.nodes[0]
        backups = [
            node
            for node in self.nodes
            if node.running and isinstance(node.protocol, BackupProtocol)
        ]
        return (backups or self.nodes)[-1]

    def host_name(self, place: Place) -> str:
        """Return the name of the host that is meant by `place` now."""
        return CONSOLE if place == CONSOLE else self.node_at(place).name

    # --- new backups -------------------------------------------------------------------

    def _look_for_recruits(self) -> None:
        """Now and then: start a new backup for a primary that is alone; rarely, for any."""
        self.clock.after(self.random.uniform(3, 20) * MILLISECOND, self._look_for_recruits)
        primary = self.newest_primary()
        if primary is None or len(self.nodes) == len(NAMES):
            return
        alone = primary.protocol.state in (PrimaryState.SOLO, PrimaryState.AWAITING)
        joining = any(node.running and node.protocol.state in JOINING for node in self.nodes)
        if (alone and not joining) or self.random.random() < 0.02:
            self._recruit(primary)

    def _recruit(self, primary: Node) -> None:
        name = NAMES[len(self.nodes)]
        protocol = self.build.backup(_identity(name), self._settings_of_one(), needs_state=True)
        node = Node(self, name, protocol, has_guest=False)
        self.nodes.append(node)
        self._awake(node)
        self._join(primary, node)
        for planned in self.in_transfer:
            watched = primary if planned.of_primary else node
            strike = partial(self._strike_in_time, planned.fault)
            watched.strike_at(planned.step, planned.number, strike)
        self.in_transfer.clear()

    def _strike_in_time(self, fault: Fault) -> None:
        self.faults_end = max(self.faults_end, self.clock.now + int(fault.end_ns))
        self._strike(fault)

    def check_protected(self, node: Node) -> None:
        """Note it if a guest runs alone for too long, though nothing is wrong any more."""
        alone = node.protocol.state in (PrimaryState.SOLO, PrimaryState.PROTECTING)
        if not alone or node.guest.status is not None or len(self.nodes) == len(NAMES):
            node.exposed_at = None
        elif node.exposed_at is None:
            node.exposed_at = self.clock.now
        elif self.clock.now - max(node.exposed_at, self.faults_end) > PROTECTED_WITHIN:
            self.bounds_broken.append(f"{node.name} runs alone for too long")

    def check_bounds(self, primary: PrimaryProtocol) -> None:
        """Note it if a primary keeps more than its limits and one slice of running allow."""
        held = {
            "log": self._excess(
                primary.position - primary.lockstep.acknowledged.position,
                SETTINGS.log_unacknowledged_bytes_max,
            ),
            "lag": self._excess(
                primary.count - primary.lockstep.executed, self.settings.lag_count_max
            ),
        }
        if primary.shares_log:
            self.bounds_broken += [f"{name} over its bound by {n}" for name, n in held.items() if n]
        for stream in primary.console.outputs.values():
            if self._excess(stream.produced - stream.start, SETTINGS.output_unreceived_bytes_max):
                self.bounds_broken.append("output kept over its bound")

    def _excess(self, size: int, limit: int) -> int:
        return max(size - limit - SLICE * self.kind.steps, 0)

    def _schedule(self, fault: Fault) -> None:
        self.clock.after(fault.start_ns, lambda: self._strike(fault))

    def _strike(self, fault: Fault) -> None:
        if what := fault.describe(self):
            self.tell(FAULT, what)
        fault.strike(self)

    def _join(self, primary: Node, backup: Node) -> None:
        assert isinstance(primary.protocol, PrimaryProtocol)
        if backup.running and isinstance(backup.protocol, BackupProtocol):
            link = self.network.connect(primary, backup)
            primary.protocol.peer_connected(link, primary.now)
            backup.protocol.peer_connected(link, backup.now)
            backup.act()
            if not primary.alive:
                self.network.crash(primary.name, silently=False)

    def strange_bytes(self, node: Node, garbage: bytes, console: bool) -> None:
        """Let a stranger connect to a node and send `garbage`."""
        if not node.running or (not console and isinstance(node.protocol, BackupProtocol)):
            return
        link = self.network.connect(Stranger(), node)
        if console:
            node.protocol.console_connected(link, node.now)
        elif isinstance(node.protocol, PrimaryProtocol):
            node.protocol.peer_connected(link, node.now)
        self.network.send(Stranger.name, link, garbage)

    def run(self) -> Verdict:
        """Run until all is done, or patience is at its end, and judge."""
        self.begin()
        while self.clock.step(self.faults_end + PATIENCE):
            if not any(node.running for node in self.nodes) or self.console.contradictions:
                break
            if self.bounds_broken:
                break
        # What is still on its way to the console arrives.
        last = self.clock.now + LANDING
        while self.network.flying() and self.clock.step(last):
            pass
        return judge(self)


def simulate(seed: int, build: Build) -> Verdict:
    """Judge one of many runs, and leave nothing of it behind.

    A machine is part of a cycle, with megabytes that the collector of cycles does
    not see: by its own count it has no reason to come.
    """
    verdict = World(seed, build).run()
    if verdict.is_machine:
        gc.collect()
    return verdict


def _identity(name: str) -> Identity:
    return Identity(name, RUN, b"i" * 32, b"c" * 32, "model guest")
