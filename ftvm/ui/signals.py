"""Signals that end the command, as something a loop can wait for and look at."""

import os
import signal
from types import FrameType

from ftvm.errors import EXIT_SIGNALLED, FtvmError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class SignalledError(FtvmError):
    """A signal ended the command; its status is what shells have for it."""

    def __init__(self, caught: signal.Signals) -> None:
        super().__init__(f"ended by {caught.name}")
        self.exit_status = EXIT_SIGNALLED + caught


class Signals:
    """While entered, ending signals are noted instead of obeyed; the second one is obeyed.

    `descriptor` is readable from a signal on, so that a wait for it ends.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self.descriptor, self._write_end = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write_end, False)

    def __enter__(self) -> "Signals":
        self._former_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        # What our parent wants ignored (nohup, a shell's background) stays so.
        heeded = [n for n in ENDING if signal.getsignal(n) is not signal.SIG_IGN]
        self._former = {number: signal.signal(number, self._note) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self.descriptor)
        os.close(self._write_end)

    def drain(self) -> None:
        """Make `descriptor` wait for the next signal."""
        os.read(self.descriptor, 64)

    def check(self) -> None:
        """Raise SignalledError if a signal came."""
        if self.caught is not None:
            raise SignalledError(self.caught)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.caught is not None:
            raise KeyboardInterrupt
        self.caught = signal.Signals(number)
