"""A machine that does again what a recorded run has.

It starts at a checkpoint and runs as far as it is told; digests in the log are
compared on the way, and at the recording's end state and output. Faults that
were planted in the recorded machine are planted again.
"""

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ftvm.errors import DivergenceError, LogError
from ftvm.log.frames import Frame, Kind
from ftvm.log.run_format import DIVERGED, CheckpointPlace, Flip, decode_log
from ftvm.log.run_reader import RunReader
from ftvm.machine import snapshot
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import FOREVER, NEVER, Reason
from ftvm.machine.machine import DIGEST_BYTES, Machine, Output
from ftvm.units import GuestPhysical, InstructionCount, Nanoseconds

_FEED_BYTES = 1 << 16


class Finding(enum.StrEnum):
    """What a replay can come to."""

    EQUAL = "equal"
    TORN = "torn"
    DAMAGED = "damaged"
    DIVERGED = "diverged"


def check_engine(reader: RunReader, engine: str) -> None:
    """Raise LogError, with advice, if `reader`'s run is of another engine than `engine`."""
    theirs = reader.header.engine
    if theirs != engine:
        raise LogError(
            f"{reader.name}: recorded by {theirs}, and this is {engine}, which might do something "
            "else with the same log; replay it with that version"
        )


@dataclass(frozen=True)
class ReplayBase:
    """A place in a run where a replay can start.

    ``snapshot`` is the machine there. The log goes on ``skip`` bytes behind the
    beginning of the one in the frames from the file's offset ``behind`` on;
    ``output`` is what the run had put out.
    """

    snapshot: bytes
    behind: int
    skip: int
    output: int


def base_at(reader: RunReader, place: CheckpointPlace) -> ReplayBase:
    """Return the place of a checkpoint."""
    checkpoint, behind = reader.checkpoint(place)
    return ReplayBase(checkpoint.snapshot, behind, 0, checkpoint.stand.output)


