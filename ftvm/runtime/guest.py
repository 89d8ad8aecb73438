"""A guest as a node runs it: the machine, its limits of the moment, and its end.

Knows when the machine has something to do, kills the process at crash points,
and says what the guest's end means.
"""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence

from ftvm.errors import EXIT_TRIPLE_FAULT
from ftvm.log.last_equal import LastEqual
from ftvm.log.run_format import Flip
from ftvm.log.run_replay import apply_flip
from ftvm.machine import snapshot
from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import FOREVER, Mode, Reason
from ftvm.machine.disk import OpenImages
from ftvm.machine.machine import ChainLink, Machine, MachineConfig, Output
from ftvm.runtime.clock import now_ns
from ftvm.runtime.crash import CrashPoint, die
from ftvm.runtime.ends import End
from ftvm.runtime.recorder import Recorder
from ftvm.units import InstructionCount, Nanoseconds

CHECKPOINT_INTERVAL_NS = Nanoseconds(100_000_000)
"""Host time between two digests. Each empties the guest's TLB, which is what bounds it below."""

IDLE_CHECKPOINT_INTERVAL_NS = Nanoseconds(1_000_000_000)
IDLE_INSTRUCTIONS = 2_000_000
"""The same of a guest that was given no input and did less than so many instructions: it
sleeps, but for its timer."""

CHECKPOINT_PAGES = 8192
"""So many written pages make a digest due at any time: the guest stands still while they are
hashed, and a backup copies what it must remember; 32 MiB take some 10 ms."""

INPUT_PIECE_BYTES = 4096
NOT_AT_ALL = Nanoseconds(0)

CHECKS_KEPT = 16
"""Digests that are remembered with their time: what a look now and then does not miss."""


def restore(state: bytes, open_images: OpenImages) -> Machine:
    """Return a machine that goes on from a snapshot, with a console of its own."""
    machine = snapshot.restore(state, open_images)
    machine.input_bytes = dict.fromkeys(Stream, 0)
    return machine


def boot(files: BootFiles, config: MachineConfig, open_images: OpenImages) -> Machine:
    """Return a machine with an image in it; ImageError says why it cannot be booted."""
    machine = Machine(config, open_images(config.disks))
    machine.boot(plan_boot(files, config.memory_bytes))
    return machine


def _count_of(flip: Flip) -> int:
    return flip.count


