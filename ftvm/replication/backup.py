"""The backup: replays the primary's log up to the newest mark, and goes live when it must.

What the caller does with it is what it does with a primary, except that the
machine takes its log from FeedLog events, stops at `run_limit`, and that
`executed` also says how much of the log the machine has used. A machine at
`run_limit` with log left over still has work: events that fall on that very
instruction.

A backup without a machine says so in its greeting and is sent one: FeedState
brings the pieces, StateGiven says that they are all there, and the caller
answers with `state_complete`, or with `diverged` if they make no machine.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ftvm.errors import ProtocolError
from ftvm.replication.arbitration import Arbiter, Lost, Outcome
from ftvm.replication.console import ConsoleService
from ftvm.replication.events import (
    Close,
    Ended,
    Event,
    FeedLog,
    FeedState,
    GoLive,
    Halt,
    HaltCause,
    Link,
    LossCause,
    PeerJoined,
    PeerLost,
    Send,
    StateGiven,
)
from ftvm.replication.flow import Wait
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.handshake import greeting, misfit
from ftvm.replication.incoming import IncomingLog
from ftvm.replication.messages import (
    ANY_LAG,
    CONSOLE,
    DETAIL,
    Ack,
    Channel,
    Commit,
    Complete,
    Diverged,
    Entries,
    Exited,
    Goodbye,
    Handover,
    Heartbeat,
    Hello,
    Kept,
    Mark,
    Message,
    Reason,
    Released,
    Role,
    State,
    Taken,
)
from ftvm.replication.party import Party
from ftvm.replication.peers import Takeover
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.protection import Inheritance
from ftvm.replication.pulse import Pulse
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import BACKUP, ArbiterState, Automaton, BackupState, BackupTrigger
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset


class BackupProtocol(Party):
    """One backup, from its greeting until it ends, halts or goes live."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        channels: tuple[Channel, ...] = (CONSOLE,),
        needs_state: bool = False,
    ) -> None:
        """Begin with a machine at its start state, or without one; call `peer_connected` next."""
        events: deque[Event] = deque()
        console = ConsoleService(identity, settings, channels, events.append)
        super().__init__(identity, settings, console, events, InstructionCount(0), LogPosition(0))
        self._channels = channels
        self._automaton = Automaton(BACKUP, BackupState.JOINING)
        self._arbiter: Arbiter | None = None
        self._link: Link | None = None
        self._primary = ""
        self._decoder = FrameDecoder.for_logging()
        self._pulse: Pulse | None = None
        self._answered = False
        self._greet_until: Nanoseconds | None = None
        self._incoming = IncomingLog(settings.log_unmarked_bytes_max)
        self._exited: Exited | None = None
        self._farewell: Goodbye | None = None
        self._primary_exited: Exited | None = None
        self._told_executed = InstructionCount(0)
        self._awaited = False
        """Whether output waits for us to acknowledge a mark that has come."""
        self._tell_at: Nanoseconds | None = None
        """When to say how far we are, if nothing else is to be said before."""
        self._needs_state = needs_state
        self._pieces = self._told_pieces = 0
        self._handed_over = False
        self._inheritance = Inheritance(self.console.outputs, self.console.inputs)
        self.generation = Generation(0)
        self._told_mark = self.mark

    # --- what the caller may ask ---------------------------------------------------

    @property
    def state(self) -> BackupState:
        """What this backup is doing."""
        return self._automaton.state

    @property
    def over(self) -> bool:
        """Whether it has ended, halted or gone live: nothing handed in has any effect."""
        return self.state in (BackupState.ENDED, BackupState.HALTED, BackupState.LIVE)

    @property
    def mark(self) -> Mark:
        """The newest mark."""
        return self._incoming.mark

    @property
    def run_limit(self) -> InstructionCount:
        """Count up to which the machine may run now: the newest mark."""
        return self.mark.count

    @property
    def wait(self) -> Wait | None:
        """Why the machine must not run now, or None if it may."""
        if self.over:
            return Wait.OVER
        if self.state in (BackupState.JOINING, BackupState.RECEIVING):
            return Wait.NOT_STARTED
        return Wait.LOG_EMPTY if self._at_mark else None

    @property
    def awaits_peer(self) -> bool:
        """Whether log has come and no mark that covers it."""
        return self._link is not None and self._incoming.unmarked_bytes > 0

    @property
    def _at_mark(self) -> bool:
        return (self.count, self.position) == (self.mark.count, self.mark.position)

    def _deadlines(self) -> list[Nanoseconds | None]:
        if self._arbiter is not None:
            return [self._arbiter.deadline()]
        if self._pulse is not None:
            return [self._pulse.deadline(), self._tell_at]
        return [self._greet_until if self._link is not None else None]

    # --- connections -------------------------------------------------------------------

    def peer_connected(self, link: Link, now: Nanoseconds) -> None:
        """Greet the primary on its logging channel; there is one primary, and one attempt."""
        if self._link is not None:
            raise ValueError("a backup has one primary")
        self._link = link
        self._greet_until = Nanoseconds(now + self._settings.greeting_timeout_ns)
        self._events.append(Send(link, self._hello()))

    def _hear(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        if link == self._link:
            if self._pulse is not None:  # any byte will do: a message can take long
                self._pulse.heard(now)
            self._decoder.feed(data)
            try:
                while (
                    self._link is not None and (message := self._decoder.next_message()) is not None
                ):
                    self._take(link, message, now)
            except ProtocolError as error:
                self._lose_primary(LossCause.BROKE_PROTOCOL, str(error))
            # One acknowledgement for all marks that came together.
            waits = self._awaited or not self._soon_there
            if self._link is not None and self.mark != self._told_mark and waits:
                self._acknowledge(link)

    @property
    def _soon_there(self) -> bool:
        """Whether the word that the mark was executed comes at once, and says it all."""
        left = self.mark.count - self.count
        return 0 < left <= self._settings.near_count

    def _hung_up(self, link: Link) -> None:
        if link == self._link:
            self._lose_primary(LossCause.CLOSED, "")

    def _look_at_console(self) -> None:
        """Nothing a console says to a backup matters but that it is there."""

    # --- the machine -------------------------------------------------------------------

    def state_complete(self, digest: bytes) -> None:
        """Note that the machine made of the pieces stands where StateGiven said, with `digest`."""
        if self.over:
            return
        self._automaton.fire(BackupTrigger.COMPLETE)
        if self._link is not None:
            self._events.append(Send(self._link, Complete(self.count, digest)))

    def output_made(self, channel: Channel, count: InstructionCount, data: bytes) -> None:
        """Take output that the machine made, to be kept in case this node goes live."""
        self.console.outputs[channel].produce(count, self.mark.position, data)

    def input_consumed(
        self, channel: Channel, offset: StreamOffset, count: InstructionCount
    ) -> None:
        """Note that the machine took, from the log, all input before `offset`."""
        stream = self.console.inputs[channel]
        stream.consume(offset, count, self.mark.position)
        # Where this log came from it was safe, or will be when this node is all there is.
        stream.settle(lambda _count, _position: True)

    def executed(self, count: InstructionCount, position: LogPosition, now: Nanoseconds) -> None:
        """Note that the machine has executed `count` instructions and used log to `position`."""
        if self.over:
            return
        if not self.count <= count <= self.mark.count:
            raise ValueError(f"machine at {count}, was {self.count}, mark {self.mark.count}")
        if not self.position <= position <= self.mark.position:
            raise ValueError(f"log used to {position}, mark at {self.mark.position}")
        self.count, self.position = count, position
        if self._exited is not None and count < self.mark.count:
            self.diverged(count, "the guest ends here, and the primary's goes on")
            return
        if self._link is not None and count > self._told_executed:
            self._tell_executed(self._link, now)
        self.flow.waits(self.wait, now)
        self._look_at_mark()

    def _tell_executed(self, link: Link, now: Nanoseconds) -> None:
        """Say how far the machine is, or leave it to what is said next."""
        settings, did = self._settings, self.count - self._told_executed
        if did >= settings.mark_count_max:  # a primary stopped by the lag bound goes on smoothly
            self._acknowledge(link)
        elif self._at_mark:
            if self.mark == self._told_mark and did <= settings.near_count:
                self._tell_at = self._tell_at or Nanoseconds(now + settings.word_delay_ns)
            else:
                self._acknowledge(link)

    def exited(self, count: InstructionCount, status: int, digest: bytes) -> None:
        """Note that the guest has ended at `count`; call `executed` as well."""
        self._exited = Exited(self.generation, status, count, digest)

    def diverged(self, count: InstructionCount, detail: str) -> None:
        """Give up: the machine is not equal to the primary's."""
        if self.over:
            return
        line = DETAIL.fit(detail)
        if self._link is not None:
            self._events.append(Send(self._link, Diverged(count, line)))
        self._automaton.fire(BackupTrigger.DIVERGED)
        self._events.append(Halt(HaltCause.DIVERGED, f"at instruction {count}: {line}"))

    # --- store, time, and the caller's decisions ----------------------------------------

    def store_answered(self, outcome: Outcome, now: Nanoseconds) -> None:
        """Take the store's answer to the last AskStore."""
        if self.over or self._arbiter is None:
            return
        self._arbiter.answered(outcome, now)
        if isinstance(outcome, Lost):
            self._automaton.fire(BackupTrigger.LOST)
            detail = f"generation {outcome.generation} belongs to {outcome.owner}"
            self._events.append(Halt(HaltCause.LOST_ARBITRATION, detail))
        elif self._arbiter.state is ArbiterState.IDLE:
            self._automaton.fire(BackupTrigger.WON)
            self.generation = self._arbiter.generation
            inputs = tuple(
                (channel, stream.consumed) for channel, stream in self.console.inputs.items()
            )
            self._events.append(GoLive(self.generation, self.count, self.position, inputs))

    def promote(self) -> PrimaryProtocol:
        """Return the primary that this backup has become; call once, after GoLive.

        It takes over the console connections and any events not yet fetched.
        """
        if self.state is not BackupState.LIVE:
            raise ValueError(f"a backup that is {self.state} cannot be promoted")
        takeover = Takeover(
            self.generation, self.count, self.position, self.console, self._exited, self._events
        )
        return PrimaryProtocol(self.identity, self._settings, self._channels, takeover)

    def tick(self, now: Nanoseconds) -> None:
        """Do what has fallen due."""
        if self.over:
            return
        self.flow.waits(self.wait, now)
        self.console.tick(now)
        if self._arbiter is not None:
            if (question := self._arbiter.tick(now)) is not None:
                self._events.append(question)
        elif self._pulse is not None and self._link is not None:
            if self._pulse.silent(now):
                self._lose_primary(LossCause.SILENT, "")
                return
            if self._tell_at is not None and now >= self._tell_at:
                self._acknowledge(self._link)
            self._events.extend(self._beats(now))
        elif self._greet_until is not None and now >= self._greet_until:
            self._lose_primary(LossCause.SILENT, "no answer to the greeting")

    def stop(self, detail: str = "") -> None:
        """Leave on the user's request; the primary goes on alone."""
        if not self._automaton.allows(BackupTrigger.STOPPED):
            return
        self._automaton.fire(BackupTrigger.STOPPED)
        if self._link is not None:
            farewell = Goodbye(Reason.USER_ACTION, 0, DETAIL.fit(detail))
            self._events.append(Send(self._link, farewell))
        self._events.append(Ended(Reason.USER_ACTION, 0))

    def _beats(self, now: Nanoseconds) -> Iterator[Send]:
        if self._pulse is not None and self._link is not None and self._pulse.beat_due(now):
            yield Send(self._link, self._pulse.beat(self.count))

    # --- inside --------------------------------------------------------------------------

    def _hello(self) -> Hello:
        return greeting(
            self.identity, Role.BACKUP, self.generation, self.count, self.position,
            self._needs_state,
        )  # fmt: skip

    def _take(self, link: Link, message: Message, now: Nanoseconds) -> None:
        if not self._answered:
            self._take_answer(link, message, now)
            return
        match message:
            case Entries():
                self._incoming.take(message)
            case Mark() if self._handed_over:
                self._take_mark(message)
            case Released(channel, offset, wanted):
                if (stream := self.console.outputs.get(channel)) is None:
                    raise ProtocolError(f"output of unknown channel {channel}")
                stream.wanted = wanted
                stream.confirm(offset)
            case Heartbeat() if self._pulse is not None:
                self._pulse.felt(message)
            case State(piece) if self.state is BackupState.RECEIVING and not self._handed_over:
                self._take_piece(link, piece)
            case Kept() if self.state is BackupState.RECEIVING and not self._handed_over:
                self._inheritance.keep(message)
            case Handover() if self.state is BackupState.RECEIVING and not self._handed_over:
                self._take_handover(message)
            case Commit(generation) if self.state is BackupState.READY:
                if generation != self.generation:
                    raise ProtocolError(f"pair of generation {generation}, not {self.generation}")
                self._automaton.fire(BackupTrigger.COMMITTED)
                self._events.append(PeerJoined(link, self._primary, generation))
            case Exited():
                self._primary_exited = message
            case Goodbye(Reason.SWITCH_OVER, _, detail):
                self._lose_primary(LossCause.LEFT, detail)
            case Goodbye():
                self._farewell = message
                self._link = self._pulse = None
                self._automaton.fire(BackupTrigger.GOODBYE)
                self._events.append(Close(link, "primary left"))
                if self.state is BackupState.ENDED:  # never had a machine
                    self._events.append(Ended(message.reason, message.status))
                self._look_at_mark()
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for a backup to receive")

    def _take_answer(self, link: Link, message: Message, now: Nanoseconds) -> None:
        if self._pulse is None:
            self._pulse = Pulse(self._settings, now)
        if isinstance(message, Heartbeat):
            self._pulse.felt(message)
            return  # it is there, and cannot say yes or no yet
        if isinstance(message, Goodbye):
            raise ProtocolError(f"refused: {message.detail}")
        if not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before a greeting")
        if (why := misfit(self._hello(), message)) is not None:
            raise ProtocolError(why)
        comes = self._needs_state
        self._automaton.fire(BackupTrigger.STATE_COMES if comes else BackupTrigger.ACCEPTED)
        self._handed_over = not comes
        self._answered = True
        self.generation, self._primary = message.generation, message.node
        self.identity = replace(
            self.identity, run=message.run, image=message.image, config=message.config
        )
        if message.lag_ns != ANY_LAG:  # a bound is the pair's, whoever is its primary
            self._settings = self._settings.with_lag(message.lag_ns)
        self.console.run = message.run
        self.console.announce(Role.BACKUP, self.generation)
        if not comes:
            self._events.append(PeerJoined(link, message.node, self.generation))

    def _take_piece(self, link: Link, piece: bytes) -> None:
        self._events.append(FeedState(piece))
        self._pieces += 1
        # Not for each, or the primary's guest is interrupted each time.
        if self._pieces - self._told_pieces >= max(self._settings.state_pieces_max // 4, 1):
            self._told_pieces = self._pieces
            self._events.append(Send(link, Taken(self._pieces)))

    def _take_handover(self, given: Handover) -> None:
        self._inheritance.enter(given)
        self._handed_over = True
        self.count, self.position = given.count, given.position
        self._incoming.begin(given.count, given.position)
        self._told_mark, self._told_executed = self.mark, given.count
        self._events.append(StateGiven(given.count, given.position, given.outputs))

    def _take_mark(self, mark: Mark) -> None:
        position = self.mark.position
        self._awaited = self._awaited or mark.awaited
        if covered := self._incoming.cover(mark):
            self._events.append(FeedLog(position, covered))

    def _acknowledge(self, link: Link) -> None:
        self._told_mark, self._told_executed = self.mark, self.count
        self._awaited, self._tell_at = False, None
        self._events.append(Send(link, Ack(self.mark.count, self.mark.position, self.count)))

    def _lose_primary(self, cause: LossCause, detail: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._events.append(Close(link, detail or cause.value))
        if self.state is BackupState.JOINING:
            self._automaton.fire(BackupTrigger.REFUSED)
            self._events.append(Halt(HaltCause.REFUSED, detail or cause.value))
        elif self.state in (BackupState.RECEIVING, BackupState.READY):
            self._automaton.fire(BackupTrigger.PRIMARY_LOST)
            self._events.append(Halt(HaltCause.UNPROTECTED, detail or cause.value))
        elif self.state is BackupState.FOLLOWING:
            self._events.append(PeerLost(cause, detail, self.count))
            self._automaton.fire(BackupTrigger.PRIMARY_LOST)
            self._look_at_mark()

    def _look_at_mark(self) -> None:
        if not self._at_mark:
            return
        if self.state is BackupState.CATCHING_UP:
            self._stand_for_election()
        elif self.state is BackupState.ENDING:
            self._end()

    def _stand_for_election(self) -> None:
        for channel, stream in self.console.outputs.items():
            if stream.confirmed > stream.produced:
                self.diverged(
                    self.count,
                    f"output {channel} was released to {stream.confirmed},"
                    f" this machine made only {stream.produced}",
                )
                return
        self._automaton.fire(BackupTrigger.CAUGHT_UP)
        self._arbiter = Arbiter(
            self.identity.node, self.generation, self._settings.store_retry_interval_ns
        )
        self._events.append(self._arbiter.claim())

    def _end(self) -> None:
        assert self._farewell is not None
        reason, status = self._farewell.reason, self._farewell.status
        mine, theirs = self._exited, self._primary_exited
        if reason is Reason.GUEST_ENDED and (mine is None or mine.status != status):
            made = "goes on" if mine is None else f"ended with status {mine.status}"
            self.diverged(self.count, f"guest ended with status {status}, here it {made}")
            return
        if mine is not None and theirs is not None and mine.digest != theirs.digest:
            what = f"the digest at the guest's end is {mine.digest.hex()}"
            self.diverged(self.count, f"{what}, and the primary's is {theirs.digest.hex()}")
            return
        self._automaton.fire(BackupTrigger.CAUGHT_UP)
        self._events.append(Ended(reason, status))
