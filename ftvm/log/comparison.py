"""Where two recorded runs part: the first instruction behind which their machines differ.

Both are replayed side by side. The digests in the first one's log are where
they are compared first, because a machine that starts from a copy made there
does the same as one that came by. Between the last equal one and the first
unequal one the interval is cut into pieces, the first piece that ends unequal
into smaller ones, until it is one instruction.

Nothing is known of the reason: the two may have been given different things, or
the same, and one of them has a fault (`RunReader.planted`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ftvm.errors import DivergenceError, UsageError
from ftvm.log.run_entries import RunEntries
from ftvm.log.run_format import CheckpointPlace
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import ReplayBase, RunReplay
from ftvm.log.state_difference import device_fields
from ftvm.machine.cpu import Kind
from ftvm.units import InstructionCount

PIECES = 32
"""Into so many pieces an interval is cut: a comparison costs less than coming back."""


@dataclass(frozen=True)
class Parting:
    """What was found.

    The machines are equal when `equal` instructions are done. ``different`` is
    the next count, at which they are not; None if they are nowhere found unequal.
    ``failures`` say of each run, if so, why its replay does not go on from there.
    """

    equal: InstructionCount
    different: InstructionCount | None
    failures: tuple[str | None, str | None] = (None, None)


class _Side:
    """One of the two: its replay, and how to come back to where it was."""

    def __init__(self, reader: RunReader, place: CheckpointPlace) -> None:
        self._reader = reader
        self._base: ReplayBase | CheckpointPlace = place
        self.failure: str | None = None
        self.replay = RunReplay(reader, place)

    def to(self, count: InstructionCount) -> bool:
        """Run to `count`; False if the replay ends or fails before."""
        try:
            self.replay.run(count)
        except DivergenceError as error:
            self.failure = str(error)
        return self.failure is None and self.replay.count >= count

    def finish(self) -> None:
        """Run to the end of the recording."""
        try:
            while not self.replay.over:
                self.replay.run()
        except DivergenceError as error:
            self.failure = str(error)

    def keep(self) -> None:
        """Come back to here from now on."""
        self._base = self.replay.save()

    def back(self) -> None:
        """Be where `keep` was called last."""
        self.failure = None
        self.replay = RunReplay(self._reader, self._base)

    def digest(self, ignored: frozenset[str]) -> object:
        """What is equal for equal machines, but for fields of devices that do not matter."""
        machine = self.replay.machine
        if not ignored:
            return machine.state_digest()
        fields = {k: v for k, v in device_fields(machine).items() if k not in ignored}
        return machine.cpu.register_bytes, machine.cpu.hash_memory(), fields


class Comparison:
    """Two runs; raises UsageError if their machines are of different sizes."""

    def __init__(
        self, a: RunReader, b: RunReader, progress: Callable[[int], None] = lambda count: None
    ) -> None:
        sizes = [reader.header.config.memory_bytes for reader in (a, b)]
        if sizes[0] != sizes[1]:
            raise UsageError(
                f"{a.name} is of a machine with {sizes[0] >> 10:,} KiB of memory, and {b.name} "
                f"of one with {sizes[1] >> 10:,} KiB: they differ all over"
            )
        self._readers = a, b
        self._progress = progress
        first, second = self._start()
        self._place = first
        self._sides = _Side(a, first), _Side(b, second)
        self.start = InstructionCount(max(first.count, second.count))
        """Where both are known to be equal before anything is compared, or never."""
        self.end = min(a.end_count, b.end_count)
        self.base = self.start
        """The first count that `stand_at` can go to."""
        self.ignored: frozenset[str] = frozenset()
        """Fields of devices in which the two differ from the beginning, and nothing else does."""

    def find(self) -> Parting:
        """Look for the first difference."""
        if self._both_to(self.start) and not self._equal():
            self._ignore_what_began_so()
        if any(self._failures()) or not self._equal():
            return Parting(self.start, self.start, self._failures())
        low, high = self._march()
        if high is None:
            return Parting(low, None, self._failures())
        failures = self._failures()
        for side in self._sides:
            side.back()
        self._both_to(low)
        for side in self._sides:
            side.keep()
        self.base = low
        low, high = self._narrow(low, high)
        return Parting(low, high if low < high else None, failures if low == high else (None, None))

    def stand_at(self, count: InstructionCount) -> tuple[RunReplay, RunReplay]:
        """Return both replays at `count`, which is `base` or behind it."""
        for side in self._sides:
            side.back()
        self._both_to(count)
        return self._sides[0].replay, self._sides[1].replay

    # --- inside ---

    def _start(self) -> tuple[CheckpointPlace, CheckpointPlace]:
        """The last checkpoints at one count with equal machines; else what is nearest."""
        a, b = self._readers
        there = {place.count: place for place in b.checkpoints}
        common = [(place, there[place.count]) for place in a.checkpoints if place.count in there]
        while len(common) > 1:
            middle = len(common) // 2
            one, other = (RunReplay(r, p) for r, p in zip((a, b), common[middle], strict=True))
            same = one.machine.state_digest() == other.machine.state_digest()
            common = common[middle:] if same else common[:middle]
        if common:
            return common[0]
        begin = max(a.begin_count, b.begin_count)
        if begin > min(a.end_count, b.end_count):
            raise UsageError(f"{a.name} and {b.name} have no instruction in common")
        return a.place_before(begin), b.place_before(begin)

    def _equal(self) -> bool:
        one, other = self._sides
        return one.digest(self.ignored) == other.digest(self.ignored)

    def _ignore_what_began_so(self) -> None:
        """Two runs of one image begin with another date, which is no difference to look for."""
        one, other = (device_fields(side.replay.machine) for side in self._sides)
        self.ignored = frozenset(name for name, value in one.items() if other.get(name) != value)

    def _failures(self) -> tuple[str | None, str | None]:
        return self._sides[0].failure, self._sides[1].failure

    def _both_to(self, count: InstructionCount) -> bool:
        there = [side.to(count) for side in self._sides]  # both, whatever the first comes to
        return all(there)

    def _digest_counts(self) -> Iterator[InstructionCount]:
        for entry in RunEntries(self._readers[0], self._place):
            if entry.kind is Kind.DIGEST and self.start < entry.count < self.end:
                yield entry.count
        yield self.end

    def _march(self) -> tuple[InstructionCount, InstructionCount | None]:
        """From digest to digest; return the last equal count, and one at which they are not."""
        low = self.start
        for count in self._digest_counts():
            self._progress(count)
            if not self._both_to(count):
                return low, min(count, *(side.replay.count for side in self._sides))
            if not self._equal():
                return low, count
            low = count
        if self._readers[0].end_count == self._readers[1].end_count:
            for side in self._sides:
                side.finish()
        return low, None

    def _narrow(
        self, low: InstructionCount, high: InstructionCount
    ) -> tuple[InstructionCount, InstructionCount]:
        """Equal at `low`, where both can come back to; unequal at `high`, or no way beyond it.

        Returns two neighbours, or one count twice if they are equal at `high`.
        """
        while high - low > 1:
            stride = -(-(high - low) // PIECES)
            for side in self._sides:
                side.back()
            self._both_to(low)
            for end in range(low + stride, high + stride, stride):
                count = InstructionCount(min(end, high))
                self._both_to(count)
                if not self._equal():
                    high = count
                    break
                low = count
        if low < high and self._stand_equal(high):
            low = high
        return low, high

    def _stand_equal(self, count: InstructionCount) -> bool:
        self.stand_at(count)
        return self._equal()
