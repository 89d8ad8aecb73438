"""The deterministic PC: one CPU, memory, and devices on a port bus.

Everything that reaches the guest from outside enters here, by two ways:
results, which the guest asks for (`Cpu`), and events, input and timer expiry,
which come between two instructions and are logged with their count. A machine
that replays takes both from the log instead, and `run` applies what is due.

What leaves the guest is kept with its count until `take_outputs`; whether it
may be let out, replication decides.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec

from ftvm.errors import DivergenceError
from ftvm.machine.boot.plan import BootPlan, SegmentRegister
from ftvm.machine.bus import Device, PortBus, TimedDevice
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import FOREVER, NEVER, Cpu, Entry, Kind, Mode, Reason
from ftvm.machine.cpu_port_buffer import CpuPortBuffer
from ftvm.machine.devices import (
    ata,
    debug_exit,
    firmware_configuration,
    power_management,
    system_control,
)
from ftvm.machine.devices.ata import AtaChannel
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_console import DebugConsole
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.firmware_configuration import FirmwareConfiguration
from ftvm.machine.devices.i8042 import I8042
from ftvm.machine.devices.pit8254 import Pit8254
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.power_management import PowerManagement
from ftvm.machine.devices.system_control import SystemControl
from ftvm.machine.devices.uart16550 import Uart16550
from ftvm.machine.devices.vga import Vga
from ftvm.machine.disk import DISKS_MAX, BaseImage, Disk, DiskConfig
from ftvm.machine.disk_failures import DiskFailures
from ftvm.machine.interrupts import Interrupts
from ftvm.machine.plain import encode_plain
from ftvm.machine.text_screen import TEXT_BYTES, TEXT_MEMORY, TextScreen, frame_of
from ftvm.units import InstructionCount, Nanoseconds

DIGEST_BYTES = 16

LINKS_KEPT = 64
"""Links of the chain of digests that are remembered for whoever takes them: a few seconds'."""

# The engine's summary of CR0 and the segments: 32-bit code and stack, protected
# mode, all bases 0 (HF_CS32 | HF_SS32 | HF_PE).
FLAT_HFLAGS = 1 << 4 | 1 << 5 | 1 << 7

# IRQ lines of an AT-compatible PC; the interval timer's is the core's matter.
KEYBOARD_IRQ, RTC_IRQ, AUXILIARY_IRQ, ATA_IRQ = 1, 8, 12, 14

# Stream, name, I/O base, IRQ line: IBM PC AT Technical Reference for the first two, PC
# custom for the others, which share their lines.
SERIAL_PORTS = (
    (Stream.CONSOLE, "com1", 0x3F8, 4),
    (Stream.COM2, "com2", 0x2F8, 3),
    (Stream.COM3, "com3", 0x3E8, 4),
    (Stream.COM4, "com4", 0x2E8, 3),
)


@dataclass(frozen=True)
class MachineConfig:
    """What two machines must have in common to be replicas.

    ``memory_bytes`` is a multiple of the page size; ``epoch_s`` is the date at
    guest time 0, in seconds since 1970-01-01 UTC; ``disks`` are drives 0 and 1.
    """

    memory_bytes: int
    epoch_s: int
    disks: Annotated[tuple[DiskConfig, ...], msgspec.Meta(max_length=DISKS_MAX)] = ()


@dataclass(frozen=True)
class Output:
    """Bytes that the guest sent out on a stream, by the count of the last one's instruction."""

    count: InstructionCount
    channel: Stream
    data: bytes


@dataclass(frozen=True)
class ChainLink:
    """A link of the chain of digests: the number-th (from 1), made or checked at a count."""

    number: int
    count: InstructionCount
    digest: bytes


