"""The first difference of two recorded runs, as data for people and programs."""

from dataclasses import dataclass, field
from typing import Any

from ftvm.log.comparison import Comparison
from ftvm.log.run_entries import RunEntries
from ftvm.log.run_format import DIVERGED
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import RunReplay, check_engine
from ftvm.log.state_difference import compare_machines
from ftvm.machine.engine import ENGINE
from ftvm.machine.machine import Machine
from ftvm.ui.disassembly import following, instruction_at
from ftvm.ui.inspection import entry_object
from ftvm.ui.progress import ProgressBar
from ftvm.units import InstructionCount

NEIGHBOURS = 4
MEMORY_ROWS = 16


@dataclass
class Difference:
    """What was found of two runs.

    ``verdict``: equal; different, by the instruction behind which they are;
    memory changed, of a replica whose log does not make it as different as it was
    recorded; ended, if one of them ends or fails where the other goes on, which
    `detail` says. ``began_otherwise`` are fields of devices in which they differ
    from the beginning, which count for nothing. ``instruction`` is the one that
    was executed between `equal` and `different`, ``before`` those before it,
    ``a`` and ``b`` what is next; all with their linear address.
    """

    verdict: str
    names: tuple[str, str]
    began_otherwise: list[str]
    equal: int
    different: int | None = None
    detail: str = ""
    before: list[tuple[int, str]] = field(default_factory=list)
    instruction: tuple[int, str] | None = None
    a: list[tuple[int, str]] = field(default_factory=list)
    b: list[tuple[int, str]] = field(default_factory=list)
    came_in: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ((), ())  # type: ignore[assignment]
    registers: list[tuple[str, int, int]] = field(default_factory=list)
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    memory_bytes: int = 0
    devices: list[tuple[str, Any, Any]] = field(default_factory=list)


def find_difference(a: RunReader, b: RunReader) -> Difference:
    """Compare two runs; UsageError if they cannot be compared."""
    for reader in (a, b):
        check_engine(reader, ENGINE)
    end = min(a.end_count, b.end_count)
    with ProgressBar("comparing", end) as progress:
        comparison = Comparison(a, b, progress.at)
        parting = comparison.find()
    began = sorted(comparison.ignored)
    found = Difference("equal", (a.name, b.name), began, parting.equal, parting.different)
    if parting.different is not None:
        found.verdict = "different"
        _look_around(found, comparison, parting.equal, parting.different)
        found.came_in = (
            _came_in(a, parting.equal, parting.different),
            _came_in(b, parting.equal, parting.different),
        )
        found.detail = _planted(a, b, parting.different)
    elif not _look_at_recorded_state(found, a, b):
        _look_at_ends(found, a, b, parting.failures)
    return found


def _look_around(
    found: Difference,
    comparison: Comparison,
    equal: InstructionCount,
    different: InstructionCount,
) -> None:
    begin = InstructionCount(max(comparison.base, equal - NEIGHBOURS))
    one, _ = comparison.stand_at(begin)
    while one.count < equal:
        found.before.append(instruction_at(one.machine.cpu))
        one.run(InstructionCount(one.count + 1))
    if equal < different:
        found.instruction = instruction_at(one.machine.cpu)
    one, other = comparison.stand_at(different)
    found.a = following(one.machine.cpu, NEIGHBOURS)
    found.b = following(other.machine.cpu, NEIGHBOURS)
    _compare(found, one.machine, other.machine)


def _compare(found: Difference, a: Machine, b: Machine) -> None:
    state = compare_machines(a, b, MEMORY_ROWS)
    found.registers = [(r.name, r.a, r.b) for r in state.registers]
    found.memory = list(state.memory)
    found.memory_bytes = state.memory_bytes
    found.devices = [
        (d.name, d.a, d.b) for d in state.devices if d.name not in found.began_otherwise
    ]


def _came_in(reader: RunReader, begin: int, end: int) -> list[dict[str, Any]]:
    entries = RunEntries(reader, reader.place_before(InstructionCount(begin)))
    wanted = []
    for entry in entries:
        if entry.count >= end:
            break
        if entry.count >= begin:
            wanted.append(entry_object(entry))
    return wanted


def _planted(a: RunReader, b: RunReader, count: int) -> str:
    flips = [
        f"{reader.name} has a flip planted here: {flip.address:#x}, bit {flip.bit}"
        for reader in (a, b)
        for flip in reader.planted
        if flip.count == count
    ]
    return "; ".join(flips)


def _look_at_recorded_state(found: Difference, a: RunReader, b: RunReader) -> bool:
    """Compare the state that a replica was recorded in when it was found to differ."""
    for reader, other in ((a, b), (b, a)):
        if reader.end is None or reader.end.how != DIVERGED:
            continue
        recorded = RunReplay(reader, reader.checkpoints[-1]).machine
        if recorded.count > other.end_count:
            continue
        replay = RunReplay(other, other.place_before(recorded.count))
        replay.run(recorded.count)
        pair = (recorded, replay.machine) if reader is a else (replay.machine, recorded)
        _compare(found, *pair)
        found.verdict, found.different = "memory changed", recorded.count
        found.detail = (
            f"the log of {reader.name} does not make it differ, and at instruction "
            f"{recorded.count:,} it did: its memory was changed from outside"
        )
        return True
    return False


def _look_at_ends(
    found: Difference, a: RunReader, b: RunReader, failures: tuple[str | None, str | None]
) -> None:
    failed = [
        f"{reader.name}: {failure}"
        for reader, failure in zip((a, b), failures, strict=True)
        if failure is not None
    ]
    if failed:
        found.verdict, found.detail = "ended", "; ".join(failed)
    elif a.end_count != b.end_count:
        shorter, longer = sorted((a, b), key=lambda reader: reader.end_count)
        how = shorter.end.how if shorter.end else "torn"
        found.verdict = "ended"
        found.detail = (
            f"{shorter.name} ends there ({how}), and {longer.name} goes on "
            f"to instruction {longer.end_count:,}"
        )
