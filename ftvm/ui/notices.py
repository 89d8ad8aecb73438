"""What ftvm itself says while a guest has standard output: single lines on standard error."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

_BOLD: Final = "1"
_RED: Final = "1;31"
_YELLOW: Final = "33"


def wants_colour(descriptor: int) -> bool:
    """Whether colour is right there: a terminal, and nobody said NO_COLOR (no-color.org)."""
    return (
        os.isatty(descriptor)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


class Notices:
    """Lines that begin with the name of the command."""

    def __init__(self) -> None:
        self._colour = wants_colour(2)
        self.mid_line = False
        """Whether the guest's output has left the cursor of a terminal in a line's middle."""
        self.divert: Callable[[str], None] | None = None
        """Takes the lines instead of standard error, as long as there is one."""
        self.plain = ""
        """The newest line, without colour."""

    def info(self, text: str) -> None:
        """Say what is so."""
        self._say(text, _BOLD)

    def event(self, text: str) -> None:
        """Say what happened."""
        self._say(text, _YELLOW)

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self._say(text, _RED)

    def _say(self, text: str, style: str) -> None:
        prefix = f"\x1b[{style}mftvm:\x1b[0m" if self._colour else "ftvm:"
        # A file's name may hold anything, line feeds and a terminal's commands too.
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        self.plain = f"ftvm: {line}"
        if self.divert is not None:
            self.divert(f"{prefix} {line}\n")
            return
        start = "\n" if self.mid_line else ""
        self.mid_line = False
        # Where standard error is gone there is nobody to tell.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"{start}{prefix} {line}\n")
            sys.stderr.flush()
