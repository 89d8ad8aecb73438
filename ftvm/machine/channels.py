"""The streams between a machine and the world, by their numbers in log and protocol.

A machine has all of them; whether anybody listens is not its business.
"""

import enum


class Stream(enum.IntEnum):
    """A stream of bytes that the guest puts out, or takes, or both."""

    CONSOLE = 0
    """COM1."""
    COM2 = 1
    COM3 = 2
    COM4 = 3
    DEBUG = 4
    """What is written to port 0xe9; takes nothing."""
    KEYBOARD = 5
    """Scan codes of set 1; puts nothing out."""
    SCREEN = 6
    """Frames of the text screen, out (screen.py); who watches says so with a byte, in."""
