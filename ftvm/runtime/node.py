"""One replica: a guest, a protocol object and its connections.

Whoever starts it gives it a transport with a listener, and is told what becomes
of it: node_process.py under a supervisor, host.py on a host of its own. The loop
hands the protocol what happened, acts on what it asks for, and runs the guest as
far as it allows; all on one thread. While the guest runs, a readable socket ends
the run within a few slices.
"""

import os
from collections.abc import Callable
from functools import partial

from ftvm.errors import HostError, StateError
from ftvm.machine.cpu import FOREVER
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.replication.arbitration import Outcome, Unreachable
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import (
    AskStore,
    Close,
    ConsoleAttached,
    Ended,
    Event,
    ExitDue,
    FeedLog,
    FeedState,
    GenerationWon,
    GoLive,
    Halt,
    HaltCause,
    InputArrived,
    Link,
    PeerJoined,
    PeerLost,
    ProtectionFailed,
    Send,
    StateGiven,
    StateWanted,
)
from ftvm.replication.framing import Kind
from ftvm.replication.messages import CONSOLE, Reason
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import settings_for
from ftvm.replication.states import PrimaryState
from ftvm.runtime import control
from ftvm.runtime.boot_files import configured_files
from ftvm.runtime.channels import CHANNELS
from ftvm.runtime.clock import now_ns
from ftvm.runtime.entrance import Admitted, Entrance
from ftvm.runtime.evidence import leave_evidence
from ftvm.runtime.guest import Guest, boot, restore
from ftvm.runtime.happenings import Closed, Happening, Received
from ftvm.runtime.identity import identity_of
from ftvm.runtime.journal_file import JournalFile
from ftvm.runtime.node_disks import NodeDisks
from ftvm.runtime.observers import Observers
from ftvm.runtime.protection import Protector, Recruit
from ftvm.runtime.run_recorder import prepare
from ftvm.runtime.status import HostStatus, Transfer
from ftvm.runtime.status_keeper import StatusKeeper
from ftvm.runtime.store_asker import StoreAsker
from ftvm.runtime.store_url import parse_store_url
from ftvm.runtime.succession import Succession
from ftvm.runtime.transport import Transport
from ftvm.runtime.turns import LiveTurns, ReplayTurns
from ftvm.runtime.vigil import Vigil
from ftvm.units import LogPosition, Nanoseconds


