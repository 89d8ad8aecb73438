"""Nodes and console of the simulation: the real protocol objects and what they need around them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftvm.replication.arbitration import Outcome
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import (
    AskStore,
    Attached,
    Close,
    Contradiction,
    Ended,
    Event,
    FeedLog,
    FeedState,
    GoLive,
    GuestExited,
    Halt,
    InputArrived,
    Link,
    OutputAccepted,
    PeerJoined,
    ProtectionFailed,
    Send,
    StateGiven,
    StateWanted,
    step_name,
)
from ftvm.replication.messages import CONSOLE
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.states import PrimaryState
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset

from .guest import DivergedError, ModelGuest
from .network import MILLISECOND
from .transfer import ModelReceiver, ModelSender

if TYPE_CHECKING:
    from .world import World


@dataclass
class _Strike:
    """Something that is to happen in between two steps of a node."""

    step: str
    number: int
    strike: Callable[[], None]


class Node:
    """One replica: a protocol object, a guest, and what can befall both."""

    def __init__(
        self, world: "World", name: str, protocol: PrimaryProtocol | BackupProtocol
    ) -> None:
        self.world, self.name, self.protocol = world, name, protocol
        live = isinstance(protocol, PrimaryProtocol)
        self.guest = ModelGuest(self.draw if live else None)
        self.alive = True
        self.stuck = False
        self.halted: Halt | None = None
        self.ended: Ended | None = None
        self.exposed_at: int | None = None
        """Since when its guest has run without a backup."""
        self.protections = 0
        self.events_done = 0
        self._strikes: list[_Strike] = []
        self._clock_offset = world.random.randrange(10**12)
        self._clock_rate = world.random.uniform(0.9, 1.1)
        self._paused_until = 0
        self._inbox: list[Callable[[], None]] = []
        self._input = bytearray()
        self._sender: ModelSender | None = None
        self._receiver = ModelReceiver()
        self._recruit = ""
        self._received: ModelGuest | None = None
        self._reported = 0
        self._exit_reported = False

    @property
    def running(self) -> bool:
        return self.alive and self.halted is None and self.ended is None

    @property
    def now(self) -> Nanoseconds:
        """This node's own clock: steady, and equal to nobody's."""
        return Nanoseconds(self._clock_offset + int(self.world.clock.now * self._clock_rate))

    def draw(self) -> int:
        return self.world.random.randrange(256)

    # --- what the world does to it -----------------------------------------------------

    def on_bytes(self, link: Link, data: bytes) -> None:
        self._do(lambda: self.protocol.receive(link, data, self.now))

    def on_closed(self, link: Link) -> None:
        self._do(lambda: self.protocol.closed(link))

    def crash(self, *, silently: bool) -> None:
        if self.alive:
            self.world.tell(f"{self.name} crashes" + (", silently" if silently else ""))
            self.alive = False
            self.world.network.crash(self.name, silently=silently)

    def strike_at(self, step: str, number: int, strike: Callable[[], None]) -> None:
        """Let something befall it, or others, right before its `number`-th step of that name."""
        self._strikes.append(_Strike(step, number, strike))

    def pause(self, span_ns: int) -> None:
        self.world.tell(f"{self.name} stops for {span_ns / MILLISECOND:.0f} ms")
        self._paused_until = max(self._paused_until, self.world.clock.now + span_ns)
        self.world.clock.after(span_ns, self._resume)

    def _resume(self) -> None:
        if not self.alive or self.world.clock.now < self._paused_until:
            return
        if self.world.random.random() < 0.3:
            # What a careless caller does: looks at the clock before it looks at the sockets.
            self.protocol.tick(self.now)
        inbox, self._inbox = self._inbox, []
        for action in inbox:
            self._do(action)

    def _do(self, action: Callable[[], None]) -> None:
        if not self.running:
            return
        if self.world.clock.now < self._paused_until:
            self._inbox.append(action)
            return
        action()
        self.act()

    # --- what it does itself -----------------------------------------------------------

    def turn(self) -> None:
        """Look at the clock, run the machine a little, act; again and again."""
        if not self.running:
            return
        world = self.world
        if world.clock.now >= self._paused_until:
            self.protocol.tick(self.now)
            if self.protocol.state is PrimaryState.AWAITING and world.clock.now > world.lonely_at:
                assert isinstance(self.protocol, PrimaryProtocol)
                self.protocol.run_alone()
            self.act()
            if self.running and not self.stuck and self.protocol.runnable:
                if isinstance(self.protocol, PrimaryProtocol):
                    self._compute(self.protocol)
                else:
                    self._follow(self.protocol)
                self.act()
            if self.running and isinstance(self.protocol, PrimaryProtocol):
                self._give_state(self.protocol)
                self.act()
                self.world.check_protected(self)
        world.clock.after(world.random.uniform(0.5, 5) * MILLISECOND, self.turn)

    def _compute(self, primary: PrimaryProtocol) -> None:
        random, guest = self.world.random, self.guest
        if guest.asleep and random.random() < 0.4:
            guest.tick()
        if self._input and random.random() < 0.7:
            size = random.randint(1, min(len(self._input), 6))
            guest.inject(bytes(self._input[:size]))
            del self._input[:size]
        limit = guest.count + random.randint(1, 60)
        if primary.run_limit is not None:
            limit = min(limit, primary.run_limit)
        guest.run(limit)
        self._report()
        self.world.check_bounds(primary)
        if guest.status is None:
            primary.executed(InstructionCount(guest.count), self.now)
        elif not self._exit_reported:
            self._exit_reported = True
            digest = guest.digest().to_bytes(4, "big")
            primary.exited(InstructionCount(guest.count), guest.status, digest, self.now)

    def _give_state(self, primary: PrimaryProtocol) -> None:
        """Send some of the guest's state to a new backup, and at last the rest of it."""
        for _ in range(self.world.random.randint(1, 6)):
            if self._sender is None or not primary.state_room:
                return
            piece = self._sender.next_piece()
            if piece is not None:
                primary.send_state(piece, self.now)
                continue
            pieces = self._sender.finish()
            self._report_log(len(self.guest.log))
            self.world.pasts[self._recruit] = self.guest.past()
            digest = self.guest.digest().to_bytes(4, "big")
            primary.hand_over(pieces, digest, self.now)
            self._sender = None
            return
        self._report_log(len(self.guest.log))

    def _take_piece(self, backup: BackupProtocol, piece: bytes) -> None:
        past = self.world.pasts.get(self.name) or self.guest.past()
        try:
            self._received = self._receiver.feed(piece, past)
        except DivergedError as error:
            backup.diverged(backup.count, str(error))

    def _take_guest(self, backup: BackupProtocol, given: StateGiven) -> None:
        if self._received is None or self._received.count != given.count:
            backup.diverged(given.count, "the state is not whole")
            return
        self.guest = self._received
        backup.state_complete(self.guest.digest().to_bytes(4, "big"))

    def _follow(self, backup: BackupProtocol) -> None:
        guest = self.guest
        limit = min(backup.run_limit, guest.count + self.world.random.randint(1, 80))
        try:
            guest.replay(limit)
        except DivergedError as error:
            backup.diverged(InstructionCount(guest.count), str(error))
            return
        self._report()
        if guest.status is not None and not self._exit_reported:
            self._exit_reported = True
            digest = guest.digest().to_bytes(4, "big")
            backup.exited(InstructionCount(guest.count), guest.status, digest)
        backup.executed(InstructionCount(guest.count), LogPosition(guest.used), self.now)

    def _report(self) -> None:
        """Hand in what the machine did, each piece of log before what it led to."""
        guest, protocol = self.guest, self.protocol
        done: list[tuple[int, int, int, bytes]] = [
            (position, offset, count, b"") for offset, count, position in guest.took
        ]
        done += [(position, 0, count, data) for count, position, data in guest.made]
        guest.took, guest.made = [], []
        for position, offset, count, data in sorted(done, key=lambda one: one[0]):
            self._report_log(position)
            if data:
                protocol.output_made(CONSOLE, InstructionCount(count), data)
            else:
                protocol.input_consumed(CONSOLE, StreamOffset(offset), InstructionCount(count))
        self._report_log(len(guest.log))

    def _report_log(self, position: int) -> None:
        if isinstance(self.protocol, PrimaryProtocol) and position > self._reported:
            self.protocol.log_produced(bytes(self.guest.log[self._reported : position]))
            self._reported = position

    def act(self) -> None:
        """Do what the protocol asks; between any two things it may crash."""
        while self.running and (event := self.protocol.next_event()) is not None:
            self.events_done += 1
            for strike in self._strikes:
                strike.number -= strike.step in ("", step_name(event))
                if strike.number == 0:
                    strike.number = -1
                    self.world.tell(f"{self.name} is about to {step_name(event)}")
                    strike.strike()
            if self.alive:
                self._perform(event)

    def _perform(self, event: Event) -> None:
        world = self.world
        world.tell_event(self.name, event)
        match event:
            case Send(link):
                world.network.send(self.name, link, event.data)
            case Close(link):
                world.network.close(self.name, link)
            case AskStore(expected, owner):
                asker = self.protocol

                def answered(outcome: Outcome) -> None:
                    world.tell(f"{self.name} hears {outcome}")
                    asker.store_answered(outcome, self.now)

                world.store.ask(
                    self.name, expected, owner, lambda outcome: self._do(lambda: answered(outcome))
                )
            case FeedLog(_, data):
                self.guest.feed(data)
            case GoLive():
                assert isinstance(self.protocol, BackupProtocol)
                self.guest.go_live(self.draw)
                self._reported = len(self.guest.log)
                self.protocol = self.protocol.promote()
                self.protocol.__class__ = world.build.primary  # has the same bugs as the first
            case StateWanted(_, node):
                self._sender = world.build.sender(self.guest)
                self._recruit = node
                self._report_log(len(self.guest.log))
            case ProtectionFailed():
                self._sender = None
            case PeerJoined(_, node) if isinstance(self.protocol, PrimaryProtocol):
                self.protections += node == self._recruit
            case FeedState(piece) if isinstance(self.protocol, BackupProtocol):
                self._take_piece(self.protocol, piece)
            case StateGiven() if isinstance(self.protocol, BackupProtocol):
                self._take_guest(self.protocol, event)
            case InputArrived(_, _, data):
                self._input += data
            case Halt():
                self.halted = event
                world.network.crash(self.name, silently=False)
            case Ended():
                self.ended = event
                world.network.leave(self.name)


