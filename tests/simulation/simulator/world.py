"""One simulated run: a seed makes a schedule of faults, an oracle judges the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import Event, HaltCause, Link
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.units import InstructionCount, Nanoseconds

from .actors import Console, Node
from .faults import Fault, plan
from .guest import replayed
from .network import MILLISECOND, Clock, Network
from .store import DistantStore, MemoryStore

RUN = b"simulated run 01"
SETTINGS = Settings(
    heartbeat_interval_ns=Nanoseconds(4 * MILLISECOND),
    heartbeats_missed_max=4,
    greeting_timeout_ns=Nanoseconds(150 * MILLISECOND),
    stall_timeout_ns=Nanoseconds(60 * MILLISECOND),
    store_retry_interval_ns=Nanoseconds(20 * MILLISECOND),
    log_unacknowledged_bytes_max=150,
    lag_count_max=InstructionCount(120),
    output_unreceived_bytes_max=200,
    input_unconsumed_bytes_max=40,
)
SLICE = 200
"""Bytes or instructions by which one slice of running may overshoot a bound."""
PATIENCE = 2_000 * MILLISECOND
"""How long after the last fault the guest may take to finish."""


@dataclass(frozen=True)
class Build:
    """The protocol classes to simulate, and the store's manners; tests put bugs in here."""

    primary: type[PrimaryProtocol] = PrimaryProtocol
    backup: type[BackupProtocol] = BackupProtocol
    endpoint: type[ConsoleEndpoint] = ConsoleEndpoint
    store: type[MemoryStore] = MemoryStore


class Stranger:
    """Somebody who listens to nothing."""

    name = "stranger"

    def on_bytes(self, link: Link, data: bytes) -> None:
        pass

    def on_closed(self, link: Link) -> None:
        pass


@dataclass
class Verdict:
    """What the oracle says of one run."""

    seed: int
    violations: list[str] = field(default_factory=list)
    failovers: int = 0
    finished: bool = False
    lost: bool = False
    """No replica was left, for a good reason."""
    virtual_ns: int = 0


