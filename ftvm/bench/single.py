"""What single things cost: a result, a stop, an interrupt, a port access, a page.

Times are of this process's CPU. What the guest's loop and the call from Python
into the core cost is measured in the same round and taken off.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ftvm.bench.bare import (
    CONTROL_PORT,
    IN_AL_DX,
    LINE_STATUS_PORT,
    NOP,
    RDRAND_EAX,
    RDTSC,
    UNROLLED,
    BareMachine,
    load,
    loop,
)
from ftvm.bench.measurement import Measurement
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.programs import image_path
from ftvm.bench.watch import CannotRunError
from ftvm.machine import snapshot
from ftvm.machine.boot.multiboot1 import load as load_image
from ftvm.machine.cpu import NEVER, Mode, Reason, lib
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import PAGE_BYTES, GuestPhysical, Nanoseconds

STOP_EVERY = 1009  # a prime, so that stops fall anywhere in the loop's block
FOR_EVER = 1 << 30
STEPS_APART = 100
SEND_EVERY_NS = 1_000_000
"""How often a primary turns to its log."""
SECTION = "single costs"
COLUMN = "cost"
_MEMORY_BYTES = 64 << 20
_EPOCH_S = 1_000_000_000


@dataclass(frozen=True)
class Size:
    """How much of everything is done, and how often that is repeated."""

    results: int
    stops: int
    ports: int
    pages: int
    ticks: int
    rounds: int


FULL = Size(results=600_000, stops=20_000, ports=400_000, pages=2048, ticks=400, rounds=7)
TINY = Size(results=3_200, stops=100, ports=1_600, pages=32, ticks=20, rounds=1)


def measure_single(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Take every figure."""
    size = TINY if plan.tiny else FULL
    for name, take in (
        ("results", _results),
        ("stops", _stops),
        ("port accesses", _ports),
        ("pages", _pages),
        ("log", _log),
        ("snapshot", _snapshot),
    ):
        tell(f"single costs: {name}")
        yield take(size)


def _figure(row: str, samples: list[float], unit: str) -> Measurement:
    return Measurement(
        section=SECTION, row=row, column=COLUMN, unit=unit, better="less", samples=samples
    )


def _sample(rounds: int, take: Callable[[], tuple[float, ...]]) -> list[list[float]]:
    """What `take` returns in each round, position by position."""
    return [list(column) for column in zip(*(take() for _ in range(rounds)), strict=True)]


def _boot(guest: str, options: str) -> Machine:
    machine = Machine(MachineConfig(memory_bytes=_MEMORY_BYTES, epoch_s=_EPOCH_S))
    image = image_path(guest).read_bytes()
    machine.boot(load_image(image, _MEMORY_BYTES, options, guest))
    return machine


def _drive(machine: Machine) -> int:
    """Run the machine to its guest's exit; return the bytes of its log."""
    log_bytes = 0
    recording = machine.mode is Mode.RECORD
    while machine.exit_value is None:
        deadline = Nanoseconds(machine.cpu.host_ns() + SEND_EVERY_NS) if recording else NEVER
        reason = machine.run(deadline=deadline)
        log_bytes += len(machine.cpu.log_take()) if recording else 0
        machine.take_outputs()
        if reason is Reason.HALTED and (due := machine.next_deadline()) is not None:
            time.sleep(max(0, due - machine.cpu.guest_ns()) / 1e9)
    return log_bytes


def _results(size: Size) -> list[Measurement]:
    rounds = size.results // UNROLLED
    results = rounds * UNROLLED
    entry_bytes = 0.0

    def sample() -> tuple[float, ...]:
        nonlocal entry_bytes
        plain = BareMachine(loop(NOP, rounds)).run_to_halt()
        costs = []
        for instruction in (RDTSC, RDRAND_EAX):
            recorded = BareMachine(loop(instruction, rounds), Mode.RECORD)
            costs.append(recorded.run_to_halt() - plain)
            steps = lib.core_count(recorded.core)
            log = recorded.take_log()
            if instruction == RDTSC:
                entry_bytes = len(log) / results
            replayed = BareMachine(loop(instruction, rounds))
            costs.append(replayed.replay(log, steps) - plain)
        costs.append(_alone_seconds(rounds))
        return tuple(cost / results * 1e9 for cost in costs)

    rdtsc, rdtsc_replayed, rdrand, rdrand_replayed, alone = _sample(size.rounds, sample)
    return [
        _figure("rdtsc, recorded", rdtsc, "ns"),
        _figure("rdtsc, recorded, one in 100 steps: reads the host's clock, and logs", alone, "ns"),
        _figure("rdtsc, replayed", rdtsc_replayed, "ns"),
        _figure("rdrand, recorded", rdrand, "ns"),
        _figure("rdrand, replayed", rdrand_replayed, "ns"),
        _figure("rdtsc in the log, one behind the other", [entry_bytes], "bytes"),
    ]


def _alone_seconds(rounds: int) -> float:
    """CPU seconds of RDTSCs that have 99 other steps between them."""
    apart = NOP * (STEPS_APART - 1)
    recorded = BareMachine(loop(RDTSC + apart, rounds), Mode.RECORD)
    return recorded.run_to_halt() - BareMachine(loop(NOP + apart, rounds)).run_to_halt()


