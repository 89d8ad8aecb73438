"""One replica: a process with a guest, a protocol object and its connections.

`python -m ftvm.runtime.node` reads a `NodeConfig` from standard input. The
loop hands the protocol what happened, acts on what it asks for, and runs the
guest as far as it allows; all on one thread. While the guest runs, a readable
socket ends the run within a few slices.
"""

import hashlib
import os
import signal
import socket
import sys
from collections import deque
from pathlib import Path

from ftvm import __version__
from ftvm.errors import DivergenceError, FtvmError
from ftvm.machine.boot.image import BootFiles
from ftvm.machine.cpu import FOREVER
from ftvm.machine.machine import CONSOLE, MachineConfig
from ftvm.machine.plain import encode_plain
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import (
    AskStore,
    Close,
    ConsoleAttached,
    Ended,
    Event,
    FeedLog,
    GenerationWon,
    GoLive,
    Halt,
    InputArrived,
    PeerJoined,
    PeerLost,
    Send,
)
from ftvm.replication.messages import Channel
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import PrimaryState
from ftvm.runtime import control, security
from ftvm.runtime.crash import parse_crash_point
from ftvm.runtime.guest import Guest, now_ns, pack_end, read_boot_files
from ftvm.runtime.refusals import RefusalLog
from ftvm.runtime.store_asker import StoreAsker
from ftvm.runtime.store_url import open_store
from ftvm.runtime.transport import Accepted, Received, Refused, Transport
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset

MARK_INTERVAL_NS = Nanoseconds(2_000_000)
"""The primary tells the backup where it is at least so often while it runs."""

CONSOLE_CHANNEL = Channel(CONSOLE)


def identity_of(config: control.NodeConfig, files: BootFiles, machine: MachineConfig) -> Identity:
    """Return what the node's greeting says of it."""
    content = hashlib.blake2b(digest_size=32)
    parts = [files.image, files.name.encode(), files.command_line.encode()]
    if files.initrd is not None:
        parts.append(files.initrd)
    for module in files.modules:
        parts += [module.string.encode(), module.data]
    for part in parts:
        content.update(len(part).to_bytes(8, "little") + part)
    return Identity(
        node=config.name,
        run=bytes.fromhex(config.run),
        image=content.digest(),
        config=hashlib.blake2b(encode_plain(machine), digest_size=32).digest(),
        engine=f"ftvm {__version__}, unicorn 2.1.4",
    )


