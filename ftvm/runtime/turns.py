"""A node's guest and its turns: what goes in, how far it may run, what the protocol is told of it.

A primary's guest lives: it takes input and the host's time, and its log is the
protocol's. A backup's replays what the protocol gives it. A node that goes live
changes from the one to the other with the same guest.
"""

from ftvm.errors import DivergenceError
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import FOREVER, GATHER_NS
from ftvm.machine.machine import Output
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import InputArrived
from ftvm.replication.messages import Channel
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.states import PrimaryState
from ftvm.runtime.arrivals import Arrivals
from ftvm.runtime.clock import now_ns
from ftvm.runtime.ends import pack_end
from ftvm.runtime.guest import Guest
from ftvm.runtime.observers import Observers
from ftvm.runtime.screen_pacer import ScreenPacer
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset

TURN_NS = Nanoseconds(16_000_000)
"""How long a guest runs while nothing happens and nothing is due; what happens ends its turn."""
SLEEP_TURN_NS = Nanoseconds(30_000_000)
"""The same of one that sleeps but for its timer."""
TURN_MIN_NS = Nanoseconds(1_000_000)
"""What it gets although something is due."""

PRINTING_TURNS = 4
"""A guest that puts something out in so many turns in a row, and does not sleep, prints on."""
PRINTING_GATHER_NS = Nanoseconds(800_000)
"""It is interrupted so seldom, for its output or anything else: a turn costs a quarter of that."""


class LiveTurns:
    """Of a primary's guest."""

    def __init__(self, guest: Guest, protocol: PrimaryProtocol, observers: Observers) -> None:
        self._guest = guest
        self._protocol = protocol
        self._observers = observers
        self._arrivals = Arrivals()
        screen = protocol.console.outputs[Channel(Stream.SCREEN)]
        self._pacer = ScreenPacer(guest.machine, screen)
        self._begun = self._rests_until = Nanoseconds(0)
        self._printed = self._unchecked = False
        self._printing_turns = 0
        self._ended_told = False
        self.held_bytes_max = 0
        """Most output that waited for the backup at once."""

    def take_input(self, arrived: InputArrived) -> None:
        """Keep input until the guest wants it."""
        self._arrivals.add(arrived)

    def moment(self) -> Nanoseconds | None:
        """When the guest has its next turn; None if nothing is known that it would do."""
        if not self._protocol.runnable:
            return None
        wake_at = self._guest.wake_at()
        if self._arrivals.wanted_by(self._guest):
            wake_at = Nanoseconds(0)
        elif self._guest.end is None and (shows_at := self._pacer.moment()) is not None:
            wake_at = shows_at if wake_at is None else min(wake_at, shows_at)
        return None if wake_at is None else max(wake_at, self._rests_until)

    def give_input(self) -> bool:
        """Give it what has arrived and it wants, and tell the backup; return if there was any."""
        given = False
        while (arrived := self._arrivals.next_for(self._guest)) is not None:
            self._give_input(arrived)
            given = True
        if given:
            self._protocol.forward_log()
        return given

    def run(self, until: InstructionCount = FOREVER) -> None:
        """Let it run for a slice, to `until` at most, and hand in what it did."""
        guest, protocol, now = self._guest, self._protocol, now_ns()
        limit = protocol.run_limit
        until = until if limit is None else min(limit, until)
        due = protocol.deadline()
        sleep_until = _turn_end(now, due, SLEEP_TURN_NS)
        if protocol.state is PrimaryState.PROTECTING:  # a sleeper would hold up its transfer
            sleep_until = now
        self._begun = now
        outputs = guest.run(until, _turn_end(now, due, TURN_NS), sleep_until)
        self._printed = bool(outputs)
        self._hand_in(outputs)
        if guest.end is not None and not self._ended_told:
            self._ended_told = True
            status, digest = pack_end(*guest.end), guest.machine.state_digest()
            protocol.exited(guest.machine.count, status, digest, now_ns())

    def rest(self) -> None:
        """Let it rest behind a turn, once what it did is on its way to the backup."""
        now = now_ns()
        self.held_bytes_max = max(self.held_bytes_max, self._protocol.held_bytes)
        self._rests_until = Nanoseconds(now + self._protocol.rest(now - self._begun, now))
        self._unchecked = True
        prints_on = self._printed and self._guest.wake_at() == 0
        self._printing_turns = self._printing_turns + 1 if prints_on else 0
        is_printing = self._printing_turns >= PRINTING_TURNS
        self._guest.machine.cpu.set_gather(PRINTING_GATHER_NS if is_printing else GATHER_NS)

    def check(self) -> None:
        """Some time behind a turn, take a digest and show the screen, if it is time for that.

        Not while output waits for the backup's word: that may come any moment, and
        should not have to wait for us.
        """
        guest, protocol, now = self._guest, self._protocol, now_ns()
        if not self._unchecked or guest.end is not None:
            return
        self._unchecked = protocol.awaits_peer
        checked = guest.checkpoint_if_due(now, can_wait=self._unchecked)
        shown = self._pacer.show_if_due(now)
        if checked or shown:
            self._hand_in(shown)

    def _hand_in(self, outputs: list[Output]) -> None:
        guest, protocol, now = self._guest, self._protocol, now_ns()
        protocol.log_produced(guest.take_log())
        guest.recorder.settle()
        for output in outputs:
            protocol.output_made(Channel(output.channel), _behind(output.count), output.data)
        if outputs:
            self._observers.made(guest.output_bytes, now)
        if guest.end is None:
            protocol.executed(guest.machine.count, now)

    def _give_input(self, arrived: InputArrived) -> None:
        protocol, machine = self._protocol, self._guest.machine
        self._guest.input(arrived.data, Stream(arrived.channel))
        protocol.log_produced(self._guest.take_log())
        end = StreamOffset(arrived.offset + len(arrived.data))
        protocol.input_consumed(arrived.channel, end, machine.count)
        self._observers.taken(arrived, machine.count, protocol.position)