def _stops(size: Size) -> list[Measurement]:
    steps = size.stops * STOP_EVERY
    counts = range(STOP_EVERY, steps + 1, STOP_EVERY)
    run, line = lib.core_run, lib.core_set_interrupt_line

    def sample() -> tuple[float, ...]:
        straight = BareMachine(loop(NOP, FOR_EVER))
        start = time.process_time()
        run(straight.core, steps, NEVER)
        plain = time.process_time() - start

        stopped = BareMachine(loop(NOP, FOR_EVER))
        start = time.process_time()
        for _ in counts:
            run(stopped.core, 0, NEVER)  # is there already: what remains is the call
        middle = time.process_time()
        for count in counts:
            run(stopped.core, count, NEVER)
        stops = time.process_time() - middle - (middle - start) - plain
        if lib.core_count(stopped.core) != steps:
            raise CannotRunError(f"a run to count {steps} ended at {lib.core_count(stopped.core)}")

        recorded = BareMachine(loop(NOP, FOR_EVER), Mode.RECORD)
        for count in counts:
            line(recorded.core, True)
            # One step, the handler's first; interrupts are off until its IRET.
            run(recorded.core, lib.core_count(recorded.core) + 1, NEVER)
            line(recorded.core, False)
            run(recorded.core, count, NEVER)
        if lib.core_log_entries(recorded.core) != size.stops:
            raise CannotRunError(f"not {size.stops} interrupts came")
        replayed = BareMachine(loop(NOP, FOR_EVER))
        interrupts = replayed.replay(recorded.take_log(), steps) - plain
        return stops / size.stops * 1e9, interrupts / size.stops * 1e9

    stops, interrupts = _sample(size.rounds, sample)
    return [
        _figure("stop anywhere and resume, in C", stops, "ns"),
        _figure("stop for an interrupt, deliver it and resume, in C", interrupts, "ns"),
    ]


def _ports(size: Size) -> list[Measurement]:
    rounds = size.ports // UNROLLED
    ports = rounds * UNROLLED

    def sample() -> tuple[float, ...]:
        plain = BareMachine(loop(NOP, rounds)).run_to_halt()
        core = BareMachine(loop(IN_AL_DX, rounds)).run_to_halt()
        in_c = _port_seconds(LINE_STATUS_PORT, rounds)
        in_python = _port_seconds(CONTROL_PORT, rounds)
        return tuple((cost - plain) / ports * 1e9 for cost in (core, in_c, in_python))

    core_ns, in_c_ns, in_python_ns = _sample(size.rounds, sample)
    return [
        _figure("port access, without a device", core_ns, "ns"),
        _figure("port access, the UART's line status", in_c_ns, "ns"),
        _figure("port access, a device in Python", in_python_ns, "ns"),
    ]


def _port_seconds(port: int, rounds: int) -> float:
    """CPU seconds of reading a machine's port."""
    machine = Machine(MachineConfig(memory_bytes=_MEMORY_BYTES, epoch_s=_EPOCH_S))
    load(machine.cpu._core, loop(IN_AL_DX, rounds, port))
    start = time.process_time()
    reason = machine.run()
    seconds = time.process_time() - start
    if reason is not Reason.HALTED:
        raise CannotRunError(f"reading port {port:#x} ended by {reason.name}")
    return seconds


def _pages(size: Size) -> list[Measurement]:
    content = bytes(range(256)) * (PAGE_BYTES // 256)

    def sample() -> tuple[float, ...]:
        machine = Machine(MachineConfig(memory_bytes=_MEMORY_BYTES, epoch_s=_EPOCH_S))
        machine.checkpoint()
        start = time.process_time()
        machine.checkpoint()
        clean = time.process_time() - start
        for page in range(size.pages):
            machine.cpu.write_memory(GuestPhysical(page * PAGE_BYTES), content)
        start = time.process_time()
        machine.checkpoint()
        dirty = time.process_time() - start
        return clean * 1e6, (dirty - clean) / size.pages * 1e9

    clean, page = _sample(size.rounds, sample)
    return [
        _figure("digest, nothing written since the last", clean, "µs"),
        _figure("digest, each page written", page, "ns"),
    ]


def _log(size: Size) -> list[Measurement]:
    machine = _boot("ticker", f"rate=1000 ticks={size.ticks}")
    machine.record()
    log_bytes = _drive(machine)
    return [_figure("timer interrupt in the log", [log_bytes / size.ticks], "bytes")]


def _snapshot(size: Size) -> list[Measurement]:
    machine = _boot("sort", "size=2000 rounds=1")
    _drive(machine)
    length = 0

    def sample() -> tuple[float, ...]:
        nonlocal length
        start = time.process_time()
        taken = snapshot.take(machine)
        middle = time.process_time()
        snapshot.restore(taken)
        length = len(taken)
        return (middle - start) * 1e3, (time.process_time() - middle) * 1e3

    take, restore = _sample(size.rounds, sample)
    megabytes = _MEMORY_BYTES >> 20
    return [
        _figure(f"snapshot of {megabytes} MiB, mostly empty", take, "ms"),
        _figure("restoring it", restore, "ms"),
        _figure("its size", [length / 1e3], "kB"),
    ]
