"""The primary: computes first, sends its log, and holds outputs until the backup could make them.

What the caller does with it, in a loop:

1. hand in what happened outside: connections, bytes, the store's answers, time (`tick`);
2. let the machine run while `runnable`, to `run_limit` at most, and hand in what it did:
   `log_produced` (and `forward_log`), `output_made`, `input_consumed`, and at last
   `executed`, which is when the rest of it is sent and anything is released;
3. act on `next_event()` until there is none;
4. let the machine rest after a slice of running for as long as `rest` says;
5. after StateWanted, give pieces of its machine's state to `send_state` as there is
   `state_room`, and at last, while the machine stands still, `hand_over`.

Bytes that have arrived are handed in before `tick`, so that a node that was
itself delayed does not take that for the peer's silence.
"""

from collections import deque
from collections.abc import Iterator

from msgspec.structs import replace

from ftvm.errors import ProtocolError
from ftvm.replication.arbitration import Arbiter, Lost, Outcome, Won
from ftvm.replication.console import ConsoleService
from ftvm.replication.events import (
    Close,
    Ended,
    Event,
    ExitDue,
    GenerationWon,
    Halt,
    HaltCause,
    Link,
    LossCause,
    PeerJoined,
    PeerLost,
    ProtectionFailed,
    Send,
    StateWanted,
)
from ftvm.replication.flow import Wait
from ftvm.replication.guest_exit import GuestExit
from ftvm.replication.handshake import greeting, misfit
from ftvm.replication.lockstep import NO_LAG, Lag, Lockstep
from ftvm.replication.messages import (
    CONSOLE,
    DETAIL,
    Ack,
    Channel,
    Commit,
    Complete,
    Diverged,
    Exited,
    Goodbye,
    Hello,
    Mark,
    Message,
    Reason,
    Role,
    Taken,
)
from ftvm.replication.party import Party
from ftvm.replication.peers import Backup, Progress, Takeover
from ftvm.replication.protection import Protection, handover
from ftvm.replication.pulse import Pulse
from ftvm.replication.reception import Candidate, Reception
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import PRIMARY, Automaton, PrimaryState, PrimaryTrigger
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset

_OVER = (PrimaryState.ENDED, PrimaryState.HALTED)
_NOT_STARTED = (PrimaryState.CLAIMING, PrimaryState.AWAITING)


