"""Standard input and output, or other files, as the two ends of a guest's serial line."""

import contextlib
import os
import select
import stat
from typing import Protocol

from ftvm.errors import UsageError
from ftvm.runtime.clock import now_ns
from ftvm.runtime.transport import Transport
from ftvm.ui.notices import Notices
from ftvm.ui.signals import Signals
from ftvm.ui.terminal import EscapeKeys, Wish
from ftvm.units import Nanoseconds

STDIN, STDOUT, STDERR = 0, 1, 2

QUIET_NS = Nanoseconds(300_000_000)
"""For `--eof-exit`: output that has been quiet for so long is over."""

# What a pipe takes at once when it takes anything, POSIX <limits.h>.
_PIECE_BYTES = select.PIPE_BUF


class Output:
    """Writes what the guest says to standard output; waits there, but not through a signal.

    What goes wrong is noted in `reader_left` and `failure`, and nothing more is
    written: whoever runs the guest looks at them when it suits.
    """

    def __init__(self, signals: Signals, notices: Notices) -> None:
        self._signals = signals
        self._notices = notices
        self._shares_terminal = os.isatty(STDOUT) and os.isatty(STDERR)
        self.reader_left = False
        self.failure: UsageError | None = None

    def watch_reader(self, transport: Transport) -> None:
        """Note it when the reader of a pipe leaves, even while the guest is silent."""
        if stat.S_ISFIFO(os.fstat(STDOUT).st_mode):
            transport.watch(STDOUT, lambda: self._look_at_reader(transport))

    def write(self, data: bytes) -> None:
        """Write all of `data`, as far as that is possible."""
        view = memoryview(data)
        while view and not self.reader_left and self.failure is None:
            if not self._writable():
                return
            try:
                view = view[os.write(STDOUT, view[:_PIECE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.reader_left = True
            except OSError as error:
                self.failure = UsageError(f"cannot write to standard output: {error.strerror}")
        self._notices.mid_line = self._shares_terminal and data[-1:] != b"\n"

    def _writable(self) -> bool:
        """Wait for room; False if a signal came instead."""
        poll = select.poll()
        poll.register(STDOUT, select.POLLOUT)
        poll.register(self._signals.descriptor, select.POLLIN)
        return any(descriptor == STDOUT for descriptor, _ in poll.poll())

    def _look_at_reader(self, transport: Transport) -> None:
        poll = select.poll()
        poll.register(STDOUT, 0)
        self.reader_left = any(event & select.POLLERR for _, event in poll.poll(0))
        transport.unwatch(STDOUT)


class Line(Protocol):
    """What leads to a guest's console, wherever that runs."""

    transport: Transport

    def room(self) -> int:
        """How many bytes `write` takes now."""

    def write(self, data: bytes) -> None:
        """Type `data`."""


class Input:
    """Gives standard input, or another file, to the guest, as fast as the guest takes it."""

    def __init__(self, line: Line, descriptor: int = STDIN, *, escapes: bool = False) -> None:
        """With `escapes` the user can say by keys what he wants of us."""
        self._line = line
        self._descriptor = descriptor
        self._keys = EscapeKeys() if escapes else None
        self._watched = False
        self._pollable = True
        self.ended_ns: Nanoseconds | None = None
        """When the end of the input was seen."""
        self._wishes: list[Wish] = []

    @property
    def ready(self) -> bool:
        """Whether there is something to read without a wait (a file has no other way to tell)."""
        return not self._pollable and self.ended_ns is None and self._line.room() > 0

    def take_wishes(self) -> list[Wish]:
        """Return what the user asked of us since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def tend(self) -> None:
        """Read if that does not wait; begin or stop to watch as there is room for more."""
        wanted = self.ended_ns is None and self._line.room() > 0
        if self._pollable and wanted != self._watched:
            self._watch(wanted)
        if self.ready:
            self._read()

    def _watch(self, wanted: bool) -> None:
        transport = self._line.transport
        if not wanted:
            transport.unwatch(self._descriptor)
            self._watched = False
            return
        try:
            transport.watch(self._descriptor, self._read)
            self._watched = True
        except PermissionError:  # what epoll says of a regular file
            self._pollable = False

    def _read(self) -> None:
        room = min(self._line.room(), 1 << 16)
        if not room:
            return
        data = b""
        with contextlib.suppress(OSError):  # a terminal that hung up, a closed descriptor: the end
            data = os.read(self._descriptor, room)
        if not data:
            self.ended_ns = now_ns()
            return
        if self._keys is not None:
            data, wishes = self._keys.take(data)
            self._wishes += wishes
        if data:
            self._line.write(data)
