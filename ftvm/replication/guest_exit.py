"""The guest's end, from its happening until it may be told outside."""

from ftvm.replication.events import ExitDue
from ftvm.replication.messages import Exited
from ftvm.replication.settings import Settings
from ftvm.replication.streams import Condition
from ftvm.units import LogPosition


class GuestExit:
    """An output like any other, before which the caller may have something to do."""

    def __init__(self, settings: Settings, exited: Exited | None) -> None:
        """Begin with what a backup made of the end before it went live, if it came to that."""
        self.exited = exited
        """None while the guest goes on."""
        self.is_ready = not settings.holds_exit
        """Whether all is done that had to be."""
        self._position = LogPosition(0)
        self._is_due = False

    def happened(self, exited: Exited, position: LogPosition) -> None:
        """Note the end, with all causes in the log before `position`."""
        self.exited, self._position = exited, position

    def settle(self, may_leave: Condition) -> Exited | ExitDue | None:
        """Return what is to be told now: the end, or once, that it may be when all is done."""
        end = self.exited
        if end is None or not may_leave(end.count, self._position):
            return None
        if self.is_ready:
            return end
        was_due, self._is_due = self._is_due, True
        return None if was_due else ExitDue()