class Console:
    """The client: types a script, and writes down all it sees."""

    name = "console"

    def __init__(self, world: "World", endpoint: ConsoleEndpoint, script: bytes) -> None:
        self.world, self.endpoint, self.script = world, endpoint, script
        self.view = bytearray()
        self.typed = bytearray()
        self.generations: list[int] = []
        self.contradictions: list[Contradiction] = []
        self.exit: GuestExited | None = None
        self._nodes: dict[Link, Node] = {}
        self._dials = 0

    def dial(self, node: Node) -> None:
        if not node.running or self._dials > 300:
            return
        self._dials += 1
        link = self.world.network.connect(self, node)
        self._nodes[link] = node
        node.protocol.console_connected(link, node.now)
        self.endpoint.connected(link)
        self._act()

    def type_some(self) -> None:
        random, world = self.world.random, self.world
        keys = len(self.script) - (world.clock.now < world.quits_at)
        if self.exit is None and len(self.typed) < len(self.script):
            size = min(random.randint(1, 4), self.endpoint.room(), keys - len(self.typed))
            data = self.script[len(self.typed) : len(self.typed) + size]
            self.typed += data
            self.endpoint.write(data)
            self._act()
            world.clock.after(random.uniform(1, 30) * MILLISECOND, self.type_some)

    def on_bytes(self, link: Link, data: bytes) -> None:
        self.endpoint.receive(link, data)
        self._act()

    def on_closed(self, link: Link) -> None:
        self.endpoint.closed(link)
        self._lost(link)

    def _lost(self, link: Link) -> None:
        node = self._nodes.pop(link, None)
        if node is not None and not self.contradictions:
            self.world.clock.after(8 * MILLISECOND, lambda: self.dial(node))

    def _act(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self.world.tell_event(self.name, event)
            match event:
                case Send(link):
                    self.world.network.send(self.name, link, event.data)
                case Close(link):
                    self.world.network.close(self.name, link)
                    self._lost(link)
                case OutputAccepted(_, generation, offset, data):
                    assert offset == len(self.view)
                    self.view += data
                    self.generations.append(generation)
                case Attached(_, _, generation):
                    self.generations.append(generation)
                case GuestExited():
                    self.exit = event
                case Contradiction():
                    self.contradictions.append(event)
