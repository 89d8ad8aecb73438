"""A node's disk images, and how what its guest wrote gets into them."""

import os
import queue
import threading
from collections.abc import Callable, Sequence

from ftvm.errors import FtvmError, HostError
from ftvm.machine.disk import DiskConfig
from ftvm.machine.machine import Machine
from ftvm.runtime.disk_commit import commit
from ftvm.runtime.disk_image import DiskFile, DiskImage, images_for


class NodeDisks:
    """Commits on a thread of its own, so that copying a large image stops no heartbeat.

    `descriptor` becomes readable when it is time for `end_commit`. `step` is told
    of each step of a commit, on that thread.
    """

    def __init__(self, files: Sequence[DiskFile], step: Callable[[str], None]) -> None:
        self._files = tuple(files)
        self._step = step
        self._outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._under_way = False
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)

    def close(self) -> None:
        """Be of no more use; a commit that is under way comes to its end, or dies with us."""
        if not self._under_way:
            os.close(self.descriptor)

    @property
    def configs(self) -> tuple[DiskConfig, ...]:
        """What a machine that begins here is told of them."""
        return tuple(file.config for file in self._files)

    def images(self, disks: tuple[DiskConfig, ...]) -> list[DiskImage]:
        """Return the images for a machine's disks; StateError if they are others."""
        return images_for(self._files, disks)

    def begin_commit(self, machine: Machine, run: bytes) -> bool:
        """Begin to commit what was written to a machine that stands still; False: there is none.

        If it has begun already, it goes on.
        """
        work = [
            (file, disk)
            for file, disk in zip(self._files, machine.disks, strict=True)
            if file.mode == "rw" and disk.written_sectors
        ]
        if not work or self._under_way:
            return bool(work)
        self._under_way = True

        def do_all() -> None:
            outcome: Exception | None = None
            try:
                for file, disk in work:
                    commit(file, disk, run, self._step)
            except Exception as error:  # ends the node, not this thread alone
                outcome = error
            self._outcomes.put(outcome)
            os.eventfd_write(self.descriptor, 1)

        threading.Thread(target=do_all, name="commit", daemon=True).start()
        return True

    def end_commit(self) -> None:
        """Wait until it is done; raises HostError, with where the writes are, if it cannot be."""
        outcome = self._outcomes.get()
        os.eventfd_read(self.descriptor)
        self._under_way = False
        if isinstance(outcome, FtvmError):
            raise HostError(str(outcome))
        if outcome is not None:
            raise outcome
