"""Who looks on while a node acts: its crash point; its journal and a meter if asked for."""

from collections.abc import Callable

from ftvm.audit.witness import ReplicaWitness
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Event, InputArrived, Link, OutputReleased
from ftvm.replication.messages import CONSOLE
from ftvm.replication.primary import PrimaryProtocol
from ftvm.runtime.clock import now_ns
from ftvm.runtime.control import Measured, NodeConfig
from ftvm.runtime.crash import CrashPoint, die, parse_crash_point
from ftvm.runtime.crash_steps import DiskStep, StepCrash
from ftvm.runtime.hold_meter import HoldMeter
from ftvm.runtime.journal_file import JournalFile
from ftvm.runtime.recorder import Recorder
from ftvm.runtime.status import HostStatus
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset


class Observers:
    """Of one node. What is written is there before the node acts, and before it dies."""

    def __init__(
        self, config: NodeConfig, journal: JournalFile | None, flush: Callable[[], None]
    ) -> None:
        self._flush = flush
        self._crashes = [parse_crash_point(text) for text in config.crashes]
        self._step: StepCrash | None = None
        self._acting: StepCrash | None = None
        self._witness: ReplicaWitness | None = None
        self.recorder = Recorder()
        self.hold = HoldMeter() if config.metrics else None
        if journal is not None:
            self._witness = ReplicaWitness(config.name, config.role, config.run, journal.write)

    def arm(self, role: str) -> CrashPoint | None:
        """Be ready for the first crash point of a role, and return it."""
        crash = next((crash for crash in self._crashes if crash.role == role), None)
        step = None if crash is None else crash.step
        self._step = StepCrash(step, crash.value, self._die) if crash and step else None
        return crash

    def _die(self) -> None:
        self._flush()  # what was done before this step is done
        die()

    def before(self, event: Event, protocol: PrimaryProtocol | BackupProtocol) -> None:
        """Note that the node is about to act on an event of its protocol."""
        self.recorder.saw(event, protocol)
        if self._witness is not None:
            self._witness.before(event)
        if self.hold is not None and isinstance(event, OutputReleased) and event.channel == CONSOLE:
            self.hold.released(StreamOffset(event.offset + len(event.data)), now_ns())
        self._acting = self._step
        if self._acting is not None:
            self._acting.before(event)

    def after(self, event: Event) -> None:
        """Note that the node has acted on it, whatever has been armed meanwhile."""
        if self._acting is not None:
            self._acting.after(event)

    def commits(self, step: str) -> None:
        """Note that a disk is about to be committed that far."""
        if self._step is not None:
            self._step.before(DiskStep(step))

    def made(self, output_bytes: int, now: Nanoseconds) -> None:
        """Note that the guest has put out so much since its boot, the last of it now."""
        if self.hold is not None:
            self.hold.made(StreamOffset(output_bytes), now)

    def measured(self, status: HostStatus) -> Measured:
        """Return what was measured, if that was asked for, beside how the node is."""
        if (hold := self.hold) is None:
            return Measured(status, (), 0, ())
        return Measured(status, tuple(hold.counts), hold.sum_ns, hold.percentiles(0.5, 0.99))

    def received(self, link: Link, data: bytes) -> None:
        """Note bytes that came, before the protocol has them."""
        if self._witness is not None:
            self._witness.received(link, data)

    def closed(self, link: Link) -> None:
        """Note that a connection is gone."""
        if self._witness is not None:
            self._witness.closed(link)

    def taken(self, arrived: InputArrived, count: InstructionCount, position: LogPosition) -> None:
        """Note that the guest has input, and the log has it before `position`."""
        if self._witness is not None:
            size = len(arrived.data)
            self._witness.taken(arrived.channel, arrived.offset, size, count, position)
