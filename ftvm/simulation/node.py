"""A replica of the simulation: a real protocol object, a guest, and what can befall both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftvm.errors import DivergenceError
from ftvm.replication.arbitration import Outcome
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import (
    AskStore,
    Close,
    Ended,
    Event,
    FeedLog,
    FeedState,
    GoLive,
    Halt,
    InputArrived,
    Link,
    PeerJoined,
    ProtectionFailed,
    Send,
    StateGiven,
    StateWanted,
    step_name,
)
from ftvm.replication.messages import CONSOLE, Reason
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.simulation.guest import NO_PAST, Guest, Receiver, Sender
from ftvm.simulation.network import MILLISECOND
from ftvm.simulation.story import outcome_phrase
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset

if TYPE_CHECKING:
    from ftvm.simulation.world import World

STEP_NS = MILLISECOND // 20
"""What a step of the model counts for, as time that the guest has run."""

TAKING_OVER = (BackupState.CATCHING_UP, BackupState.ARBITRATING)
"""Whoever asks a backup to leave now stops the guest."""


@dataclass
class _Strike:
    """Something that is to happen in between two steps of a node."""

    step: str
    number: int
    strike: Callable[[], None]


class Node:
    """One replica."""

    def __init__(
        self,
        world: "World",
        name: str,
        protocol: PrimaryProtocol | BackupProtocol,
        *,
        has_guest: bool = True,
    ) -> None:
        """Start it; one without a guest is to be sent one."""
        self.world, self.name, self.protocol = world, name, protocol
        self.alive = True
        self.stuck = False
        self.halted: Halt | None = None
        self.ended: Ended | None = None
        self.exposed_at: int | None = None
        """Since when its guest has run without a backup."""
        self.protections = 0
        self.events_done = 0
        self._strikes: list[_Strike] = []
        self._clock = world.draw_clock()
        self._paused_until = 0
        self._rests_until = 0
        self._inbox: list[Callable[[], None]] = []
        self._input = bytearray()
        self._leaving = False
        """Whether it is to leave as soon as its new backup is complete."""
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._recruit = ""
        self._received: Guest | None = None
        self._reported = 0
        self._exit_reported = False
        self.held_guest: Guest | None = None
        if not has_guest:
            self._receiver = world.kind.receiver()
        elif isinstance(protocol, PrimaryProtocol):
            self.held_guest = world.kind.live(self.draw, self.now)
        else:
            self.held_guest = world.kind.following()

    @property
    def guest(self) -> Guest:
        """Its guest; it has been given one."""
        assert self.held_guest is not None
        return self.held_guest

    @property
    def running(self) -> bool:
        """Whether it has neither crashed nor come to its end."""
        return self.alive and self.halted is None and self.ended is None

    @property
    def now(self) -> Nanoseconds:
        """This node's own clock: steady, and equal to nobody's."""
        return self._clock(self.world.clock.now)

    def draw(self) -> int:
        """Draw a byte that only the primary knows."""
        return self.world.random.randrange(256)

    # --- what the world does to it -----------------------------------------------------

    def on_bytes(self, link: Link, data: bytes) -> None:
        """Hand in what arrived."""
        self._do(lambda: self.protocol.receive(link, data, self.now))

    def on_closed(self, link: Link) -> None:
        """Hand in that a connection is gone."""
        self._do(lambda: self.protocol.closed(link))

    def crash(self, *, silently: bool) -> None:
        """Die; silently, so that nobody is told, as when the power fails."""
        if self.alive:
            self.world.tell(self.name, "loses power" if silently else "is killed")
            self.alive = False
            self.world.network.crash(self.name, silently=silently)

    def strike_at(self, step: str, number: int, strike: Callable[[], None]) -> None:
        """Let something befall it, or others, right before its `number`-th step of that name."""
        self._strikes.append(_Strike(step, number, strike))

    def pause(self, span_ns: int) -> None:
        """Stop, and go on later as if nothing had been."""
        self.world.tell(self.name, f"stands still for {span_ns / MILLISECOND:.0f} ms")
        self._paused_until = max(self._paused_until, self.world.clock.now + span_ns)
        self.world.clock.after(span_ns, self._resume)

    def leave(self) -> None:
        """Leave the guest to the pair's other half; as soon as it can, or when that is there."""
        self.world.clock.after(0, lambda: self._do(self._leave))  # not between two steps

    def _leave(self) -> None:
        protocol, why = self.protocol, "asked to leave"
        if isinstance(protocol, BackupProtocol):
            if protocol.state not in TAKING_OVER:
                self.world.tell(self.name, "is asked to leave")
                protocol.stop(why)
        elif protocol.state is PrimaryState.PAIRED:
            self.world.tell(self.name, "is asked to leave")
            protocol.stop(why, Reason.SWITCH_OVER)
        else:
            self._leaving = protocol.state is PrimaryState.PROTECTING

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
            able = self.running and not self.stuck and self.protocol.runnable
            if able and world.clock.now >= self._rests_until:
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
        guest.pass_time(self.now, random)
        if self._input and random.random() < 0.7:
            size = random.randint(1, min(len(self._input), 6))
            guest.inject(bytes(self._input[:size]))
            del self._input[:size]
            if random.random() < 0.5:
                self._report()
                primary.forward_log()
        span = random.randint(1, 60) * self.world.kind.steps
        if self._sender is not None and self._sender.allowance is not None:
            span = min(span, self._sender.allowance)
        before = guest.count
        limit = before + span
        if primary.run_limit is not None:
            limit = min(limit, primary.run_limit)
        guest.run(limit)
        self._report()
        self.world.check_bounds(primary)
        if guest.status is None:
            primary.executed(InstructionCount(guest.count), self.now)
            ran_ns = STEP_NS * (guest.count - before) // self.world.kind.steps
            self._rests_until = self.world.clock.now + primary.rest(ran_ns, self.now)
        elif not self._exit_reported:
            self._exit_reported = True
            count = InstructionCount(guest.count)
            primary.exited(count, guest.status, guest.digest(), self.now)

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
            primary.hand_over(pieces, self.guest.digest(), self.now)
            self._sender = None
            return
        self._report_log(len(self.guest.log))

    def _take_piece(self, backup: BackupProtocol, piece: bytes) -> None:
        assert self._receiver is not None
        past = self.world.pasts.get(self.name, NO_PAST)
        try:
            self._received = self._receiver.feed(piece, past)
        except DivergenceError as error:
            backup.diverged(backup.count, str(error))

    def _take_guest(self, backup: BackupProtocol, given: StateGiven) -> None:
        if self._received is None or self._received.count != given.count:
            backup.diverged(given.count, "the state is not whole")
            return
        self.held_guest = self._received
        backup.state_complete(self.guest.digest())

    def _follow(self, backup: BackupProtocol) -> None:
        guest = self.guest
        span = self.world.random.randint(1, 80) * self.world.kind.steps
        try:
            guest.replay(min(backup.run_limit, guest.count + span))
        except DivergenceError as error:
            backup.diverged(InstructionCount(guest.count), str(error))
            return
        self._report()
        if guest.status is not None and not self._exit_reported:
            self._exit_reported = True
            backup.exited(InstructionCount(guest.count), guest.status, guest.digest())
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
                    self.world.tell(self.name, f"is about to {step_name(event)}")
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
                world.store.ask(self.name, expected, owner, self._store_answers())
            case FeedLog(_, data):
                self.guest.feed(data)
            case GoLive():
                assert isinstance(self.protocol, BackupProtocol)
                self.guest.go_live(self.draw, self.now)
                self._reported = len(self.guest.log)
                self.protocol = self.protocol.promote()
                self.protocol.__class__ = world.build.primary  # has the same bugs as the first
            case StateWanted(_, node):
                self._sender = world.kind.sender(self.guest)
                self._recruit = node
                self._report_log(len(self.guest.log))
            case ProtectionFailed():
                self._sender, self._leaving = None, False
            case PeerJoined(_, node) if isinstance(self.protocol, PrimaryProtocol):
                self.protections += node == self._recruit
                if self._leaving:
                    self._leave()
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

    def _store_answers(self) -> Callable[[Outcome], None]:
        """Return what to do with the store's answer, which may come much later."""
        asker = self.protocol

        def answered(outcome: Outcome) -> None:
            self.world.tell(self.name, outcome_phrase(outcome))
            asker.store_answered(outcome, self.now)

        return lambda outcome: self._do(lambda: answered(outcome))
