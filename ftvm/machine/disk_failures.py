"""Disk images that cannot be read: told to the log, or told by it.

Reading an image gives the same on all hosts, or fails. So the log says nothing of
what was read, and has an entry for each failure; the number in it is twice the
sector, plus the drive's.
"""

from collections.abc import Callable

from ftvm.errors import DivergenceError
from ftvm.machine.cpu import Cpu, Mode
from ftvm.machine.disk import UnreadableSector
from ftvm.units import Sector


class DiskFailures:
    """The `ReadFailures` of one drive."""

    def __init__(self, cpu: Cpu, number: int, mode: Callable[[], Mode]) -> None:
        self._cpu = cpu
        self._number = number
        self._mode = mode

    def due(self) -> Sector | None:
        """See `ReadFailures`."""
        if self._mode() is not Mode.REPLAY or (what := self._cpu.failure_due()) is None:
            return None
        if what & 1 != self._number:
            raise DivergenceError(
                f"at count {self._cpu.count} the log has an error of drive {what & 1}, "
                f"where drive {self._number} is read"
            )
        return Sector(what >> 1)

    def failed(self, failure: UnreadableSector) -> None:
        """See `ReadFailures`; a replica whose image cannot be read is none any more."""
        if self._mode() is Mode.REPLAY:
            raise DivergenceError(
                f"the image of drive {self._number} cannot be read here, and it was where this was "
                f"recorded: {failure}"
            )
        self._cpu.log_failure(failure.sector << 1 | self._number)
