"""Protecting again: a primary's node gives its machine away, a new backup's node takes it."""

from ftvm.errors import StateError
from ftvm.machine.cpu import FOREVER
from ftvm.machine.disk import OpenImages
from ftvm.machine.machine import Machine
from ftvm.machine.transfer import ALLOWANCE_MIN, PUMP_PIECES, StateReceiver, StateSender
from ftvm.replication.events import StateGiven
from ftvm.replication.primary import PrimaryProtocol
from ftvm.runtime import control
from ftvm.runtime.clock import now_ns
from ftvm.runtime.guest import Guest
from ftvm.runtime.status import Transfer
from ftvm.units import InstructionCount, Nanoseconds

CRAWL_NS = 10_000_000
"""A guest that is slowed down has a turn so often even if no piece can be sent, of as many
instructions as any is allowed."""


class Protector:
    """One transfer of the machine of a running primary."""

    def __init__(self, guest: Guest, node: str) -> None:
        self._guest = guest
        self._node = node
        self._begun_ns = now_ns()
        self._sender = StateSender(guest.machine)
        self._bytes = 0
        self._turn_ns = self._paused_ns = self._sent_ns = 0
        self._sent_pieces = 0
        """Since the guest's last turn."""
        self._count = guest.machine.count

    @property
    def turn_at(self) -> Nanoseconds:
        """When the guest may have its next turn."""
        return Nanoseconds(self._turn_ns + CRAWL_NS if self._turn_ns else 0)

    @property
    def transfer(self) -> Transfer:
        """How far it is."""
        left = 0 if self._paused_ns else self._sender.left_pages
        return Transfer(self._sender.pages, left, self._bytes, now_ns() - self._begun_ns)

    def begin_turn(self) -> InstructionCount:
        """Note that the guest has a turn; return the count to which it may run."""
        if self._sender.allowance is None or self._sent_ns:
            return FOREVER
        self._turn_ns = now_ns()
        earned = self._sender.allowance * self._sent_pieces // PUMP_PIECES
        self._sent_pieces = 0
        return InstructionCount(self._guest.machine.count + max(earned, ALLOWANCE_MIN))

    def pump(self, protocol: PrimaryProtocol) -> bool:
        """Send some pieces; return whether the last of all was among them."""
        self._turn_ns = 0
        for _ in range(min(protocol.state_room, PUMP_PIECES)):
            piece = self._sender.next_piece()
            if piece is None:
                self._hand_over(protocol)
                return True
            protocol.send_state(piece, now_ns())
            self._bytes += len(piece)
            self._sent_pieces += 1
        return False

    def _hand_over(self, protocol: PrimaryProtocol) -> None:
        self._paused_ns = now_ns()
        pieces = self._sender.finish()
        machine = self._guest.machine
        self._count = machine.count
        protocol.log_produced(self._guest.take_log())
        self._bytes += sum(map(len, pieces))
        protocol.hand_over(pieces, machine.state_digest(), now_ns())

    def sent(self) -> None:
        """Note that the last pieces have been given to the connection: the guest may run."""
        self._sent_ns = now_ns()

    def report(self, generation: int) -> control.Protected:
        """Say what it took."""
        return control.Protected(
            node=self._node,
            generation=generation,
            count=self._count,
            bytes=self._bytes,
            rounds=self._sender.rounds,
            pages=self._sender.pages,
            pause_ns=self._sent_ns - self._paused_ns,
            transfer_ns=self._sent_ns - self._begun_ns,
            total_ns=now_ns() - self._begun_ns,
        )

    def failure(self, cause: str, detail: str) -> control.Unprotected:
        """Say that it came to nothing."""
        return control.Unprotected(self._node, cause, detail)


class Recruit:
    """A machine on its way to the node of a new backup."""

    def __init__(self, open_images: OpenImages) -> None:
        self._receiver = StateReceiver(open_images=open_images)
        self._machine: Machine | None = None
        self._bytes = 0
        self._begun_ns = Nanoseconds(0)

    @property
    def transfer(self) -> Transfer | None:
        """How far it is, if it is under way."""
        if not self._bytes or self._machine is not None:
            return None
        receiver, span_ns = self._receiver, now_ns() - self._begun_ns
        return Transfer(receiver.pages, receiver.left_pages, self._bytes, span_ns)

    def feed(self, piece: bytes) -> None:
        """Take a piece; StateError if it cannot be one."""
        self._begun_ns = self._begun_ns or now_ns()
        self._bytes += len(piece)
        self._machine = self._receiver.feed(piece)

    def complete(self, given: StateGiven) -> Machine:
        """Return the machine, ready to replay; StateError if it is not the one that was meant."""
        machine = self._machine
        if machine is None:
            raise StateError(f"the state ends at instruction {given.count} before it is whole")
        if machine.count != given.count:
            raise StateError(f"the state is of instruction {machine.count}, not {given.count}")
        machine.replay()
        return machine
