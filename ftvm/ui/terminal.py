"""A terminal as a serial console: every key goes to the guest, except after Ctrl-A."""

import enum
import os
import signal
import termios
from types import FrameType

ESCAPE = 0x01  # Ctrl-A, as in QEMU and screen

HELP = (
    "Ctrl-A h tells this",
    "Ctrl-A Ctrl-A is a Ctrl-A for the guest",
)
"""What holds besides: what Ctrl-A x does, who uses this says himself."""


def takes_screen() -> bool:
    """Whether standard input and output are a terminal that more than lines can be drawn on."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


class Wish(enum.Enum):
    """What the user wants of ftvm and not of the guest."""

    LEAVE = "x"
    HELP = "h"


class EscapeKeys:
    """Takes the escapes out of what is typed."""

    def __init__(self) -> None:
        self._escaped = False

    def take(self, typed: bytes) -> tuple[bytes, list[Wish]]:
        """Return what is for the guest and what is for us; an unknown escape is for nobody."""
        for_guest = bytearray()
        wishes = []
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key == ESCAPE:
                    for_guest.append(key)
                wishes += [wish for wish in Wish if key == ord(wish.value)]
            elif key == ESCAPE:
                self._escaped = True
            else:
                for_guest.append(key)
        return bytes(for_guest), wishes


class RawTerminal:
    """While entered, the terminal hands over each key as it is typed, Ctrl-C too.

    Output is still processed (a guest's line feed begins a line), as with
    QEMU's `-serial stdio`. Leaving restores what was there before.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> "RawTerminal":
        self._before = termios.tcgetattr(self._descriptor)
        self._former = signal.signal(signal.SIGCONT, self._continued)
        self._make_raw()
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGCONT, self._former)
        # A terminal that hung up cannot be restored, and need not be.
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
        except termios.error:
            return

    def _make_raw(self) -> None:
        raw = termios.tcgetattr(self._descriptor)
        raw[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        raw[1] |= termios.OPOST
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6] = [*raw[6]]
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSANOW, raw)

    def _continued(self, _: int, __: FrameType | None) -> None:
        """After a stop the shell has set the terminal as it likes it."""
        self._make_raw()