class Node:
    """A replica from its start to its end."""

    def __init__(self, config: control.NodeConfig) -> None:
        self.config = config
        self._transport = Transport(security.from_key(bytes.fromhex(config.key)))
        self._refusals = RefusalLog()
        machine = MachineConfig(config.memory_bytes, config.epoch_s)
        files = read_boot_files(
            Path(config.image_path),
            config.image_name,
            config.append,
            None if config.initrd_path is None else Path(config.initrd_path),
            config.modules,
        )
        self._guest = Guest(files, machine, self._transport.descriptor)
        identity = identity_of(config, files, machine)
        self._store = StoreAsker(open_store(config.store_url, identity.run))
        self._settings = Settings()
        self._protocol: PrimaryProtocol | BackupProtocol
        if config.role == "primary":
            self._protocol = PrimaryProtocol(identity, self._settings)
            self._guest.machine.record()
        else:
            self._protocol = BackupProtocol(identity, self._settings)
            self._guest.machine.replay()
        self._crashes = [parse_crash_point(text) for text in config.crashes]
        self._arm("primary" if config.role == "primary" else "backup", 0)
        self._inputs: deque[InputArrived] = deque()
        self._log = bytearray()
        self._fed = 0
        self._lost_ns = self._drained_ns = Nanoseconds(0)
        self._held_max = 0
        self._ended_told = False
        self._has_console = False
        self._over: control.Over | None = None

    def _arm(self, role: str, index: int) -> None:
        crashes = [crash for crash in self._crashes if crash.role == role]
        crash = crashes[index] if index < len(crashes) else None
        self._guest.arm(crash)

    # --- the loop ---

    def run(self) -> None:
        """Be a replica until the protocol says that it is over."""
        self._listen()
        self._tell(control.Ready())
        if isinstance(self._protocol, PrimaryProtocol):
            self._protocol.start()
        else:
            link = self._transport.connect("127.0.0.1", self.config.logging_port)
            self._protocol.peer_connected(link, now_ns())
        self._act()
        while self._over is None:
            self._hear()
            self._protocol.tick(now_ns())
            self._act()
            if self._over is None and self._sleep_ns() == 0:
                self._run_guest()
                self._act()
        self._tell(self._totals())
        self._tell(self._over)
        self._farewell()

    def _listen(self) -> None:
        self._accept("console", self.config.console_descriptor)
        self._transport.watch(sys.stdin.fileno(), self._commanded)
        self._transport.watch(self._store.descriptor, self._store_answered)

    def _accept(self, name: str, descriptor: int) -> None:
        self._transport.accept_from(socket.socket(fileno=descriptor), name)

    def _hear(self) -> None:
        now = now_ns()
        for happening in self._transport.poll(Nanoseconds(self._sleep_ns())):
            if isinstance(happening, Received):
                self._protocol.receive(happening.link, happening.data, now)
            elif isinstance(happening, Refused):
                self._refused(happening)
            elif not isinstance(happening, Accepted):
                self._protocol.closed(happening.link)
            elif happening.listener == "console":
                self._protocol.console_connected(happening.link, now)
            elif isinstance(self._protocol, PrimaryProtocol):
                self._protocol.peer_connected(happening.link, now)
            else:
                self._transport.close(happening.link)
            self._act()

    def _refused(self, refused: Refused) -> None:
        if (line := self._refusals.admit(refused.text, now_ns())) is not None:
            self._tell(control.Refused(line))

    def _sleep_ns(self) -> int:
        """How long there is nothing to do but to listen, in ns."""
        moments = [
            moment
            for moment in (
                self._protocol.deadline(),
                self._guest_moment(),
                self._guest.crash_deadline(),
            )
            if moment is not None
        ]
        forever = 3_600_000_000_000
        return max(0, min(min(moments, default=now_ns() + forever) - now_ns(), forever))

    def _guest_moment(self) -> Nanoseconds | None:
        if isinstance(self._protocol, BackupProtocol):
            return Nanoseconds(0) if self._protocol.runnable else None
        if not (self._protocol.runnable and self._has_console):
            return None  # without a console to tell, a guest's end would be lost
        if self._inputs and self._guest.wants_input:
            return Nanoseconds(0)
        return self._guest.wake_at()

    # --- the guest ---

    def _run_guest(self) -> None:
        if isinstance(self._protocol, BackupProtocol):
            self._replay(self._protocol)
        else:
            self._live(self._protocol)

    def _live(self, protocol: PrimaryProtocol) -> None:
        guest, now = self._guest, now_ns()
        while self._inputs and guest.wants_input:
            self._give_input(protocol, self._inputs.popleft())
        limit = protocol.run_limit
        deadline = Nanoseconds(now + MARK_INTERVAL_NS)
        outputs = guest.run(FOREVER if limit is None else limit, deadline)
        now = now_ns()
        if guest.end is None:
            guest.checkpoint_if_due(now)
        protocol.log_produced(guest.machine.cpu.log_take())
        for output in outputs:
            protocol.output_made(Channel(output.channel), _behind(output.count), output.data)
        count = guest.machine.count
        if guest.end is None:
            protocol.executed(count, now)
        elif not self._ended_told:
            self._ended_told = True
            protocol.exited(count, pack_end(*guest.end), guest.machine.state_digest(), now)
        self._held_max = max(self._held_max, protocol.held_bytes)

    def _give_input(self, protocol: PrimaryProtocol, arrived: InputArrived) -> None:
        self._guest.input(arrived.data)
        protocol.log_produced(self._guest.machine.cpu.log_take())
        end = StreamOffset(arrived.offset + len(arrived.data))
        protocol.input_consumed(arrived.channel, end, self._guest.machine.count)

    def _replay(self, protocol: BackupProtocol) -> None:
        guest = self._guest
        cpu = guest.machine.cpu
        if self._log:
            taken = cpu.log_put(bytes(self._log))
            del self._log[:taken]
            self._fed += taken
        if not self._log:
            cpu.set_mark(protocol.run_limit)
        consumed = guest.machine.input_bytes
        try:
            outputs = guest.run(FOREVER, Nanoseconds(now_ns() + 10 * MARK_INTERVAL_NS))
        except DivergenceError as error:
            protocol.diverged(guest.machine.count, str(error))
            return
        for output in outputs:
            protocol.output_made(Channel(output.channel), _behind(output.count), output.data)
        count = guest.machine.count
        if guest.machine.input_bytes != consumed:
            protocol.input_consumed(CONSOLE_CHANNEL, StreamOffset(guest.machine.input_bytes), count)
        if guest.end is not None:
            protocol.exited(count, pack_end(*guest.end), guest.machine.state_digest())
        protocol.executed(count, LogPosition(self._fed - cpu.log_pending), now_ns())

    # --- what the protocol asks for ---

    def _act(self) -> None:
        while (event := self._protocol.next_event()) is not None:
            self._do(event)

    def _do(self, event: Event) -> None:
        match event:
            case Send(link, _):
                self._transport.send(link, event.data)
            case Close(link, _):
                self._transport.close(link)
            case FeedLog(_, data):
                self._log += data
            case ConsoleAttached():
                self._has_console = True
            case InputArrived():
                self._take_input(event)
            case AskStore(expected, owner):
                self._drained_ns = now_ns()
                self._store.ask(expected, owner)
            case GenerationWon():
                self._won(event)
            case GoLive():
                self._go_live(event)
            case PeerJoined():
                self._tell(control.Paired(self._guest.machine.count))
            case PeerLost(cause, detail, count):
                self._lost_ns = now_ns()
                self._tell(control.PeerGone(cause.value, detail, count, self._lost_ns))
            case Halt(cause, detail):
                self._over = control.Over(cause.value, detail)
            case Ended():
                self._over = control.Over("", "")

    def _take_input(self, arrived: InputArrived) -> None:
        piece = 4096
        for start in range(0, len(arrived.data), piece):
            data = arrived.data[start : start + piece]
            offset = StreamOffset(arrived.offset + start)
            self._inputs.append(InputArrived(arrived.channel, offset, data))

    def _store_answered(self) -> None:
        self._protocol.store_answered(self._store.answer(), now_ns())
        self._act()

    def _won(self, won: GenerationWon) -> None:
        protocol = self._protocol
        assert isinstance(protocol, PrimaryProtocol)
        if won.generation == 1 and self.config.logging_descriptor >= 0:
            # Before, a backup would be refused; so long it waits in the listener's queue.
            self._accept("logging", self.config.logging_descriptor)
        if self.config.solo and protocol.state is PrimaryState.AWAITING:
            protocol.run_alone()
        if self._lost_ns and self.config.role == "primary":
            self._tell(
                control.WentAlone(
                    won.generation, self._guest.machine.count, self._lost_ns, now_ns()
                )
            )

    def _go_live(self, event: GoLive) -> None:
        assert isinstance(self._protocol, BackupProtocol)
        won_ns = now_ns()
        cpu = self._guest.machine.cpu
        entries = cpu.log_entries
        held_bytes = self._protocol.unconfirmed_bytes
        self._guest.go_live()
        self._protocol = self._protocol.promote()
        self._arm("primary", event.generation - 1)
        self._tell(
            control.WentLive(
                generation=event.generation,
                count=event.count,
                log_bytes=event.position,
                log_entries=entries,
                digests=self._guest.machine.links,
                held_bytes=held_bytes,
                lost_ns=self._lost_ns,
                drained_ns=self._drained_ns,
                won_ns=won_ns,
                live_ns=now_ns(),
            )
        )

    # --- the supervisor ---

    def _tell(self, told: control.Told) -> None:
        os.write(sys.stdout.fileno(), control.encode_line(told))

    def _totals(self) -> control.Totals:
        machine = self._guest.machine
        return control.Totals(
            count=machine.count,
            log_bytes=self._protocol.position,
            log_entries=machine.cpu.log_entries,
            held_bytes_max=self._held_max,
            digests=machine.links,
            digest=machine.state_digest().hex(),
        )

    def _commanded(self) -> None:
        line = os.read(sys.stdin.fileno(), 65536)
        if not line:  # the supervisor is gone, and nobody is left to serve
            os._exit(1)
        stop = control.decode_line(line, control.Stop)
        self._protocol.stop(stop.detail)

    def _farewell(self) -> None:
        """Let what was sent last go out, for as long as the other side takes it."""
        links = self._transport.open_links()
        deadline = now_ns() + 1_000_000_000
        for link in links:
            self._transport.close(link)
        while self._transport.open_links() and now_ns() < deadline:
            self._transport.poll(Nanoseconds(10_000_000))


def _behind(count: int) -> InstructionCount:
    return InstructionCount(count + 1)


def main() -> int:
    """Run a node as its supervisor says; returns the process's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to judge
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return 2
        line += byte
    try:
        Node(control.decode_line(bytes(line), control.NodeConfig)).run()
    except FtvmError as error:
        over = control.Over("error", str(error))
        os.write(sys.stdout.fileno(), control.encode_line(over))
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
