"""The real machine as a guest of the simulation: all of ftvm but processes and sockets.

Its host is simulated: the clock is its node's, and its random numbers come
from the seed. The image is handed in; it answers `t` with a line that no other
run would say, and leaves on `q` with the number of answers.
"""

from dataclasses import dataclass
from random import Random

from ftvm.errors import DivergenceError, StateError
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import Kind, Mode
from ftvm.machine.log_entries import decode_entries
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.transfer import StateReceiver, StateSender
from ftvm.simulation.guest import NO_PAST, Draw, Guest, Past
from ftvm.units import GuestPhysical, InstructionCount, Nanoseconds

CONFIG = MachineConfig(memory_bytes=2 << 20, epoch_s=1_700_000_000)
APPEND = "rate=200"
"""A dot every 5 ms: output that nobody asked for."""
DIGEST_EVERY = 3000
REST_PAGES_MAX = 1
SEED_BYTES = 8


class MachineGuest:
    """A machine with its log, and what it has said and heard since its boot."""

    def __init__(self, machine: Machine, past: Past = NO_PAST) -> None:
        """Take a machine that stands where `past` led it."""
        self.machine = machine
        self.status: int | None = None
        self.log = bytearray(past.log)
        self.output = bytearray(past.output)
        self.taken = bytearray(past.taken)
        self.made: list[tuple[int, int, bytes]] = []
        self.took: list[tuple[int, int, int]] = []
        self._fed = len(self.log)
        self._bases = machine.cpu.log_bases
        self._inputs = bytearray()
        """Input that is in the log fed so far and not taken yet."""
        self._digest_at = DIGEST_EVERY

    @property
    def count(self) -> int:
        """Instructions executed."""
        return self.machine.count

    @property
    def used(self) -> int:
        """How much of the log it has written, or replayed."""
        if self.machine.mode is Mode.REPLAY:
            return self._fed - self.machine.cpu.log_pending
        return len(self.log)

    def digest(self) -> bytes:
        """Return the digest of the machine's state."""
        return self.machine.state_digest()

    def past(self) -> Past:
        """Return what led to where it is."""
        return Past(bytes(self.log), bytes(self.output), bytes(self.taken))

    def corrupt(self) -> None:
        """Flip a bit at address 0, where no guest looks, and every digest does."""
        cpu = self.machine.cpu
        cpu.write_memory(GuestPhysical(0), bytes([cpu.memory[0][0] ^ 64]))

    # --- live ---

    def begin(self, draw: Draw, now: Nanoseconds) -> None:
        """Live and log, from the boot on."""
        self._simulate_host(draw, now)
        self.machine.record()

    def go_live(self, draw: Draw, now: Nanoseconds) -> None:
        """Switch from log to world."""
        self._simulate_host(draw, now)
        self.machine.go_live(Mode.RECORD)

    def _simulate_host(self, draw: Draw, now: Nanoseconds) -> None:
        seed = int.from_bytes(bytes(draw() for _ in range(SEED_BYTES)), "big")
        self.machine.cpu.simulate_host(seed, now)

    def pass_time(self, now: Nanoseconds, random: Random) -> None:
        """Move its host's clock on."""
        self.machine.cpu.set_host_ns(now)

    def inject(self, data: bytes) -> None:
        """Give it input."""
        self.machine.input(data)
        self.drain()
        self._note_input(data)

    def run(self, limit: int) -> None:
        """Execute up to `limit`, or until it sleeps or ends."""
        self.machine.run(InstructionCount(limit))
        self.status = self.machine.exit_value
        if self.status is None and self.count >= self._digest_at:
            self._digest_at = self.count + DIGEST_EVERY
            self.machine.checkpoint()
        self.drain()
        self._note_outputs()

    def drain(self) -> None:
        """Take over what the machine has logged."""
        self.log += self.machine.cpu.log_take()

    def _note_input(self, data: bytes) -> None:
        self.taken += data
        self.took.append((len(self.taken), self.count, self.used))

    def _note_outputs(self) -> None:
        for output in self.machine.take_outputs():
            self.output += output.data
            # As node.py has it: the instruction that puts it out is not counted yet.
            self.made.append((output.count + 1, self.used, output.data))

    # --- replaying ---

    def feed(self, data: bytes) -> None:
        """Give it log: whole entries."""
        self.log += data
        for entry, _, bases in decode_entries(data, self._bases):
            self._bases = bases
            if entry.kind is Kind.INPUT:
                self._inputs += entry.payload

    def replay(self, limit: int) -> None:
        """Execute the log up to `limit` at least, and all events there."""
        machine = self.machine
        self._fed += machine.cpu.log_put(bytes(self.log[self._fed :]))
        machine.cpu.set_mark(InstructionCount(limit))
        before = machine.input_bytes[Stream.CONSOLE]
        machine.run()
        self.status = machine.exit_value
        fresh = machine.input_bytes[Stream.CONSOLE] - before
        if fresh:
            self._note_input(bytes(self._inputs[:fresh]))
            del self._inputs[:fresh]
        self._note_outputs()
        if self.count < limit and self.status is None:
            raise DivergenceError(f"nothing to execute at {self.count}, before {limit}")


class MachineSender:
    """Sends a machine's state, and keeps its guest's log up to date."""

    def __init__(self, guest: MachineGuest) -> None:
        """Begin the first round."""
        self._guest = guest
        self._sender = StateSender(guest.machine, REST_PAGES_MAX)
        guest.drain()

    @property
    def allowance(self) -> int | None:
        """Instructions that the guest may execute in its next turn; None for any."""
        return self._sender.allowance

    def next_piece(self) -> bytes | None:
        """Return the next piece; None when it is time to `finish`."""
        piece = self._sender.next_piece()
        self._guest.drain()
        return piece

    def finish(self) -> list[bytes]:
        """Return the last pieces."""
        pieces = self._sender.finish()
        self._guest.drain()
        return pieces


class MachineReceiver:
    """Makes a machine of the pieces."""

    def __init__(self) -> None:
        self._receiver = StateReceiver(CONFIG)

    def feed(self, piece: bytes, past: Past) -> MachineGuest | None:
        """Take a piece; return the guest with the last."""
        try:
            machine = self._receiver.feed(piece)
        except StateError as error:
            raise DivergenceError(str(error)) from None
        if machine is None:
            return None
        machine.replay()
        return MachineGuest(machine, past)


@dataclass(frozen=True)
class MachineKind:
    """Machines that boot one image."""

    plan: BootPlan
    steps: int = 40
    keys: bytes = b"tttttx"

    def live(self, draw: Draw, now: Nanoseconds) -> MachineGuest:
        """Boot one that writes its log."""
        guest = self._boot()
        guest.begin(draw, now)
        return guest

    def following(self) -> MachineGuest:
        """Boot one that lives on a log."""
        guest = self._boot()
        guest.machine.replay()
        return guest

    def _boot(self) -> MachineGuest:
        machine = Machine(CONFIG)
        machine.boot(self.plan)
        return MachineGuest(machine)

    def sender(self, guest: Guest) -> MachineSender:
        """Begin to send a guest's state."""
        assert isinstance(guest, MachineGuest)
        return MachineSender(guest)

    def receiver(self) -> MachineReceiver:
        """Be ready to take a guest's state."""
        return MachineReceiver()


def machine_kind(image: bytes) -> MachineKind:
    """Return the kind of machine that boots `image`; ImageError if none can."""
    return MachineKind(load(image, CONFIG.memory_bytes, APPEND, "guest"))