class Node:
    """A replica from its start to its end."""

    def __init__(
        self,
        config: control.NodeConfig,
        transport: Transport,
        store_asker: StoreAsker[Outcome],
        tell: Callable[[control.Told], None],
        journal: JournalFile | None,
    ) -> None:
        self.config = config
        self._transport = transport
        self._store_asker = store_asker
        self._store_url = parse_store_url(config.store_url)
        self._tell_outside = tell
        self._observers = Observers(config, journal, transport.flush)
        self._crash = self._observers.arm("primary" if config.role == "primary" else "backup")
        self._disks = NodeDisks(config.disks, self._observers.commits)
        machine = MachineConfig(config.memory_bytes, config.epoch_s, self._disks.configs)
        files = configured_files(config)
        identity = identity_of(config, files, machine)
        self._settings = settings_for(
            Nanoseconds(config.failure_timeout_ns), Nanoseconds(config.lag_bound_ns)
        )
        self._entrance = Entrance(
            transport, self._settings, self.status, lambda line: tell(control.Refused(line))
        )
        self._status = StatusKeeper(config.name, config.image_name, config.solo)
        self._protocol: PrimaryProtocol | BackupProtocol
        self._held_guest: Guest | None = None
        self._turns: LiveTurns | ReplayTurns | None = None
        self._protector: Protector | None = None
        self._recruit = Recruit(self._disks.images)
        if files is None:
            self._protocol = BackupProtocol(identity, self._settings, CHANNELS, needs_state=True)
        else:
            images = self._disks.images
            is_state = config.is_state
            booted = restore(files.image, images) if is_state else boot(files, machine, images)
            booted.screen.watched = config.screen
            if config.role == "primary":
                self._protocol = PrimaryProtocol(identity, self._settings, CHANNELS)
                booted.record()
            else:
                self._protocol = BackupProtocol(identity, self._settings, CHANNELS)
                booted.replay()
            self._hold(booted)
        self._succession = Succession()
        self._vigil = Vigil()
        self._has_console = config.hosted
        self._leaving: str | None = None
        self._over: control.Over | None = None
        self.parting: Reason | None = None
        """Why it ended in good order, once it has."""

    def _hold(self, machine: Machine, output_bytes: int = 0, fed: int = 0) -> None:
        self._held_guest = guest = Guest(machine, self._transport.descriptor, output_bytes)
        guest.arm(self._crash)
        self._observers.recorder = prepare(
            self.config, self._protocol.identity, guest, self._say_alive
        )
        if isinstance(self._protocol, BackupProtocol):
            self._turns = ReplayTurns(guest, self._protocol, LogPosition(fed))
        else:
            self._turns = LiveTurns(guest, self._protocol, self._observers)

    @property
    def _guest(self) -> Guest:
        assert self._held_guest is not None  # nothing runs before there is something to run
        return self._held_guest

    # --- the loop ---

    def run(self) -> control.Over:
        """Be a replica until the protocol says that it is over, and how."""
        self._transport.watch(self._store_asker.descriptor, self._store_answered)
        self._transport.watch(self._disks.descriptor, self._disks_committed)
        self._tell(control.Ready())
        if isinstance(self._protocol, PrimaryProtocol):
            self._protocol.start()
        else:
            link = self._transport.connect(self.config.join_host, self.config.join_port)
            self._protocol.peer_connected(link, now_ns())
        self._act()
        moment = self._guest_moment()
        while self._over is None:
            heard_at = self._hear(moment)
            self._protocol.tick(heard_at)
            self._act()
            moment = self._guest_moment()
            if self._over is None and moment is not None and moment <= now_ns():
                self._transport.flush()  # the guest may take its time
                self._run_guest()
                moment = self._guest_moment()
            if self._over is None and isinstance(self._turns, LiveTurns):
                self._turns.check()
                self._act()
            if self._over is None and self._can_pump():
                self._pump()
                moment = self._guest_moment()
        self._transport.flush()
        stopped = isinstance(self._protocol, PrimaryProtocol) and self.parting is Reason.USER_ACTION
        if stopped and self._begin_commit():  # the disks as they are
            self._end_commit()
        self._observers.recorder.finish(self._over.cause)
        if self._held_guest is not None:
            if self._over.cause == HaltCause.DIVERGED:
                identity, peer = self._protocol.identity, self._status.peer
                leave_evidence(self.config, identity, self._held_guest, peer, self._tell)
            held_max = self._turns.held_bytes_max if isinstance(self._turns, LiveTurns) else 0
            self._tell(self._status.totals(self._protocol, self._held_guest, held_max))
        self._tell(self._over)
        self._transport.part()
        self._transport.unwatch(self._store_asker.descriptor)
        self._transport.unwatch(self._disks.descriptor)
        self._disks.close()
        return self._over

    def _hear(self, guest_moment: Nanoseconds | None) -> Nanoseconds:
        """Take in what has come, and return as of when nothing else has.

        Whoever was silent up to now is judged by that: what he says while this host
        is late, or works at something long, lies in the sockets, and is not silence.
        """
        now = self._take_in(self._transport.poll(Nanoseconds(self._sleep_ns(guest_moment))))
        if isinstance(self._turns, ReplayTurns) and not self._protocol.runnable:
            now = self._keep_vigil(now, None)
        self._entrance.tick(now)
        self._status.note(self._protocol, now)
        return now

    def _keep_vigil(self, now: Nanoseconds, wake_at: Nanoseconds | None) -> Nanoseconds:
        """Stay awake for what the other half is about to say, until `wake_at` at most."""
        protocol = self._protocol
        if not protocol.awaits_peer or (wake_at is not None and wake_at <= now):
            return now
        until = self._vigil.begin(now)
        if wake_at is not None:
            until = min(until, wake_at)
        while self._over is None and protocol.awaits_peer and now < until:
            now = self._take_in(self._transport.poll_awake(Nanoseconds(until - now)))
        return now

    def _take_in(self, happenings: list[Happening]) -> Nanoseconds:
        now = now_ns()
        for happening in happenings:
            match self._entrance.take(happening, now):
                case Admitted(link, kind):
                    self._admit(link, kind, now)
                case Received(link, data):
                    self._receive(link, data, now)
                case Closed(link):
                    self._observers.closed(link)
                    self._protocol.closed(link)
            self._act()
        self._transport.flush()
        if not self._protocol.awaits_peer:
            self._vigil.end(now)
        return now

    def _admit(self, link: Link, kind: Kind, now: Nanoseconds) -> None:
        """Give a connection to the protocol, once that takes it."""
        protocol = self._protocol
        if kind is Kind.CONSOLE:
            protocol.console_connected(link, now)
        elif isinstance(protocol, BackupProtocol):
            self._entrance.turn_away(link, "this host is a backup, and has none itself")
            return
        else:
            protocol.peer_connected(link, now)
        self._receive(link, self._entrance.let_in(link), now)

    def _receive(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        self._observers.received(link, data)
        self._protocol.receive(link, data, now)

    def _sleep_ns(self, guest_moment: Nanoseconds | None) -> int:
        """How long there is nothing to do but to listen, in ns."""
        if self._can_pump():
            return 0
        times = [self._protocol.deadline(), self._entrance.deadline(), guest_moment]
        moments = [moment for moment in times if moment is not None]
        forever = 3_600_000_000_000
        return max(0, min(min(moments, default=now_ns() + forever) - now_ns(), forever))

    def _guest_moment(self) -> Nanoseconds | None:
        """When the guest has its next turn, if only to be killed; None if nothing is known."""
        if self._held_guest is None or self._turns is None:
            return None
        times = (self._turn_moment(self._turns), self._held_guest.crash_deadline())
        return min((moment for moment in times if moment is not None), default=None)

    def _turn_moment(self, turns: LiveTurns | ReplayTurns) -> Nanoseconds | None:
        if isinstance(turns, LiveTurns) and not self._has_console:
            return None  # without a console to tell, a guest's end would be lost
        moment = turns.moment()
        if moment is None or self._protector is None:
            return moment
        return max(moment, self._protector.turn_at)

    # --- the guest ---

    def _run_guest(self) -> None:
        turns = self._turns
        if isinstance(turns, ReplayTurns):
            if self._vigil.is_kept:
                os.sched_yield()  # who is awake for our word may be waiting for this processor
            turns.run()
            self._act()
        elif turns is not None:
            if turns.give_input():
                self._act()
                self._transport.flush()
            turns.run(FOREVER if self._protector is None else self._protector.begin_turn())
            self._act()
            self._transport.flush()
            if self._over is None:
                turns.rest()
                self._keep_vigil(now_ns(), self._guest.wake_at())

    def _say_alive(self) -> None:
        """In the middle of long work: nobody shall take us for dead."""
        for beat in self._protocol.beats(now_ns()):
            self._transport.send(beat.link, beat.data)
        self._transport.flush()

    # --- the guest's state, for a new backup ---

    def _can_pump(self) -> bool:
        protocol = self._protocol
        waits = self._protector is not None and isinstance(protocol, PrimaryProtocol)
        return waits and protocol.state_room > 0  # type: ignore[union-attr]

    def _transfer(self) -> Transfer | None:
        return self._recruit.transfer if self._protector is None else self._protector.transfer

    def _tell_transfer(self) -> None:
        if (told := self._status.transferring(self._transfer())) is not None:
            self._tell(told)

    def _pump(self) -> None:
        protocol, protector = self._protocol, self._protector
        assert isinstance(protocol, PrimaryProtocol)
        assert protector is not None
        was_last = protector.pump(protocol)
        self._act()
        self._tell_transfer()
        if was_last:
            protector.sent()

    def _joined(self, generation: int) -> None:
        self._act()
        if self._protector is not None:
            self._tell(self._protector.report(generation))
            self._protector = None
        self._tell(control.Paired(self._guest.machine.count))
        if self._leaving is not None:
            self.leave(self._leaving)

    def _failed(self, failure: ProtectionFailed) -> None:
        assert self._protector is not None
        if self._guest.end is None:  # else nobody needs a backup any more
            self._tell(self._protector.failure(failure.cause.value, failure.detail))
        self._protector = None
        if self._leaving is not None:
            self._protocol.stop(self._leaving)

    def _feed_state(self, protocol: BackupProtocol, piece: bytes) -> None:
        try:
            self._recruit.feed(piece)
            self._tell_transfer()
        except StateError as error:
            protocol.diverged(protocol.count, str(error))

    def _take_machine(self, protocol: BackupProtocol, given: StateGiven) -> None:
        try:
            machine = self._recruit.complete(given)
        except StateError as error:
            protocol.diverged(given.count, str(error))
            return
        self._hold(machine, dict(given.outputs)[CONSOLE], given.position)
        protocol.state_complete(machine.state_digest())

    # --- what the protocol asks for ---

    def _act(self) -> None:
        while (event := self._protocol.next_event()) is not None:
            self._observers.before(event, self._protocol)
            self._do(event)
            self._observers.after(event)

    def _do(self, event: Event) -> None:
        match event:
            case Send(link, _):
                self._transport.send(link, event.data)
            case Close(link, _):
                self._transport.close(link)
            case FeedLog(_, data) if isinstance(self._turns, ReplayTurns):
                self._turns.take_log(data)
            case ConsoleAttached(_, node):
                self._has_console, self._status.console = True, node
            case InputArrived() if isinstance(self._turns, LiveTurns):
                self._turns.take_input(event)
            case AskStore(expected, owner):
                self._succession.asks()
                store = self._store_url.open(self._protocol.console.run)
                self._store_asker.ask(partial(store.advance, expected, owner))
            case GenerationWon():
                self._won(event)
            case GoLive():
                self._go_live(event)
            case StateWanted(_, node):
                self._status.peer = node
                self._protector = Protector(self._guest, node)
            case ProtectionFailed():
                self._failed(event)
            case FeedState(piece) if isinstance(self._protocol, BackupProtocol):
                self._feed_state(self._protocol, piece)
            case StateGiven() if isinstance(self._protocol, BackupProtocol):
                self._take_machine(self._protocol, event)
            case PeerJoined(_, node, generation):
                self._status.joined(node)
                self._joined(generation)
            case PeerLost():
                self._status.lost(event)
                self._tell(self._succession.lost(event))
            case ExitDue():
                self._commit()
            case Halt(cause, detail):
                self._over = control.Over(cause.value, detail)
            case Ended(reason, _):
                self.parting = reason
                self._over = control.Over("", "")

    # --- the guest's disks ---

    def _commit(self) -> None:
        """Put into their images what was written to the disks, before the guest's end is told."""
        if not self._begin_commit():
            self._exit_ready()

    def _disks_committed(self) -> None:
        if self._end_commit():
            self._exit_ready()
            self._act()

    def _begin_commit(self) -> bool:
        begun = self._disks.begin_commit(self._guest.machine, self._protocol.identity.run)
        if begun:
            self._tell(control.Committing())
        return begun

    def _end_commit(self) -> bool:
        try:
            self._disks.end_commit()
        except HostError as error:
            self._over = control.Over(HaltCause.DISK.value, str(error))
            return False
        return True

    def _exit_ready(self) -> None:
        if isinstance(self._protocol, PrimaryProtocol):
            self._protocol.exit_ready()

    def _store_answered(self) -> None:
        outcome = self._store_asker.answer()
        if isinstance(outcome, Unreachable):
            self._tell(control.Waits(outcome.detail))
        self._protocol.store_answered(outcome, now_ns())
        self._act()

    def _won(self, won: GenerationWon) -> None:
        protocol = self._protocol
        assert isinstance(protocol, PrimaryProtocol)
        if protocol.state is PrimaryState.AWAITING and (self.config.solo or self.config.hosted):
            protocol.run_alone()
        if (alone := self._succession.won(won, protocol.count)) is not None:
            self._tell(alone)

    def _go_live(self, event: GoLive) -> None:
        assert isinstance(self._protocol, BackupProtocol)
        live = self._succession.go_live(event, self._guest, self._protocol.unconfirmed_bytes)
        self._protocol = self._protocol.promote()
        self._turns = LiveTurns(self._guest, self._protocol, self._observers)
        self._guest.arm(self._observers.arm("primary"))
        self._tell(live)

    # --- whoever started it ---

    def _tell(self, told: control.Told) -> None:
        self._transport.flush()  # the other half knows before anybody else hears of it
        self._tell_outside(told)

    @property
    def guest(self) -> Guest | None:
        """The guest, if there is one here."""
        return self._held_guest

    def status(self) -> HostStatus:
        """Say how this node is."""
        return self._status.status(self._protocol, self._held_guest, self._transfer())

    def measured(self) -> control.Measured:
        """Say how this node is, with what it measured if that was asked for."""
        return self._observers.measured(self.status())

    def stop(self, detail: str) -> None:
        """End because the user wants it, and with a primary its backup."""
        self._protocol.stop(detail)
        self._act()

    def leave(self, detail: str) -> bool:
        """Leave the guest to the other half of the pair, or stop it if there is none.

        False if that has to wait for a new backup that is on its way.
        """
        protocol = self._protocol
        if isinstance(protocol, BackupProtocol):
            protocol.stop(detail)
        elif protocol.state is PrimaryState.PROTECTING:
            self._leaving = detail
            return False
        else:
            paired = protocol.state is PrimaryState.PAIRED
            protocol.stop(detail, Reason.SWITCH_OVER if paired else Reason.USER_ACTION)
        self._act()
        return True
