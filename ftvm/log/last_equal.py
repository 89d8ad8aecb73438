"""What a backup keeps so that a divergence can be traced to its first instruction.

The machine as it was at the last digest that was equal, and the log since: from
there the primary's run can be done again, and the backup's beside it, until they
part. The copies of memory and disks are brought up to date at each digest by the
pages and sectors written since the one before. The first copy of a large memory
takes longer than a backup may be silent, so it is made bit by bit while the
machine runs.
"""

import io
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

from ftvm.log.run_format import DIVERGED, CheckpointFrame, Flip, RunHeader, Stand
from ftvm.log.run_writer import RunWriter
from ftvm.machine import snapshot
from ftvm.machine.disk import Disk
from ftvm.machine.machine import Machine
from ftvm.machine.state import DiskSectors, describe, spans
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, Sector, StreamOffset

COPY_PAGES = 2048
"""Pages of the first copy between two runs: 8 MiB take a few milliseconds."""


class _LastDisk:
    """A disk as it was, and what was read of its image since."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.take_unsent()
        self._sectors = disk.sectors_at(disk.written)
        self.read: list[tuple[Sector, bytes]] = []
        disk.when_read.append(self._note)

    def _note(self, first: Sector, data: bytes) -> None:
        self.read.append((first, data))

    def stand(self) -> None:
        """It is here that it was equal last."""
        self._sectors.update(self._disk.sectors_at(self._disk.take_unsent()))
        self.read.clear()

    def end(self) -> None:
        """Take no further note of it."""
        self._disk.when_read.remove(self._note)

    def sectors(self) -> DiskSectors:
        """Return what had been written."""
        sectors = sorted(self._sectors)
        return DiskSectors(tuple(sectors), b"".join([self._sectors[n] for n in sectors]))


@dataclass(frozen=True)
class Replica:
    """Whose run it is, and the faults that were put into it on purpose."""

    header: RunHeader
    planted: tuple[Flip, ...]


class LastEqual:
    """Of a machine that replays, and stands where it is known to be equal.

    It takes as much memory again as the guest uses.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._log = bytearray()
        machine.cpu.synchronize()
        machine.cpu.take_unsent()
        self._memory = mmap.mmap(-1, machine.config.memory_bytes)  # not written to before its turn
        self._pages: set[int] = set()
        self._left = machine.cpu.used_pages()
        """Pages of the first copy that are still to be made."""
        self.copy_some()
        self.is_whole = not self._left
        """Whether the copy is the machine as it was at one digest."""
        self._disks = tuple(_LastDisk(disk) for disk in machine.disks)
        self._state = describe(machine)
        machine.when_equal = self._stand

    def copy_some(self) -> None:
        """Go on with the first copy, if there is anything left of it; between two runs."""
        some, self._left = self._left[:COPY_PAGES], self._left[COPY_PAGES:]
        self._copy(self._machine.cpu.unwritten(some))  # the others come with the next digest

    def fed(self, entries: bytes) -> None:
        """Take what the machine is given of the log."""
        self._log += entries

    def end(self) -> None:
        """Take no further note of the machine."""
        self._machine.when_equal = lambda: None
        for disk in self._disks:
            disk.end()

    def _stand(self) -> None:
        """Here the machine has just made the same digest as its primary."""
        pages, zeros = self._machine.cpu.take_unsent()
        self._copy(pages)
        self._pages.difference_update(zeros)
        for disk in self._disks:
            disk.stand()
        self._state = describe(self._machine)
        self.is_whole = not self._left
        del self._log[: len(self._log) - self._machine.cpu.log_pending]

    def _copy(self, pages: Sequence[int]) -> None:
        memory = self._machine.cpu.memory
        self._pages.update(pages)
        for first, end in spans(pages):
            self._memory[first:end] = memory[first:end]

    def recordings(
        self, primary: Replica, backup: Replica, host_ns: Nanoseconds
    ) -> tuple[bytes, bytes]:
        """Return two files: what the primary has done since, by its log, and what the backup has.

        The first one breaks off where the machine is. The second one ends with
        the machine's state as it is, whether its log makes it or not.
        """
        stand = Stand(InstructionCount(self._state.count), LogPosition(0), StreamOffset(0))
        pages = sorted(self._pages)
        disks = tuple(disk.sectors() for disk in self._disks)
        state = snapshot.encode(self._state, pages, memoryview(self._memory), disks)
        base = CheckpointFrame(stand, host_ns, self._state.log_bases, state)
        straight, bent = io.BytesIO(), io.BytesIO()
        for file, replica in ((straight, primary), (bent, backup)):
            writer = RunWriter(file.write, replica.header, self._machine, host_ns, base)
            for flip in replica.planted:
                writer.plant(flip)
            writer.logged(bytes(self._log))
            for drive, disk in enumerate(self._disks):
                for first, data in disk.read:
                    writer.read_image(drive, first, data)
            writer.write_log(host_ns)
            if file is bent:
                writer.write_checkpoint(host_ns)
                writer.write_end(DIVERGED, 0, host_ns)
        return straight.getvalue(), bent.getvalue()