class PrimaryProtocol(Party):
    """One primary, from its boot or from its going live."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        channels: tuple[Channel, ...] = (CONSOLE,),
        takeover: Takeover | None = None,
    ) -> None:
        """Begin at the boot of a run (then call `start`), or go on from a backup's end."""
        events: deque[Event] = deque() if takeover is None else takeover.events
        self._automaton = Automaton(PRIMARY, PrimaryState.CLAIMING)
        self._reception = Reception(settings, events.append)
        self._backup: Backup | None = None
        self._protection: Protection | None = None
        self._exit = GuestExit(settings, None if takeover is None else takeover.exited)
        count, position, held = InstructionCount(0), LogPosition(0), Generation(0)
        if takeover is None:
            console = ConsoleService(identity, settings, channels, events.append)
        else:
            self._automaton.state = PrimaryState.SOLO
            count, position, held = takeover.count, takeover.position, takeover.generation
            console = takeover.console
        super().__init__(identity, settings, console, events, count, position)
        self._arbiter = Arbiter(identity.node, held, settings.store_retry_interval_ns)
        self.lockstep = Lockstep(settings, count, position, self.flow.now)
        if takeover is not None:
            self._won()

    # --- what the caller may ask ---------------------------------------------------

    @property
    def state(self) -> PrimaryState:
        """What this primary is doing."""
        return self._automaton.state

    @property
    def generation(self) -> Generation:
        """The generation it holds; 0 before the first."""
        return self._arbiter.generation

    @property
    def over(self) -> bool:
        """Whether it has ended or halted: nothing handed in has any effect any more."""
        return self._automaton.state in _OVER

    @property
    def wait(self) -> Wait | None:
        """Why the guest must not run now, or None if it may."""
        if self._exit.exited is not None or self.over:
            return Wait.OVER
        if self._automaton.state in _NOT_STARTED:
            return Wait.NOT_STARTED
        if self.console.output_full:
            return Wait.OUTPUT_FULL
        if not self.shares_log:
            return None
        lag = self.lockstep.lag(self.count, self.flow.now)
        return self.flow.bound_reached(self.lockstep.unacknowledged(self.position), lag)

    @property
    def lag(self) -> Lag:
        """How far the backup is behind, as of the last time handed in; nothing without one."""
        return self.lockstep.lag(self.count, self.flow.now) if self.shares_log else NO_LAG

    @property
    def awaits_peer(self) -> bool:
        """Whether output waits for the backup's acknowledgement."""
        return self._automaton.state is PrimaryState.PAIRED and self.console.holds_output

    def rest(self, ran_ns: int, now: Nanoseconds) -> Nanoseconds:
        """Return how long the guest must rest after a slice that took `ran_ns`: see flow.py."""
        self.flow.waits(self.wait, now)
        return self.flow.rest(ran_ns, self.lag)

    @property
    def run_limit(self) -> InstructionCount | None:
        """Count up to which the guest may run now; None for no bound."""
        if not self.runnable:
            return self.count
        if not self.shares_log:
            return None
        limit = InstructionCount(self.lockstep.executed + self._settings.lag_count_max)
        mark_at = InstructionCount(self.lockstep.marked.count + self._settings.mark_count_max)
        return min(limit, mark_at) if mark_at > self.count else limit

    @property
    def state_room(self) -> int:
        """How many pieces of state may be sent to a new backup now."""
        return 0 if self._protection is None else self._protection.room

    def _deadlines(self) -> list[Nanoseconds | None]:
        due = None if self._backup is None else self._backup.deadline(self._progress)
        times = [self._arbiter.deadline(), self._reception.deadline(), due]
        if self._backup is not None and self.shares_log:
            times.append(self.lockstep.mark_due_at(Mark(self.count, self.position)))
        return times

    # --- decisions of the caller -----------------------------------------------------

    def start(self) -> None:
        """Ask for the first generation; the guest waits for it, and for a backup."""
        self._events.append(self._arbiter.claim())

    def run_alone(self) -> None:
        """Stop waiting for a first backup: from AWAITING to SOLO."""
        self._automaton.fire(PrimaryTrigger.RUN_ALONE)
        self._settle()

    def stop(self, detail: str = "", reason: Reason = Reason.USER_ACTION) -> None:
        """End on the user's request: the backup ends too or, for SWITCH_OVER, goes on."""
        if self._automaton.allows(PrimaryTrigger.STOPPED):
            self._leave(PrimaryTrigger.STOPPED, reason, 0, detail)

    # --- connections -------------------------------------------------------------------

    def peer_connected(self, link: Link, now: Nanoseconds) -> None:
        """Take a connection on the logging channel; it must greet in time."""
        if not self.over:
            self._reception.connected(link, now)

    def _hear(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        if self._reception.owns(link):
            if (greeted := self._reception.receive(link, data, now)) is not None:
                self._answer(greeted, now)
        elif self._backup is not None and self._backup.link == link:
            self._receive_from_backup(self._backup, data, now)

    def _hung_up(self, link: Link) -> None:
        self._reception.closed(link)
        if self._backup is not None and self._backup.link == link:
            self._lose_backup(LossCause.CLOSED, "")

    # --- the machine -------------------------------------------------------------------

    def log_produced(self, data: bytes) -> None:
        """Take the next bytes of the log: whole entries."""
        self.position = LogPosition(self.position + len(data))
        if self._backup is not None and self.shares_log:
            self._backup.add_log(data)

    def forward_log(self) -> None:
        """Send the log so far, ahead of its mark: the backup is awake when that comes."""
        if self._backup is not None and self.shares_log:
            self._backup.send_log(self.position)

    def output_made(self, channel: Channel, count: InstructionCount, data: bytes) -> None:
        """Take output that the machine made when it had executed `count` instructions.

        `count` includes the instruction that made it; more than the next
        `executed` says is taken as that. Whatever influenced the output must
        have been given to `log_produced` before.
        """
        self.console.outputs[channel].produce(count, self.position, data)
        self.lockstep.awaited = True

    def input_consumed(
        self, channel: Channel, offset: StreamOffset, count: InstructionCount
    ) -> None:
        """Note that the machine took all input before `offset`, logged with `log_produced`."""
        self.console.inputs[channel].consume(offset, count, self.position)

    def executed(self, count: InstructionCount, now: Nanoseconds) -> None:
        """Note that the machine has executed `count` instructions, and send what is new."""
        if count < self.count:
            raise ValueError(f"machine at instruction {count} after {self.count}")
        self.count = count
        for stream in self.console.outputs.values():
            if stream.held:
                stream.reached(count)
        self._publish(now)
        self._settle()

    def exited(self, count: InstructionCount, status: int, digest: bytes, now: Nanoseconds) -> None:
        """Note that the guest has ended at `count`; told outside as an output of that count."""
        self._exit.happened(Exited(self.generation, status, count, digest), self.position)
        self.lockstep.awaited = True
        if self._backup is not None and not self.shares_log:
            why = "the guest has ended"
            self._backup.send(Goodbye(Reason.REFUSED, 0, why))
            self._lose_backup(LossCause.LEFT, why)
        self.executed(count, now)

    def exit_ready(self) -> None:
        """Go on after ExitDue: all is done that had to be before the guest's end is told."""
        self._exit.is_ready = True
        if not self.over:
            self._settle()

    # --- the machine's state, for a new backup -------------------------------------------

    def send_state(self, piece: bytes, now: Nanoseconds) -> None:
        """Take the next piece of the machine's state, at most `state_room` of them."""
        if self._protection is None or self._protection.handed_over:
            raise ValueError("a piece of state that nobody asked for")
        self._protection.send(piece, now)

    def hand_over(self, pieces: list[bytes], digest: bytes, now: Nanoseconds) -> None:
        """Take the last pieces, and the digest of the machine that all pieces make.

        The machine stands where it was last said to, and all that it did was handed in.
        """
        for piece in pieces:
            self.send_state(piece, now)
        assert self._backup is not None
        assert self._protection is not None
        given = handover(self.count, self.position, self.console.outputs, self.console.inputs)
        self._protection.hand_over(given, digest, now)
        self.lockstep = Lockstep(self._settings, self.count, self.position, now)
        self._backup.give_streams(given, self.console.outputs)

    # --- store and time ------------------------------------------------------------------

    def store_answered(self, outcome: Outcome, now: Nanoseconds) -> None:
        """Take the store's answer to the last AskStore."""
        if self.over:
            return
        self._arbiter.answered(outcome, now)
        if isinstance(outcome, Lost):
            self._automaton.fire(PrimaryTrigger.LOST)
            detail = f"generation {outcome.generation} belongs to {outcome.owner}"
            self._events.append(Halt(HaltCause.LOST_ARBITRATION, detail))
        elif isinstance(outcome, Won):
            self._automaton.fire(PrimaryTrigger.WON)
            self._won()
            for candidate in self._reception.waiting():
                self._answer(candidate, now)

    def tick(self, now: Nanoseconds) -> None:
        """Do what has fallen due."""
        if self.over:
            return
        self.flow.waits(self.wait, now)
        self.console.tick(now)
        if (question := self._arbiter.tick(now)) is not None:
            self._events.append(question)
        self._reception.tick(now)
        if (backup := self._backup) is None:
            return
        if (cause := backup.loss(self._progress, now)) is not None:
            stands = f"at instruction {self.lockstep.executed}"
            self._lose_backup(cause, stands if cause is LossCause.STALLED else "")
        else:
            self._publish(now)
            if beats := list(self._beats(now)):
                self._events.extend(beats)
                self._tell_released()

    def _beats(self, now: Nanoseconds) -> Iterator[Send]:
        if self._backup is not None and (beat := self._backup.beat(self.count, now)) is not None:
            yield beat

    # --- inside: the pair ------------------------------------------------------------------

    @property
    def _alone(self) -> bool:
        """Whether nobody else can go live: outputs leave at once."""
        return self.state in (PrimaryState.SOLO, PrimaryState.PROTECTING)

    @property
    def shares_log(self) -> bool:
        """Whether log and marks go to a backup, or are kept because one was lost just now."""
        state = self._automaton.state
        if state is PrimaryState.PROTECTING:
            return self._protection is not None and self._protection.handed_over
        return state is not PrimaryState.SOLO

    @property
    def _progress(self) -> Progress:
        return self.lockstep if self._protection is None else self._protection

    def _answer(self, candidate: Candidate, now: Nanoseconds) -> None:
        """Say yes or no to one who has greeted, or nothing yet."""
        if self.state is PrimaryState.CLAIMING:
            self._reception.keep_waiting(candidate, now)
            return
        assert candidate.hello is not None
        try:
            self._join(candidate, candidate.hello, now)
        except ProtocolError as error:
            self._reception.refuse(candidate.link, str(error))
            return
        if self._backup is not None:
            self._receive_from_backup(self._backup, b"", now)

    def _join(self, candidate: Candidate, theirs: Hello, now: Nanoseconds) -> None:
        mine = greeting(
            self.identity, Role.PRIMARY, self.generation, self.count, self.position,
            lag_ns=self._settings.lag_ns_max,
        )  # fmt: skip
        if (why := misfit(mine, theirs)) is not None:
            raise ProtocolError(why)
        wants = theirs.needs_state
        trigger = PrimaryTrigger.STATE_WANTED if wants else PrimaryTrigger.BACKUP_JOINED
        if self._exit.exited is not None or not self._automaton.allows(trigger):
            state = "at the guest's end" if self._exit.exited else self.state
            raise ProtocolError(f"no backup can join while this primary is {state}")
        self._automaton.fire(trigger)
        link, pulse = candidate.link, Pulse(self._settings, now)
        self._reception.closed(link)
        self._backup = Backup(
            link, theirs.node, candidate.decoder, pulse, self._settings, self._events.append
        )
        if wants:
            self._backup.send(mine)
            room = self._settings.state_pieces_max
            self._protection = Protection(room, self._backup.send, now)
            self._events.append(StateWanted(link, theirs.node))
            return
        self.lockstep = Lockstep(self._settings, self.count, self.position, now)
        self._events.append(PeerJoined(link, theirs.node, self.generation))
        self._backup.send(mine)
        self._tell_released()

    def _receive_from_backup(self, backup: Backup, data: bytes, now: Nanoseconds) -> None:
        try:
            for message in backup.hear(data, now):
                self._take(message, now)
                if self._backup is not backup:
                    return
        except ProtocolError as error:
            self._lose_backup(LossCause.BROKE_PROTOCOL, str(error))

    def _take(self, message: Message, now: Nanoseconds) -> None:
        match message:
            case Ack() if self.shares_log:
                held_back = self.lockstep.full
                self.lockstep.acknowledge(message, now)
                if held_back:
                    self._publish(now)
                self._settle()
            case Taken() if self._protection is not None:
                self._protection.take(message, now)
            case Complete() if self._protection is not None:
                self._protection.complete(message)
                self._commit(now)
            case Goodbye(_, _, detail):
                self._lose_backup(LossCause.LEFT, detail)
            case Diverged(count, detail):
                self._lose_backup(LossCause.DIVERGED, f"at instruction {count}: {detail}")
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for a primary to receive")

    def _publish(self, now: Nanoseconds) -> None:
        backup, mark = self._backup, Mark(self.count, self.position)
        if backup is not None and self.shares_log and backup.publish(self.lockstep, mark, now):
            self._tell_released()

    def _commit(self, now: Nanoseconds) -> None:
        """Pair up with the backup that is complete: first we, then it.

        Until now nobody else could go live, so what was done left at once: output, and
        the word that input is safe. The backup must come as far before it may go live.
        """
        assert self._backup is not None
        self._protection = None
        if (mark := Mark(self.count, self.position)) != self.lockstep.marked:
            self._backup.mark(self.lockstep, mark, now)
        self._automaton.fire(PrimaryTrigger.BACKUP_JOINED)
        self._events.append(PeerJoined(self._backup.link, self._backup.node, self.generation))
        self._backup.send(Commit(self.generation))
        self._look_at_console()

    def _lose_backup(self, cause: LossCause, detail: str) -> None:
        assert self._backup is not None
        link, self._backup = self._backup.link, None
        if self._protection is not None:
            self._protection = None
            self._events.append(ProtectionFailed(cause, detail))
        else:
            self._events.append(PeerLost(cause, detail, self.count))
        self._events.append(Close(link, detail or cause.value))
        if self._automaton.fire(PrimaryTrigger.BACKUP_LOST) is PrimaryState.ARBITRATING:
            self._events.append(self._arbiter.claim())

    def _won(self) -> None:
        self._events.append(GenerationWon(self.generation))
        self.console.announce(Role.PRIMARY, self.generation)
        self._settle()

    # --- inside: the outside world -----------------------------------------------------------

    def _may_leave(self, count: InstructionCount, position: LogPosition) -> bool:
        """Whether what was done at (count, position) may be seen outside: the output rule."""
        if self._automaton.state is PrimaryState.PAIRED:
            return self.lockstep.acknowledged.covers(count, position)
        return self._alone

    def _settle(self) -> None:
        """Let out what may leave by now."""
        acknowledged = None if self._alone else self.lockstep.acknowledged
        self.console.settle(self._may_leave, acknowledged)
        match self._exit.settle(self._may_leave):
            case Exited() as end:
                self.console.exited(replace(end, generation=self.generation))
            case ExitDue() as due:
                self._events.append(due)
        self.console.flush()
        self._look_at_console()

    def _look_at_console(self) -> None:
        if (newer := self.console.superseded_by) is not None:
            self._automaton.fire(PrimaryTrigger.FENCED)
            self._events.append(Halt(HaltCause.FENCED, f"generation {newer} exists"))
            return
        if self.console.exit_settled and self._automaton.allows(PrimaryTrigger.FINISHED):
            assert self._exit.exited is not None
            status = self._exit.exited.status
            self._leave(PrimaryTrigger.FINISHED, Reason.GUEST_ENDED, status, "")

    def _tell_released(self) -> None:
        if self._backup is not None and self.shares_log:
            self._backup.tell_released(self.console.outputs)

    def _leave(self, trigger: PrimaryTrigger, reason: Reason, status: int, detail: str) -> None:
        self._automaton.fire(trigger)
        if self._backup is not None:
            self.lockstep.awaited = True
            self._publish(self.flow.now)
            if self._exit.exited is not None and reason is Reason.GUEST_ENDED:
                self._backup.send(self._exit.exited)
            self._backup.send(Goodbye(reason, status, DETAIL.fit(detail)))
        self.console.goodbye(reason, status, detail)
        self._events.append(Ended(reason, status))
