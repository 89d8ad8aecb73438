"""A command on a terminal of its own, with somebody who reads and types."""

import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

# Not a limit on speed: what hangs shall fail its test.
HANGS_AFTER_S = 120


class PseudoTerminal:
    """The command's three standard streams are one terminal of 80x24."""

    def __init__(
        self,
        arguments: Sequence[str],
        home: Path,
        environment: Mapping[str, str],
        stdin: int | None = None,
    ) -> None:
        self.ours, self.theirs = pty.openpty()
        ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.screen = b""
        self._give_up_at = time.monotonic() + HANGS_AFTER_S
        self.process = subprocess.Popen(
            arguments,
            stdin=self.theirs if stdin is None else stdin,
            stdout=self.theirs,
            stderr=self.theirs,
            cwd=home,
            env=environment,
            start_new_session=True,
            preexec_fn=self._take_control,
        )

    def _take_control(self) -> None:
        ioctl(1, termios.TIOCSCTTY, 0)

    def see(self, text: str) -> None:
        """Wait until `text` has come up, and forget the screen up to it."""
        while text.encode() not in self.screen:
            self._read(f"{text!r} did not come up")
        self.screen = self.screen.partition(text.encode())[2]

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def is_raw(self) -> bool:
        local: int = termios.tcgetattr(self.theirs)[3]
        return not local & (termios.ECHO | termios.ICANON | termios.ISIG)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.before

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end, reading on; return the exit status."""
        while self.process.poll() is None:
            self._read("the command does not end")
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def _read(self, complaint: str) -> None:
        assert time.monotonic() < self._give_up_at, f"{complaint}: {self.screen!r}"
        if select.select([self.ours], [], [], 0.05)[0]:
            self.screen += os.read(self.ours, 65536)