class World:
    """Everything in one run."""

    def __init__(
        self,
        seed: int,
        build: Build = Build(),
        tell: Callable[[str], None] | None = None,
        faults: tuple[Fault, ...] | None = None,
    ) -> None:
        self.random = Random(seed)
        self.seed, self.build, self._tell = seed, build, tell
        self.clock = Clock()
        self.network = Network(self.clock, self.random)
        self.store = DistantStore(self.clock, self.random, build.store())
        self.faults_end = 0
        self.corrupted = False
        self.bounds_broken: list[str] = []
        script = self._script()
        self.primary = Node(self, "alpha", build.primary(_identity("alpha"), SETTINGS))
        self.backup = Node(self, "beta", build.backup(_identity("beta"), SETTINGS))
        self.nodes = [self.primary, self.backup]
        endpoint = build.endpoint("console", RUN, input_bytes_max=30, tail_bytes_max=500)
        self.console = Console(self, endpoint, script)
        self.lonely_at = self.random.uniform(60, 400) * MILLISECOND
        """When a primary that waits for its first backup waits no more."""
        for fault in plan(self.random) if faults is None else faults:
            self.faults_end = max(self.faults_end, int(fault.end_ns))
            self._schedule(fault)

    def _script(self) -> bytes:
        keys = self.random.randint(5, 16)
        return bytes(self.random.choice(b"iiiiix") for _ in range(keys)) + b"q"

    # --- the story ---------------------------------------------------------------------

    def tell(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{self.clock.now / MILLISECOND:9.3f} ms  {line}")

    def tell_event(self, name: str, event: Event) -> None:
        if self._tell is not None:
            self.tell(f"{name}: {event}")

    # --- the run -----------------------------------------------------------------------

    def begin(self) -> None:
        """Boot both nodes, connect everything."""
        primary, backup = self.primary.protocol, self.backup.protocol
        assert isinstance(primary, PrimaryProtocol)
        assert isinstance(backup, BackupProtocol)
        primary.start()
        self.primary.act()
        for node in self.nodes:
            self.clock.after(self.random.uniform(0, 2) * MILLISECOND, node.turn)
            self.clock.after(
                self.random.uniform(0, 5) * MILLISECOND, partial(self.console.dial, node)
            )
        self.clock.after(10 * MILLISECOND, self.console.type_some)
        self.clock.after(self.random.uniform(4, 8) * MILLISECOND, self._join)

    def check_bounds(self, primary: PrimaryProtocol) -> None:
        """Note it if a primary keeps more than its limits and one slice of running allow."""
        held = {
            "log": self._excess(
                primary.position - primary.lockstep.acknowledged.position,
                SETTINGS.log_unacknowledged_bytes_max,
            ),
            "lag": self._excess(primary.count - primary.lockstep.executed, SETTINGS.lag_count_max),
        }
        if primary.state is not PrimaryState.SOLO:
            self.bounds_broken += [f"{name} over its bound by {n}" for name, n in held.items() if n]
        for stream in primary.console.outputs.values():
            if self._excess(stream.produced - stream.start, SETTINGS.output_unreceived_bytes_max):
                self.bounds_broken.append("output kept over its bound")

    @staticmethod
    def _excess(size: int, limit: int) -> int:
        return max(size - limit - SLICE, 0)

    def _schedule(self, fault: Fault) -> None:
        self.clock.after(fault.start_ns, lambda: self._strike(fault))

    def _strike(self, fault: Fault) -> None:
        self.tell(f"fault: {fault}")
        fault.strike(self)

    def _join(self) -> None:
        primary, backup = self.primary.protocol, self.backup.protocol
        assert isinstance(primary, PrimaryProtocol)
        if self.backup.running and isinstance(backup, BackupProtocol):
            link = self.network.connect(self.primary, self.backup)
            primary.peer_connected(link, self.primary.now)
            backup.peer_connected(link, self.backup.now)
            self.backup.act()
            if not self.primary.alive:
                self.network.crash("alpha", silently=False)

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
        # What is still on its way to the console arrives.
        while self.clock.step(self.clock.now + 20 * MILLISECOND) and self.network.flying():
            pass
        return judge(self)


def _identity(name: str) -> Identity:
    return Identity(name, RUN, b"i" * 32, b"c" * 32, "model guest")


# --- the oracle --------------------------------------------------------------------------


def judge(world: World) -> Verdict:
    """Compare what the console saw with one uninterrupted run by the last owner's log."""
    console, store = world.console, world.store.memory
    verdict = Verdict(world.seed, virtual_ns=world.clock.now)
    wrong = verdict.violations
    wrong += [f"{one.kind}: {one.detail}" for one in console.contradictions]
    if console.generations != sorted(console.generations):
        wrong.append(f"generations accepted out of order: {console.generations}")
    wrong += world.bounds_broken[:1]
    verdict.failovers = int(store.owner == "beta")
    owner = world.backup if store.owner == "beta" else world.primary
    other = world.primary if owner is world.backup else world.backup

    guest = owner.guest
    reference = replayed(bytes(guest.log[: guest.used]), guest.count)
    if reference.output != guest.output or reference.digest() != guest.digest():
        wrong.append(f"{owner.name}'s log does not lead to its state")
    if not reference.output.startswith(console.view):
        wrong.append("the console saw what no single run puts out")
    if not console.typed.startswith(reference.taken):
        wrong.append("the guest took what nobody typed")
    if console.endpoint.forgotten() > len(reference.taken):
        wrong.append("acknowledged input was lost")

    if console.exit is not None:
        verdict.finished = True
        if reference.output != console.view:
            wrong.append("the console did not see all output")
        told = (console.exit.status, console.exit.count, console.exit.digest)
        made = (reference.status, reference.count, reference.digest().to_bytes(4, "big"))
        if told != made:
            wrong.append(f"exit told as {told}, was {made}")
        keys = reference.taken.partition(b"q")[0]
        if reference.status != keys.count(b"i"):
            wrong.append(f"{keys.count(b'i')} increments gave {reference.status}")
    elif owner.alive:
        wrong.append(f"{owner.name} owns generation {store.generation}, but the guest is stuck")
    elif other.alive and not _rightly_idle(world, other):
        wrong.append(f"{other.name} should have gone on alone")
    else:
        verdict.lost = True
    return verdict


def _rightly_idle(world: World, node: Node) -> bool:
    """Whether a node that could run had good reason not to."""
    if world.store.memory.generation > 1:
        return True  # the owner, which died later, had won against it
    if node is world.primary:
        return False
    if node.halted is not None and node.halted.cause is HaltCause.REFUSED:
        return True
    diverged = node.halted is not None and node.halted.cause is HaltCause.DIVERGED
    return (diverged and world.corrupted) or node.protocol.state is BackupState.JOINING