class RunReplay:
    """One replay of a run, from a checkpoint on."""

    def __init__(
        self, reader: RunReader, start: CheckpointPlace | ReplayBase | None = None
    ) -> None:
        """Begin at `start`, or at the run's beginning."""
        self._reader = reader
        if not isinstance(start, ReplayBase):
            whole = start is None
            start = base_at(reader, start or reader.checkpoints[0])
        else:
            whole = False
        self.machine: Machine = snapshot.restore(start.snapshot, reader.images.open)
        self.machine.replay()
        self.over = False
        """Whether the recording's end, or its torn end, is reached."""
        self.others: list[Output] = []
        """What the last `run` put out on other streams than the console."""
        self._behind = start.behind
        self._frames: Iterator[Frame] = reader.frames(start.behind)
        self._skip = start.skip
        self._fed = 0
        self._exhausted = False
        self._entries = b""
        self._mark = self.machine.count
        self._output = start.output
        self._output_hash = hashlib.blake2b(digest_size=DIGEST_BYTES) if whole else None
        ahead = (flip for flip in reader.planted if flip.count > self.machine.count)
        self._flips = sorted(ahead, key=lambda flip: flip.count)
        if any(flip.address >= reader.header.config.memory_bytes for flip in self._flips):
            raise LogError(f"{reader.name}: a planted fault is in no memory")

    @property
    def count(self) -> InstructionCount:
        """Where the machine is."""
        return self.machine.count

    def run(self, until: InstructionCount = FOREVER, deadline: Nanoseconds = NEVER) -> bytes:
        """Run to `until` exactly, to the end, or to the deadline; return the console's output.

        ``deadline`` is in the machine's `host_ns` time. Raises DivergenceError
        if the machine does not do what was recorded.
        """
        output = bytearray()
        self.others.clear()
        while not self.over and self.machine.count < until:
            self._feed()
            before = self.machine.count, self._fed - self.machine.cpu.log_pending
            reason = self.machine.run(min(until, self._next_flip()), deadline)
            for made in self.machine.take_outputs():
                if made.channel is Stream.CONSOLE:
                    output += made.data
                else:
                    self.others.append(made)
            self._flip_if_due()
            if reason is Reason.DEADLINE:
                break
            used = self._fed - self.machine.cpu.log_pending
            self._judge(reason, (self.machine.count, used) != before)
        self._output_made(bytes(output))
        if self.over:
            self._check_end()
        return bytes(output)

    def judge(self) -> tuple[Finding, str]:
        """The verdict on what was replayed without a DivergenceError, and what is wrong."""
        flaw, end = self._reader.flaw, self._reader.end
        if not self.over:
            return Finding.EQUAL, ""
        if flaw is not None:
            return (Finding.TORN if flaw.torn else Finding.DAMAGED), self._reader.describe_flaw()
        if end is not None and end.how == DIVERGED:
            return Finding.DIVERGED, (
                f"this replica differed when it was recorded, at instruction {self.count:,}, "
                "and its log does not make it differ: its memory was changed from outside"
            )
        return Finding.EQUAL, ""

    def save(self) -> ReplayBase:
        """Return where the replay is, to come back to it.

        Only where the machine is synchronised: at a checkpoint, or before a digest.
        """
        used = self._fed - self.machine.cpu.log_pending
        return ReplayBase(snapshot.take(self.machine), self._behind, used, self._output)

    # --- feeding ---

    def _feed(self) -> None:
        """Hand the machine as much of the log as it takes, and how far it may go."""
        cpu = self.machine.cpu
        while cpu.log_pending < _FEED_BYTES:
            if not self._entries and not self._next_frame():
                return
            taken = cpu.log_put(self._entries[:_FEED_BYTES])
            self._entries = self._entries[taken:]
            self._fed += taken
            if not self._entries:
                cpu.set_mark(self._mark)

    def _next_frame(self) -> bool:
        """Read on to the next frame that lets the machine go on; False at the end."""
        if self._exhausted:
            return False
        for frame in self._frames:
            if frame.kind is Kind.LOG:
                log = decode_log(frame, self._reader.name)
                skipped = min(self._skip, len(log.entries))
                self._skip -= skipped
                self._fed += skipped
                self._entries, self._mark = log.entries[skipped:], log.mark
                if not self._entries:
                    self.machine.cpu.set_mark(log.mark)
                return True
        self._exhausted = True
        return False

    def _judge(self, reason: Reason, has_moved: bool) -> None:
        """Find out whether it is over, or goes no further than it should."""
        machine = self.machine
        ended = reason is Reason.SHUTDOWN or machine.exit_value is not None
        if not ended and reason is not Reason.LOG_EMPTY:
            return
        fed = self._fed
        self._feed()
        used_up = self._exhausted and not self._entries and not machine.cpu.log_pending
        if used_up and machine.count >= self._mark:
            self.over = True
            return
        if not ended and (has_moved or self._fed > fed):
            return
        if ended:
            raise DivergenceError(
                f"the guest ends at count {machine.count}, and in the recording it goes on"
            )
        raise DivergenceError(f"the replay goes no further than count {machine.count}")

    # --- planted faults ---

    def _next_flip(self) -> InstructionCount:
        return InstructionCount(self._flips[0].count) if self._flips else FOREVER

    def _flip_if_due(self) -> None:
        while self._flips and self._flips[0].count <= self.machine.count:
            apply_flip(self.machine, self._flips.pop(0))

    # --- the end ---

    def _output_made(self, data: bytes) -> None:
        self._output += len(data)
        if self._output_hash is not None:
            self._output_hash.update(data)

    def _check_end(self) -> None:
        end, machine = self._reader.end, self.machine
        if end is None or end.how == DIVERGED or self._reader.flaw is not None:
            return
        if machine.count != end.count:
            raise DivergenceError(
                f"the replay ends at count {machine.count}, the recording at {end.count}"
            )
        if machine.state_digest() != end.digest:
            raise DivergenceError(f"the state at the end, count {machine.count}, is another")
        same_hash = self._output_hash is None or self._output_hash.digest() == end.output_hash
        if self._output != end.output or not same_hash:
            raise DivergenceError(
                f"the console's {self._output} bytes are not the {end.output} that were recorded"
            )


def apply_flip(machine: Machine, flip: Flip) -> None:
    """Turn one bit of the machine's memory over."""
    address = GuestPhysical(flip.address)
    byte = machine.cpu.memory[flip.address][0] ^ 1 << flip.bit
    machine.cpu.write_memory(address, bytes([byte]))