class Guest:
    """A machine that runs; a readable descriptor `wake` ends its runs early.

    ``output_bytes`` is what it has put out on its console since its boot.
    """

    def __init__(self, machine: Machine, wake: int, output_bytes: int = 0) -> None:
        self.machine = machine
        self.machine.cpu.set_wake(wake)
        self.machine.cpu.set_dirty_pages_max(CHECKPOINT_PAGES)
        self.end: tuple[End, int] | None = None
        self.output_bytes = output_bytes
        self.recorder = Recorder()
        """Takes note of what the machine does."""
        self.checks: deque[tuple[ChainLink, Nanoseconds]] = deque(maxlen=CHECKS_KEPT)
        """The newest digests, made or checked, and when."""
        self.last_equal: LastEqual | None = None
        """Of a backup: where it was known to be equal."""
        self._crash: CrashPoint | None = None
        self.planted: tuple[Flip, ...] = ()
        """All faults that were put into it on purpose, or are yet to be; rising counts."""
        self._flips: list[Flip] = []  # those that are yet to be
        self._began_ns: Nanoseconds | None = None
        self._halted = False
        self._woken = False
        self._addressed = False
        """Whether input came since the last checkpoint."""
        self._checkpointed_at = Nanoseconds(0)
        self._checkpoint_count = InstructionCount(0)

    # --- crash points ---

    def arm(self, crash: CrashPoint | None) -> None:
        """Die at `crash`; times in it are from the first `run` on."""
        self._crash = crash
        entries = crash.value if crash and crash.kind == "entry" else 2**64 - 1
        self.machine.cpu.set_entry_stop(entries)

    def _crash_count(self) -> InstructionCount:
        crash = self._crash
        due = crash is not None and crash.kind == "instruction"
        return InstructionCount(crash.value) if crash and due else FOREVER

    def crash_deadline(self) -> Nanoseconds | None:
        """Host time at which to die; None if that is not a matter of time."""
        crash = self._crash
        if crash is None or crash.kind != "time" or self._began_ns is None:
            return None
        return Nanoseconds(self._began_ns + crash.value)

    def crash_if_due(self) -> None:
        """Be killed, as by `kill -9`, if the crash point is reached."""
        crash = self._crash
        if crash is None:
            return
        reached = {
            "instruction": self.machine.count,
            "output": self.output_bytes,
            "entry": self.machine.cpu.log_entries,
            "time": now_ns() - (self._began_ns or now_ns()),
        }.get(crash.kind, -1)
        if reached >= crash.value:
            die()

    # --- planted faults ---

    def plant(self, flips: Sequence[Flip]) -> None:
        """Turn these bits over too, when their instructions are reached."""
        for flip in flips:
            self.recorder.planted(flip)
        self.planted = tuple(sorted((*self.planted, *flips), key=_count_of))
        self._flips = sorted((*self._flips, *flips), key=_count_of)

    def flip(self, address: int, bit: int) -> None:
        """Turn a bit of its memory over behind the next instruction.

        Not here and now: whoever does the run again could not tell whether that was before
        or after what came in at this count.
        """
        self.plant([Flip(self.machine.count + 1, address, bit)])

    def _flip_count(self) -> InstructionCount:
        return InstructionCount(self._flips[0].count) if self._flips else FOREVER

    def _flip_if_due(self) -> None:
        while self._flips and self.machine.count >= self._flips[0].count:
            apply_flip(self.machine, self._flips.pop(0))

    # --- the log ---

    def take_log(self) -> bytes:
        """Return what the live machine has logged since the last call."""
        entries = self.machine.cpu.log_take()
        self.recorder.logged(entries)
        return entries

    def feed_log(self, entries: bytes) -> int:
        """Give the replaying machine log; returns how many bytes there was room for."""
        fed = self.machine.cpu.log_put(entries)
        self.recorder.logged(entries[:fed])
        if self.last_equal is not None:
            self.last_equal.fed(entries[:fed])
        return fed

    # --- running ---

    def wake_at(self) -> Nanoseconds | None:
        """Host time at which a live machine has something to do: now, later, or None for never."""
        if self.end is not None:
            return None
        if not self._halted or self._woken:
            return Nanoseconds(0)
        due = self.machine.next_deadline()
        if due is None:
            return None
        return Nanoseconds(now_ns() + max(0, due - self.machine.cpu.guest_ns()))

    def run(
        self,
        until: InstructionCount,
        deadline: Nanoseconds,
        sleep_until: Nanoseconds = NOT_AT_ALL,
    ) -> list[Output]:
        """Run until one of the limits, the guest's sleep or its end; return its output.

        A sleep for its timer alone is part of the run until `sleep_until`.
        """
        self._woken = False
        self._began_ns = self._began_ns or now_ns()
        self.crash_if_due()
        if (dies_at := self.crash_deadline()) is not None:
            deadline, sleep_until = min(deadline, dies_at), min(sleep_until, dies_at)
        until = min(until, self._crash_count(), self._flip_count())
        self.machine.cpu.set_sleep(sleep_until)
        with self._checks_noted():
            reason = self.machine.run(until, deadline)
        self._flip_if_due()
        if self.last_equal is not None:
            self.last_equal.copy_some()
        outputs = self.machine.take_outputs()
        self.output_bytes += sum(
            len(output.data) for output in outputs if output.channel is Stream.CONSOLE
        )
        self.recorder.put_out(outputs)
        self.crash_if_due()
        self._halted = reason is Reason.HALTED
        had_ended = self.end is not None
        self._look_for_end(reason)
        if self.end is not None and not had_ended:
            self.machine.screen.show()  # the last frame, whoever the replica is
            outputs += self.machine.take_outputs()
        return outputs

    def _look_for_end(self, reason: Reason) -> None:
        if self.machine.exit_value is not None:
            end = End.OFF if self.machine.powered_off else End.EXIT
            self.end = end, self.machine.exit_value
        elif reason is Reason.SHUTDOWN and self.machine.cpu.was_reset:
            self.end = End.RESET, 0
        elif reason is Reason.SHUTDOWN:
            self.end = End.TRIPLE_FAULT, EXIT_TRIPLE_FAULT
        elif (
            # A replay that stands at the HLT has run to the end of its log.
            reason in (Reason.HALTED, Reason.LOG_EMPTY) and self.machine.cpu.halted_for_good
        ):
            self.end = End.HALT, 0

    def wants_input(self, stream: Stream) -> bool:
        """Whether the guest has read most of the input it was given on a stream."""
        return self.end is None and self.machine.input_queued(stream) < INPUT_PIECE_BYTES

    def input(self, data: bytes, stream: Stream) -> None:
        """Give input to the live guest."""
        self.machine.input(data, stream)
        self._woken = self._addressed = True

    def checkpoint_if_due(self, now: Nanoseconds, *, can_wait: bool = False) -> bool:
        """Log a digest of the live machine now and then, if it did anything.

        One that `can_wait` may come as late again. Returns whether that was done.
        """
        did = self.machine.count - self._checkpoint_count
        idle = did < IDLE_INSTRUCTIONS and not self._addressed
        interval_ns = IDLE_CHECKPOINT_INTERVAL_NS if idle else CHECKPOINT_INTERVAL_NS
        is_time = now >= self._checkpointed_at + interval_ns * (2 if can_wait else 1)
        if not did or not (is_time or self.machine.cpu.dirty_page_count >= CHECKPOINT_PAGES):
            return False
        self._checkpointed_at = now
        self._checkpoint_count = self.machine.count
        self._addressed = False
        with self._checks_noted():
            self.machine.checkpoint()
        return True

    @contextlib.contextmanager
    def _checks_noted(self) -> Iterator[None]:
        """Note the digests that are made meanwhile, the one that differs too."""
        try:
            yield
        finally:
            now = now_ns()
            self.checks.extend((link, now) for link in self.machine.take_links())

    def go_live(self) -> None:
        """From replaying to living, logging on."""
        if self.last_equal is not None:
            self.last_equal.end()
            self.last_equal = None
        self.machine.go_live(Mode.RECORD)
        self._halted = False
