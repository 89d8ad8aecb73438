"""What a machine showed, and what it got from outside: what the oracle is compared by."""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ftvm.machine.cpu import Entry, Kind
from ftvm.machine.machine import Machine

TIME_STAMP_STEPS = 64
RESULTS = frozenset((Kind.TSC, Kind.RANDOM, Kind.CLOCK))


class Limit(Exception):
    """The oracle cannot go on from here; its text says why."""


@dataclass(frozen=True)
class View:
    """What a stop shows of a machine."""

    count: int
    general: tuple[int, ...]
    eip: int
    eflags: int
    memory: bytes

    def difference(self, other: "View") -> str:
        """Return in words in what the two differ."""
        parts = [
            f"{name}: {getattr(self, name)} {getattr(other, name)}"
            for name in ("count", "general", "eip", "eflags")
            if getattr(self, name) != getattr(other, name)
        ]
        if self.memory != other.memory:
            parts.append("memory")
        return "; ".join(parts)


def memory_digest(memory: bytes | memoryview) -> bytes:
    """Return a short name for the content of memory."""
    return hashlib.blake2b(memory, digest_size=8).digest()


def view(machine: Machine) -> View:
    """Return what a stopped machine shows."""
    registers = machine.cpu.registers
    return View(
        machine.count,
        tuple(registers.gpr),
        registers.eip,
        registers.eflags,
        memory_digest(bytes(machine.cpu.memory)),
    )


class Log:
    """What a recorded machine got from outside, to hand to the oracle in turn."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._waiting = deque(entries)
        self._stamped: Entry | None = None

    def result(self, kind: Kind, count: int) -> int:
        """Take the result that an instruction at `count` asks for."""
        if not self._waiting:
            raise Limit("the log of results ends")
        entry = self._waiting.popleft()
        assert (entry.kind, entry.count) == (kind, count), (
            f"{kind.name} is wanted at count {count}, and the log has {entry}"
        )
        return entry.value

    def time_stamp(self, count: int) -> int:
        """The counter at `count`: as logged, or 1 ns a step since it was logged last."""
        first = self._waiting[0] if self._waiting else None
        if first is not None and (first.kind, first.count) == (Kind.TSC, count):
            self._stamped = self._waiting.popleft()
        assert self._stamped is not None, "the first time stamp is not logged"
        steps = count - self._stamped.count
        assert steps < TIME_STAMP_STEPS, f"{steps} steps from one time stamp in the log to this"
        return self._stamped.value + steps

    def event(self, count: int) -> Entry | None:
        """Take the next entry if it is an event at `count`."""
        if self.next_event == count:
            return self._waiting.popleft()
        return None

    @property
    def next_event(self) -> int | None:
        """The count of the next entry, if that is an event."""
        if self._waiting and self._waiting[0].kind not in RESULTS:
            return self._waiting[0].count
        return None