class ReplayTurns:
    """Of a backup's guest, which has all log before `fed` already."""

    def __init__(self, guest: Guest, protocol: BackupProtocol, fed: LogPosition) -> None:
        self._guest = guest
        self._protocol = protocol
        self._fed: int = fed
        self._log = bytearray()

    def take_log(self, data: bytes) -> None:
        """Keep log for the guest's next turn."""
        self._log += data

    def moment(self) -> Nanoseconds | None:
        """When the guest has its next turn; None while there is no log for it."""
        return Nanoseconds(0) if self._protocol.runnable else None

    def run(self) -> None:
        """Let it run for a slice, to the newest mark at most, and hand in what it did."""
        guest, protocol = self._guest, self._protocol
        cpu = guest.machine.cpu
        if self._log:
            taken = guest.feed_log(bytes(self._log))
            del self._log[:taken]
            self._fed += taken
        if not self._log:
            cpu.set_mark(protocol.run_limit)
        consumed = guest.machine.input_bytes.copy()
        try:
            outputs = guest.run(FOREVER, _turn_end(now_ns(), protocol.deadline(), TURN_NS))
        except DivergenceError as error:
            protocol.diverged(guest.machine.count, str(error))
            return
        for output in outputs:
            protocol.output_made(Channel(output.channel), _behind(output.count), output.data)
        count = guest.machine.count
        for stream, taken in guest.machine.input_bytes.items():
            if taken != consumed[stream]:
                protocol.input_consumed(Channel(stream), StreamOffset(taken), count)
        if guest.end is not None:
            protocol.exited(count, pack_end(*guest.end), guest.machine.state_digest())
        protocol.executed(count, LogPosition(self._fed - cpu.log_pending), now_ns())


def _turn_end(now: Nanoseconds, due: Nanoseconds | None, longest_ns: int) -> Nanoseconds:
    longest = now + longest_ns
    return Nanoseconds(longest if due is None else max(min(due, longest), now + TURN_MIN_NS))


def _behind(count: int) -> InstructionCount:
    return InstructionCount(count + 1)
