"""A node's recording of its run: a file, and when what is written to it.

What anybody has seen of the guest is in the file before they see it, so a
process that is killed loses only what nobody saw; the output rule, with the
disk in the backup's place. A file that cannot be written ends the replica.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial

from ftvm.errors import HostError
from ftvm.log.last_equal import LastEqual
from ftvm.log.run_format import DIVERGED, Flip, Moment, RunHeader, What
from ftvm.log.run_writer import RunWriter
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import Mode
from ftvm.machine.engine import ENGINE
from ftvm.machine.machine import Output
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Event, GoLive, OutputReleased, PeerJoined, PeerLost
from ftvm.replication.lockstep import Lockstep
from ftvm.replication.messages import CONSOLE, Mark
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity
from ftvm.runtime import control
from ftvm.runtime.clock import now_ns
from ftvm.runtime.flip import parse_flip
from ftvm.runtime.guest import Guest
from ftvm.runtime.recorder import Recorder
from ftvm.units import InstructionCount, LogPosition, Nanoseconds

WRITE_INTERVAL_NS = Nanoseconds(100_000_000)
"""Log that no output depends on is written so often."""

WRITE_BYTES = 1 << 16
"""Or when there is so much of it."""

CHECKPOINT_INTERVAL_NS = Nanoseconds(5_000_000_000)
"""Host time between two checkpoints: what reaching any instruction costs at most, about."""

CHECKPOINT_SHARE = 25
"""Checkpoints come so seldom that taking them is at most one part in so many of the time."""


class RecordingFile:
    """A file that is written from its beginning; HostError if it cannot be."""

    def __init__(self, path: str, where: Callable[[], InstructionCount]) -> None:
        self._path = path
        self._where = where
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise self._failure(error) from None

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                raise self._failure(error) from None

    def _failure(self, error: OSError) -> HostError:
        return HostError(
            f"cannot write the recording {self._path}: {error.strerror}; "
            f"the guest is stopped at instruction {self._where()}"
        )


class RunRecorder(Recorder):
    """Records one guest into one file."""

    def __init__(
        self, path: str, header: RunHeader, guest: Guest, meanwhile: Callable[[], None]
    ) -> None:
        """`meanwhile` is called now and then while a large machine is written."""
        self._guest = guest
        self._machine = machine = guest.machine
        self._file = RecordingFile(path, lambda: machine.count)
        self._writer = RunWriter(self._file.write, header, machine, now_ns(), meanwhile=meanwhile)
        for drive, disk in enumerate(machine.disks):
            disk.when_read.append(partial(self._writer.read_image, drive))
        self._has_output = False
        self._written_ns = self._checkpoint_ns = now_ns()
        self._checkpoint_cost_ns = 0
        self._links = machine.links
        self._marked = self._acknowledged = Mark(machine.count, LogPosition(0))
        self._executed = machine.count

    def logged(self, entries: bytes) -> None:
        """See `Recorder`."""
        self._writer.logged(entries)

    def put_out(self, outputs: Sequence[Output]) -> None:
        """See `Recorder`."""
        for output in outputs:
            if output.channel is Stream.CONSOLE:
                self._writer.put_out(output.data)
        if self._machine.mode is Mode.REPLAY:
            self._links = self._machine.links
            self._write_if_due(now_ns())
        elif outputs:
            self._has_output = True

    def planted(self, flip: Flip) -> None:
        """See `Recorder`."""
        self._writer.plant(flip)

    def settle(self) -> None:
        """See `Recorder`."""
        now = now_ns()
        has_link = self._links != self._machine.links
        self._links = self._machine.links
        if self._has_output or has_link:
            self._write(now)
        else:
            self._write_if_due(now)
        # Only where the replicas' TLBs are empty anyway: taking it empties ours.
        is_level = self._machine.digest_count == self._machine.count
        if is_level and now >= self._next_checkpoint_ns():
            self._writer.write_checkpoint(now)
            self._checkpoint_ns = now_ns()
            self._checkpoint_cost_ns = self._checkpoint_ns - now

    def saw(self, event: Event, protocol: PrimaryProtocol | BackupProtocol) -> None:
        """See `Recorder`."""
        if isinstance(protocol, PrimaryProtocol):
            self._look(protocol.lockstep)
        match event:
            case OutputReleased(channel, _, offset, data, count) if channel == CONSOLE:
                self._happened(What.RELEASED, count, offset + len(data))
            case PeerJoined():
                self._happened(What.JOINED, self._machine.count)
            case PeerLost(_, _, count):
                self._happened(What.LOST, count)
            case GoLive(_, count, position):
                self._happened(What.LIVE, count, position)
                self._write(now_ns())  # what it has put out so far is let out now

    def _look(self, lockstep: Lockstep) -> None:
        """Note how far the backup is, if that is new."""
        if lockstep.marked != self._marked:
            self._marked = lockstep.marked
            self._happened(What.MARKED, self._marked.count, self._marked.position)
        if lockstep.acknowledged != self._acknowledged:
            mark = self._acknowledged = lockstep.acknowledged
            self._happened(What.ACKNOWLEDGED, mark.count, mark.position)
        if lockstep.executed != self._executed:
            self._executed = lockstep.executed
            self._happened(What.EXECUTED, self._executed)

    def finish(self, cause: str) -> None:
        """See `Recorder`."""
        how, status = cause or "stopped", 0
        if not cause and self._guest.end is not None:
            end, status = self._guest.end
            how = end.label
        now = now_ns()
        self._write(now)
        if how == DIVERGED:
            self._writer.write_checkpoint(now)  # what it differs in is to be found by this
        self._writer.write_end(how, status, now)

    def _happened(self, what: int, count: InstructionCount, position: int = 0) -> None:
        self._writer.happened(Moment(what, now_ns(), count, position))

    def _write_if_due(self, now: Nanoseconds) -> None:
        waiting = self._writer.waiting_bytes - self._unused_bytes()
        if now - self._written_ns >= WRITE_INTERVAL_NS or waiting >= WRITE_BYTES:
            self._write(now)

    def _unused_bytes(self) -> int:
        """Log that the replaying machine was fed and has not used."""
        return self._machine.cpu.log_pending if self._machine.mode is Mode.REPLAY else 0

    def _write(self, now: Nanoseconds) -> None:
        self._writer.write_log(now, self._unused_bytes())
        self._written_ns = now
        self._has_output = False

    def _next_checkpoint_ns(self) -> int:
        pause = max(CHECKPOINT_INTERVAL_NS, self._checkpoint_cost_ns * CHECKPOINT_SHARE)
        return self._checkpoint_ns + pause


def planted_flips(config: control.NodeConfig, role: str) -> tuple[Flip, ...]:
    """Return the faults to be planted in the guest of the first of a role, by rising count."""
    planted = [parse_flip(text, config.memory_bytes) for text in config.flips]
    flips = [one.flip for one in planted if one.role == role]
    return tuple(sorted(flips, key=lambda flip: flip.count))


def describe_run(config: control.NodeConfig, identity: Identity, guest: Guest) -> RunHeader:
    """Return what a recording of a node says of itself."""
    return RunHeader(
        engine=ENGINE,
        run=identity.run,
        node=config.name,
        image_name=config.image_name,
        image_hash=identity.image,
        append=config.append,
        config=guest.machine.config,
        began_s=int(time.time()),
    )


def prepare(
    config: control.NodeConfig, identity: Identity, guest: Guest, meanwhile: Callable[[], None]
) -> Recorder:
    """Record a node's guest, plant its faults, and remember where it was equal.

    Each as far as the node was told to. `meanwhile` is for long work of the recorder's.
    """
    if config.record:
        header = describe_run(config, identity, guest)
        guest.recorder = RunRecorder(config.record, header, guest, meanwhile)
    guest.plant(planted_flips(config, config.role))
    if config.evidence and guest.machine.mode is Mode.REPLAY:
        guest.last_equal = LastEqual(guest.machine)
    return guest.recorder
