"""When a live guest's screen is shown to who watches it."""

from ftvm.machine.machine import Machine, Output
from ftvm.replication.streams import OutputStream
from ftvm.units import Nanoseconds

FRAME_INTERVAL_NS = Nanoseconds(40_000_000)
"""Frames are at least so far apart."""


class ScreenPacer:
    """Shows what is new, as often as it can be seen, and not before the last frame has arrived."""

    def __init__(self, machine: Machine, stream: OutputStream) -> None:
        self._machine = machine
        self._stream = stream
        self._shown = b""
        self._due = Nanoseconds(0)

    def moment(self) -> Nanoseconds | None:
        """When the next frame is to be shown; None if there is nothing new, or nobody to see it."""
        screen = self._machine.screen
        if not screen.watched or self._stream.unconfirmed_bytes:
            return None
        return None if screen.frame() == self._shown else self._due

    def show_if_due(self, now: Nanoseconds) -> list[Output]:
        """Log that a frame is shown, if it is time; return it."""
        moment = self.moment()
        if moment is None or now < moment:
            return []
        self._shown = self._machine.screen.frame()
        self._due = Nanoseconds(now + FRAME_INTERVAL_NS)
        self._machine.show_screen()
        return self._machine.take_outputs()
