"""One `ftvm console`: the standard streams on a guest that runs elsewhere."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ftvm.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_SIGNALLED,
    EXIT_SUPERSEDED,
    EXIT_TRIPLE_FAULT,
    DivergenceError,
    HostError,
    LostGuestError,
)
from ftvm.machine.channels import Stream
from ftvm.machine.text_screen import WATCH
from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.ends import End, unpack_end
from ftvm.runtime.names import address_in
from ftvm.runtime.remote_console import RemoteConsole
from ftvm.runtime.security import Security
from ftvm.runtime.sinks import Sink, drop
from ftvm.ui.console import QUIET_NS, STDIN, Input, Output
from ftvm.ui.exit_convention import exit_status_of
from ftvm.ui.keyboard import Keyboard
from ftvm.ui.notices import Notices
from ftvm.ui.screen_view import ScreenView
from ftvm.ui.signals import Signals
from ftvm.ui.stream_inputs import StreamInputs
from ftvm.ui.stream_options import StreamFiles
from ftvm.ui.terminal import HELP, RawTerminal, Wish
from ftvm.units import Nanoseconds

PATIENCE_NS = Nanoseconds(30_000_000_000)
"""A guest that no host has answered for in so long is given up."""

_HELP_LEAVE = "Ctrl-A x detaches: the guest runs on, ftvm console attaches again"
_NOBODY = ("", 0)
_BRIEF_NS = Nanoseconds(500_000_000)
"""What passes sooner is not told."""
_TICK_NS = Nanoseconds(100_000_000)


class Attachment:
    """Attaches once, until the guest ends or somebody leaves."""

    def __init__(
        self,
        addresses: Sequence[Address],
        security: Security,
        streams: StreamFiles,
        *,
        eof_exit: bool,
        convention: str,
        screen: bool,
        journals: Path | None = None,
    ) -> None:
        self._notices = Notices()
        self._signals = Signals()
        self._output = Output(self._signals, self._notices)
        self._view = ScreenView(self._output, self._notices) if screen else None
        sinks = streams.sinks
        show: Sink = self._show
        if self._view is not None:
            show = sinks.get(Stream.CONSOLE, drop)
            sinks = {**sinks, Stream.SCREEN: self._view.take}
        self._console = RemoteConsole(addresses, security, show, sinks, journals)
        self._convention = convention
        self._eof_exit = eof_exit
        self._is_terminal = os.isatty(STDIN)
        line = Keyboard(self._console) if self._view else self._console
        self._keyboard = Input(line, escapes=self._is_terminal)
        self._inputs = StreamInputs(self._console, streams.sources)
        self._told: tuple[str, int] | None = None
        """Whom we said we are attached to."""
        self._away_ns: Nanoseconds | None = None
        self._settled_ns: Nanoseconds | None = None

    def run(self) -> int:
        """Be attached; returns the exit status."""
        raw = RawTerminal(STDIN) if self._is_terminal else contextlib.nullcontext()
        with self._signals, raw, self._view or contextlib.nullcontext():
            if self._view is not None:
                self._console.write(WATCH, Stream.SCREEN)
            self._console.transport.watch(self._signals.descriptor, self._signals.drain)
            self._output.watch_reader(self._console.transport)
            while (status := self._verdict()) is None:
                self._keyboard.tend()
                self._inputs.tend()
                is_ready = self._keyboard.ready or self._inputs.ready
                self._console.poll(Nanoseconds(0) if is_ready else _TICK_NS)
                self._tell()
            if self._console.exited is None:
                self._console.leave()
            else:
                self._console.transport.part()
        return status

    # --- whether it is over ---

    def _verdict(self) -> int | None:
        """Return the exit status if it is over, and say why if that is not plain to see."""
        console = self._console
        if self._output.failure is not None:
            self._notices.error(str(self._output.failure))
            return self._output.failure.exit_status
        if self._output.reader_left:
            return EXIT_BROKEN_PIPE
        if console.contradictions:
            self._notices.error(f"the console was contradicted: {console.contradictions[0]}")
            return DivergenceError.exit_status
        if console.exited is not None:
            return self._end(*unpack_end(console.exited.status))
        if console.dismissed is not None:
            self._notices.error(console.dismissed)
            return EXIT_SUPERSEDED
        if self._signals.caught is not None:
            self._notices.info(f"{self._signals.caught.name}: detached, the guest runs on")
            return EXIT_SIGNALLED + self._signals.caught
        if self._wants_to_leave() or self._is_quiet():
            if self._is_terminal:
                self._notices.info("detached, the guest runs on")
            return 0
        return self._lost()

    def _end(self, kind: End, status: int) -> int:
        if status == EXIT_TRIPLE_FAULT and kind is End.TRIPLE_FAULT:
            self._notices.error("the guest's triple fault")
        return exit_status_of(status, self._convention) if kind is End.EXIT else status

    def _wants_to_leave(self) -> bool:
        for wish in self._keyboard.take_wishes():
            if wish is Wish.LEAVE:
                return True
            for line in (_HELP_LEAVE, *HELP):
                self._notices.info(line)
        return False

    def _is_quiet(self) -> bool:
        """Whether `--eof-exit` has its way."""
        console = self._console
        used_up = self._keyboard.ended_ns is not None and self._inputs.used_up
        if not (self._eof_exit and used_up and console.input_settled and console.running):
            self._settled_ns = None
            return False
        now = now_ns()
        self._settled_ns = self._settled_ns or now
        return now - max(self._settled_ns, console.sinks.written_ns) >= QUIET_NS

    def _lost(self) -> int | None:
        """Whether there is nobody to be attached to."""
        console = self._console
        if console.attached_to is None and console.hopeless:
            console.check_secret()
            self._notices.error("; ".join(console.troubles))
            return HostError.exit_status
        if now_ns() - console.answered_ns < PATIENCE_NS:
            return None
        self._notices.error(
            f"no host has answered for {PATIENCE_NS // 1_000_000_000} s:"
            f" {'; '.join(console.troubles) or 'no answer'}"
        )
        return LostGuestError.exit_status

    # --- what is told ---

    def _show(self, data: bytes) -> None:
        """Write what the guest says, behind the word of where it is."""
        self._tell()
        self._output.write(data)

    def _tell(self) -> None:
        """Say where the console is, when that changes."""
        console = self._console
        now = now_ns()
        if console.running:
            self._away_ns = None
            if console.attached_to != self._told and console.attached_to is not None:
                self._tell_attached(*console.attached_to)
            return
        self._away_ns = self._away_ns or now
        if self._told != _NOBODY and now - self._away_ns > _BRIEF_NS:
            self._told = _NOBODY
            self._notices.event("no primary is in reach; waiting for one")

    def _tell_attached(self, node: str, generation: int) -> None:
        first, self._told = self._told is None, (node, generation)
        if first and not self._is_terminal:
            return
        how = "; Ctrl-A x detaches, Ctrl-A h helps" if first else ""
        self._notices.info(f"attached to {address_in(node)}, generation {generation}{how}")