class Machine:
    """A PC made of a configuration; `boot` or `restore` gives it something to run."""

    def __init__(self, config: MachineConfig, images: Sequence[BaseImage] = ()) -> None:
        """Make a machine; `images` are those of the configuration's disks, in their order."""
        self.config = config
        self.bus = PortBus()
        self.cpu = Cpu(
            config.memory_bytes,
            port_read=self._port_read,
            port_write=self._port_write,
        )
        self._interrupts = Interrupts(self.cpu.interrupts)
        line = self._interrupts.line
        self._uarts = self._serial_ports()
        pit = Pit8254(self.cpu.pit)
        cmos = Cmos(
            irq=line(RTC_IRQ),
            clock=self.cpu.clock,
            epoch_s=config.epoch_s,
            memory_bytes=config.memory_bytes,
        )
        self._i8042 = I8042(
            keyboard_irq=line(KEYBOARD_IRQ),
            auxiliary_irq=line(AUXILIARY_IRQ),
            a20=self._gate_a20,
            reset=self.cpu.reset,
        )
        self._timed: tuple[TimedDevice, ...] = (cmos, self._i8042)
        self._core_timed: tuple[TimedDevice, ...] = (pit, self._interrupts.local_apic)
        """Whose deadlines the core knows by itself."""
        # An access of up to four bytes reaches them from up to three ports below.
        self._timed_ports = frozenset(
            port - below
            for device in (*self._timed, *self._core_timed)
            for span in device.ports
            for port in span
            for below in range(4)
        )
        self._vga = Vga()
        self.screen = TextScreen(frame=self._frame, output=partial(self._put_out, Stream.SCREEN))
        self._control = SystemControl(a20=self._gate_a20, reset=self.cpu.reset)
        self.bus.attach(self._control, whole=system_control.WHOLE)
        self.bus.attach(
            PowerManagement(clock=self.cpu.clock, off=self._power_off),
            whole=power_management.WHOLE,
        )
        self.bus.attach(DebugExit(exit=self._exit), whole=debug_exit.WHOLE)
        self.bus.attach(
            FirmwareConfiguration(config.memory_bytes), whole=firmware_configuration.WHOLE
        )
        devices: tuple[Device, ...] = (
            *self._interrupts.devices,
            *self._uarts.values(),
            *(pit, cmos, self._i8042, self._vga, self.screen, PostPort(self.cpu.post)),
            DebugConsole(output=partial(self._put_out, Stream.DEBUG)),
        )
        for device in devices:
            self.bus.attach(device)
        self.disks = tuple(
            Disk(disk, image, DiskFailures(self.cpu, number, lambda: self.mode))
            for number, (disk, image) in enumerate(zip(config.disks, images, strict=True))
        )
        """The drives of the ATA channel, which is there if there are any."""
        if self.disks:
            data = CpuPortBuffer(self.cpu, ata.BASE)
            channel = AtaChannel(disks=self.disks, irq=line(ATA_IRQ), data=data)
            self.bus.attach(channel, whole=ata.WHOLE)
        self.mode = Mode.SOLO
        self.exit_value: int | None = None
        """What the guest wrote to port 0xf4; None as long as it did not. 0 if it switched off."""
        self.powered_off = False
        """Whether the guest ended by switching off."""
        self.digest = bytes(DIGEST_BYTES)
        """The newest link of the chain of checkpoint digests."""
        self.links = 0
        """How many links the chain has: digests made, or checked when replaying."""
        self.digest_count: InstructionCount | None = None
        """Where this machine made or checked the newest link; None of one that was restored."""
        self.input_bytes = dict.fromkeys(Stream, 0)
        """Bytes that the machine was given so far on each stream."""
        self.when_equal: Callable[[], None] = lambda: None
        """Called when a replaying machine has made the digest that the log has, there and then."""
        self._outputs: list[Output] = []
        self._links: deque[ChainLink] = deque(maxlen=LINKS_KEPT)

    # --- what the devices are handed ---

    def _port_read(self, port: int, size: int) -> int:
        value = self.bus.read(port, size)
        if port in self._timed_ports:  # reading the RTC's register C lets it tick on
            self._set_timer()
        return value

    def _port_write(self, port: int, size: int, value: int) -> None:
        self.bus.write(port, size, value)
        if port in self._timed_ports:
            self._set_timer()

    def _set_timer(self) -> None:
        due = [d for device in self._timed if (d := device.deadline()) is not None]
        self.cpu.set_timer(min(due, default=NEVER))

    def _serial_ports(self) -> dict[Stream, Uart16550]:
        return {
            stream: Uart16550(self.cpu.attach_uart(stream, base, irq), name=name, port=base)
            for stream, name, base, irq in SERIAL_PORTS
        }

    def _put_out(self, stream: Stream, data: bytes) -> None:
        self._collect()
        if not self._outputs and self.mode is not Mode.REPLAY:
            self.cpu.hurry()
        self._outputs.append(Output(self.cpu.count, stream, data))

    def _collect(self) -> None:
        """Take over what the serial ports have put out."""
        self._outputs += [
            Output(count, Stream(stream), data) for count, stream, data in self.cpu.take_outputs()
        ]

    def _frame(self) -> bytes:
        memory = self.cpu.memory[TEXT_MEMORY : TEXT_MEMORY + TEXT_BYTES]
        return frame_of(self._vga.state(), memory)

    def _gate_a20(self, level: bool) -> None:
        self._i8042.follow_a20(level)
        self._control.follow_a20(level)
        self.cpu.set_a20(level)

    def _exit(self, value: int) -> None:
        self.exit_value = value
        self.cpu.stop_after_port()

    def _power_off(self) -> None:
        self.powered_off = True
        self._exit(0)

    # --- running ---

    def boot(self, plan: BootPlan) -> None:
        """Put the image in memory and the CPU at its entry. Only on a new machine."""
        for address, data in plan.segments:
            self.cpu.write_memory(address, data)
        registers = self.cpu.registers
        start = plan.registers
        registers.gpr = [start.eax, 0, 0, start.ebx, 0, 0, start.esi, 0]
        registers.hflags = FLAT_HFLAGS
        registers.eip, registers.eflags = start.eip, start.eflags
        registers.cr[0], registers.cr[4] = start.cr0, 0
        registers.gdt.base, registers.gdt.limit = start.gdt_base, start.gdt_limit
        for index in range(6):  # ES CS SS DS FS GS
            _set_segment(registers.segments[index], start.code if index == 1 else start.data)
        self.cpu.registers = registers

    @property
    def count(self) -> InstructionCount:
        """Engine steps since reset: instructions, and iterations of REP."""
        return self.cpu.count

    def run(self, until: InstructionCount = FOREVER, deadline: Nanoseconds = NEVER) -> Reason:
        """Run to count `until` exactly, or until something else needs the caller.

        ``deadline`` is in `Cpu.host_ns` time. Timers of the guest's devices
        that come due are served on the way; a replaying machine applies the
        events of its log instead. An exit of the guest shows as ATTENTION
        with `exit_value` set. Raises DivergenceError if the log does not fit.
        """
        while self.exit_value is None:
            reason = self.cpu.run(until, deadline)
            self._collect()
            if reason is Reason.DIVERGED:
                raise DivergenceError(self.cpu.error)
            if reason is Reason.EVENT:
                self._replay_event()
            elif reason is Reason.TIMER_DUE:
                self._timer()
                if self._outputs:  # which were to be handed out soon
                    soon = Nanoseconds(self.cpu.host_ns() + self.cpu.gather_ns)
                    deadline = min(deadline, soon)
            else:
                return reason
        return Reason.ATTENTION

    def _replay_event(self) -> None:
        entry = self.cpu.next_event()
        if entry is None:
            raise DivergenceError(self.cpu.error)
        if entry.kind is Kind.TIMER:
            self._advance(Nanoseconds(entry.value))
        elif entry.kind is Kind.INPUT:
            self._receive(self._stream(entry), entry.payload)
        else:
            self._check(entry)

    def _stream(self, entry: Entry) -> Stream:
        try:
            return Stream(entry.value)
        except ValueError:
            raise DivergenceError(
                f"the log has input on stream {entry.value} at count {entry.count}, "
                "and there is no such stream"
            ) from None

    def _check(self, entry: Entry) -> None:
        if self._link() != entry.payload:
            raise DivergenceError(
                f"the digest at count {entry.count} is {self.digest.hex()}, "
                f"and the log says {entry.payload.hex()}"
            )
        self.when_equal()

    # --- events ---

    def input(self, data: bytes, stream: Stream = Stream.CONSOLE) -> None:
        """The world sends `data` (at most 64 KiB) to the guest."""
        self.cpu.log_event(Kind.INPUT, stream, data)
        self._receive(stream, data)

    def show_screen(self) -> None:
        """Put out a frame of the screen, if anybody watches it."""
        self.input(b"", Stream.SCREEN)

    def _timer(self) -> None:
        now = self.cpu.guest_ns()
        self.cpu.log_event(Kind.TIMER, now)
        self._advance(now)

    def next_deadline(self) -> Nanoseconds | None:
        """Guest time at which a device wants to act next; a halted guest sleeps until then."""
        return self.cpu.timer

    def _advance(self, now: Nanoseconds) -> None:
        for device in (*self._timed, *self._core_timed):
            device.advance(now)
        self._set_timer()

    def _receive(self, stream: Stream, data: bytes) -> None:
        self.input_bytes[stream] += len(data)
        if stream in self._uarts:
            self._uarts[stream].receive(data)
        elif stream is Stream.KEYBOARD:
            self._i8042.press(data)
            self._set_timer()
        elif stream is Stream.SCREEN:
            self.screen.receive(data)

    def input_queued(self, stream: Stream = Stream.CONSOLE) -> int:
        """Bytes of a stream that wait because the guest has not read those before."""
        if stream is Stream.KEYBOARD:
            return self._i8042.queued
        return self._uarts[stream].queued if stream in self._uarts else 0

    def take_outputs(self) -> list[Output]:
        """Return what the guest sent out since the last call."""
        self._collect()
        outputs, self._outputs = self._outputs, []
        return outputs

    # --- modes ---

    def record(self) -> None:
        """Log results and events from here on."""
        self.mode = Mode.RECORD
        self.cpu.set_mode(Mode.RECORD)

    def replay(self) -> None:
        """Take results and events from the log from here on."""
        self.mode = Mode.REPLAY
        self.cpu.set_mode(Mode.REPLAY)

    def go_live(self, mode: Mode) -> None:
        """Stop replaying: inputs come from the world, time goes on from the last logged."""
        last = self.cpu.last_time
        self.mode = mode
        self.cpu.set_mode(mode)
        self.cpu.set_guest_ns(last)
        self._set_timer()

    # --- digests ---

    def state_digest(self) -> bytes:
        """Digest of registers, memory, devices and count, as they are now.

        Shape: 16 bytes, BLAKE2b. Equal for equal machines, in any process.
        """
        state = hashlib.blake2b(digest_size=DIGEST_BYTES)
        state.update(self.count.to_bytes(8, "little"))
        state.update(self.cpu.register_bytes)
        state.update(self.cpu.hash_memory().to_bytes(8, "little"))
        state.update(encode_plain(self.bus.state()))
        return state.digest()

    def _link(self) -> bytes:
        chain = hashlib.blake2b(self.digest + self.state_digest(), digest_size=DIGEST_BYTES)
        self.digest = chain.digest()
        self.links += 1
        self.digest_count = self.count
        self._links.append(ChainLink(self.links, self.count, self.digest))
        self.cpu.synchronize()
        return self.digest

    def take_links(self) -> list[ChainLink]:
        """Return the newest links since the last call, at most `LINKS_KEPT`.

        The last one is there too when `run` raised because of it.
        """
        links = list(self._links)
        self._links.clear()
        return links

    def checkpoint(self) -> bytes:
        """Chain a digest of the state to those before, and log it.

        The replica computes the same at the same count, or has diverged. Both
        start from an empty TLB behind it.
        """
        digest = self._link()
        self.cpu.log_event(Kind.DIGEST, 0, digest)
        return digest


def _set_segment(target: object, source: SegmentRegister) -> None:
    target.selector, target.base = source.selector, source.base  # type: ignore[attr-defined]
    target.limit, target.flags = source.limit, source.descriptor_high  # type: ignore[attr-defined]
