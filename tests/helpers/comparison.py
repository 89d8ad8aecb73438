"""One guest on the machine and on the oracle, and whether they are the same."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice

from assembler import EAX, EBX, ECX, EDX, Assembler
from bare import CODE, machine_of
from evidence import Log, View, view
from oracle import Oracle

from ftvm.machine.boot.plan import BootPlan
from ftvm.machine.bus import PortBus
from ftvm.machine.cpu import Entry, Kind, Reason
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.pic8259 import LonePicPair
from ftvm.machine.devices.pit8254 import LonePit
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.uart16550 import LoneUart
from ftvm.machine.log_entries import decode_entries
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import InstructionCount, Nanoseconds


@cache
def core_cpuid(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """Return what CPUID gives on the machine under test: EAX, EBX, ECX, EDX."""
    code = Assembler(CODE).mov(EAX, leaf).mov(ECX, subleaf).raw(0x0F, 0xA2).hlt()
    machine = machine_of(code)
    machine.run()
    general = machine.cpu.registers.gpr
    return general[EAX], general[EBX], general[ECX], general[EDX]


@dataclass
class Recording:
    """A run of the machine under test, recorded."""

    machine: Machine
    views: dict[int, View]
    entries: list[Entry]
    outputs: list[tuple[int, bytes]]
    reason: Reason


def record(
    machine: Machine,
    stops: Iterable[int],
    until: int,
    wait: Callable[[Machine], bool] = lambda machine: False,
) -> Recording:
    """Run `machine` to its end or to count `until`, and look at it at the stops on the way.

    When the guest halts, `wait` lets time pass or gives it input; False ends the run.
    """
    recording = Recording(machine, {}, [], [], Reason.TARGET)
    bases = machine.cpu.log_bases
    machine.record()
    log = bytearray()
    for stop in (*sorted(set(stops)), until):
        while machine.exit_value is None and machine.count < stop:
            recording.reason = machine.run(InstructionCount(stop))
            log += machine.cpu.log_take()
            if recording.reason is Reason.SHUTDOWN or (
                recording.reason is Reason.HALTED and not wait(machine)
            ):
                break
        recording.views[machine.count] = view(machine)
        if machine.count != stop:
            break
    log += machine.cpu.log_take()
    recording.entries = [entry for entry, _, _ in decode_entries(bytes(log), bases)]
    recording.outputs = [(output.count, output.data) for output in machine.take_outputs()]
    return recording


class Pc:
    """The machine's devices around the oracle's CPU."""

    def __init__(self, config: MachineConfig, log: Log) -> None:
        self.oracle: Oracle
        self.outputs: list[tuple[int, bytes]] = []
        self.exit_value: int | None = None
        self._bus = PortBus()
        self._log = log
        self._intr = False
        self._pic = LonePicPair(intr=self._set_intr)
        self._uart = LoneUart(irq=self._pic.irq(4), output=self._output)
        pit = LonePit(irq=self._pic.irq(0), clock=self._clock)
        cmos = Cmos(
            irq=self._pic.irq(8),
            clock=self._clock,
            epoch_s=config.epoch_s,
            memory_bytes=config.memory_bytes,
        )
        self._timed = (pit, cmos)
        leave = DebugExit(exit=self._exit)
        for device in (self._pic, self._uart, pit, cmos, leave, PostPort()):
            self._bus.attach(device)

    def _set_intr(self, level: bool) -> None:
        self._intr = level

    @property
    def _access(self) -> int:
        return self.oracle.count - 1

    def _clock(self) -> Nanoseconds:
        return Nanoseconds(self._log.result(Kind.CLOCK, self._access))

    def _output(self, data: bytes) -> None:
        self.outputs.append((self._access, data))

    def _exit(self, value: int) -> None:
        self.exit_value = value

    def read(self, port: int, size: int) -> int:
        return self._bus.read(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        self._bus.write(port, size, value)

    def event(self, entry: Entry) -> int | None:
        if entry.kind is Kind.TIMER:
            for device in self._timed:
                device.advance(Nanoseconds(entry.value))
        elif entry.kind is Kind.INPUT:
            self._uart.receive(entry.payload)
        else:
            assert entry.kind is Kind.INTERRUPT
            assert self._intr, "an interrupt that no device asks for"
            vector = self._pic.acknowledge()
            assert vector == entry.value
            return vector
        return None

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return core_cpuid(leaf, subleaf)

    @property
    def done(self) -> bool:
        return self.exit_value is not None

    def state(self) -> object:
        return self._bus.state()


class NoDevices:
    """Ports that read all ones."""

    def read(self, port: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        pass

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return core_cpuid(leaf, subleaf)

    def event(self, entry: Entry) -> int | None:
        raise AssertionError(f"{entry} and no device")

    @property
    def done(self) -> bool:
        return False


def assert_same_output(recording: Recording, pc: Pc) -> None:
    """The machine put out the bytes that the oracle did, each piece by its last one's count."""
    made = iter(pc.outputs)
    for count, data in recording.outputs:
        of_piece = list(islice(made, len(data)))
        assert b"".join(byte for _, byte in of_piece) == data
        assert of_piece[-1][0] == count
    assert not list(made)


def oracle_pc(plan: BootPlan, config: MachineConfig, entries: list[Entry]) -> tuple[Oracle, Pc]:
    """Return the oracle with the machine's devices around it."""
    log = Log(entries)
    pc = Pc(config, log)
    pc.oracle = Oracle(plan, config.memory_bytes, log, pc)
    return pc.oracle, pc


def assert_same(recording: Recording, oracle: Oracle) -> None:
    """The machine showed at each stop what the oracle did, as far as that went."""
    for count, shown in recording.views.items():
        if oracle.limit is None or count < oracle.count:
            assert count in oracle.views, f"the oracle ended at {oracle.count}, not {count}"
            assert shown == oracle.views[count], shown.difference(oracle.views[count])
