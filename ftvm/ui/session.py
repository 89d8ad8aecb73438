"""One `ftvm run`: the guest's console on the standard streams, from start to end."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ftvm.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_SIGNALLED,
    DivergenceError,
    FtvmError,
    LostGuestError,
)
from ftvm.machine.channels import Stream
from ftvm.runtime.clock import now_ns
from ftvm.runtime.ends import End
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.sinks import drop
from ftvm.runtime.sockets import listen
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.console import QUIET_NS, STDIN, STDOUT, Input, Output
from ftvm.ui.divergence_desk import DivergenceDesk
from ftvm.ui.exit_convention import OURS, exit_status_of
from ftvm.ui.keyboard import Keyboard
from ftvm.ui.notices import Notices
from ftvm.ui.recordings import Recordings
from ftvm.ui.screen_view import ScreenView
from ftvm.ui.signals import Signals
from ftvm.ui.stream_inputs import StreamInputs
from ftvm.ui.stream_options import NO_FILES, StreamFiles
from ftvm.ui.teller import Teller
from ftvm.ui.terminal import HELP, RawTerminal, Wish
from ftvm.ui.transfer_bar import TransferBar
from ftvm.units import Nanoseconds

if TYPE_CHECKING:
    from ftvm.runtime.run_metrics import RunMetrics

_HELP_LEAVE = "Ctrl-A x leaves: the guest is stopped, primary and backup end"
_TICK_NS = Nanoseconds(250_000_000)


def status_of(report: RunReport, convention: str) -> int:
    """Return the exit status of a run that its guest has ended."""
    if report.replicas_equal is False or report.divergences or report.contradictions:
        return DivergenceError.exit_status
    if report.end == End.EXIT.label:
        return exit_status_of(report.exit_status, convention)
    return report.exit_status


class Session:
    """Runs a guest on the standard streams, once."""

    def __init__(
        self,
        spec: RunSpec,
        streams: StreamFiles = NO_FILES,
        *,
        eof_exit: bool,
        convention: str = OURS,
        notices: Notices | None = None,
    ) -> None:
        self._spec = replace(spec, evidence=Path())
        self._streams = streams
        self._convention = convention
        self._eof_exit = eof_exit
        self._is_terminal = os.isatty(STDIN)
        self._notices = notices or Notices()
        self._recordings = Recordings(spec)
        self._teller = Teller(spec, self._notices)
        self._signals = Signals()
        self._output = Output(self._signals, self._notices)
        self._view = ScreenView(self._output, self._notices) if spec.screen else None
        self._divergences = DivergenceDesk(self._notices)
        self._settled_ns: Nanoseconds | None = None
        self._transfer = TransferBar(self._notices, beside_console=os.isatty(STDOUT))
        self._metrics: RunMetrics | None = None

    def run(self) -> RunReport:
        """Run until the guest ends or somebody leaves; the report has the exit status.

        UsageError if the host has no place for the run or its recording.
        """
        raw = RawTerminal(STDIN) if self._is_terminal else contextlib.nullcontext()
        with (
            self._signals,
            self._supervisor() as supervisor,
            self._divergences,
            raw,
            self._view or contextlib.nullcontext(),
            self._transfer,
        ):
            supervisor.transport.watch(self._signals.descriptor, self._signals.drain)
            self._output.watch_reader(supervisor.transport)
            if self._is_terminal:
                self._teller.greet()
            status = self._conduct(supervisor)
            self._divergences.finish(supervisor, self._signals)
            self._recordings.settle(supervisor.replicas, self._notices)
            report = supervisor.report()
            if status is None:
                status = status_of(report, self._convention)
                self._teller.take_leave(report)
            return msgspec.structs.replace(report, exit_status=status)

    def _supervisor(self) -> Supervisor:
        if self._view is None:
            return Supervisor(self._spec, self._show, self._streams.sinks)
        com1 = self._streams.sinks.get(Stream.CONSOLE, drop)
        others = {**self._streams.sinks, Stream.SCREEN: self._view.take}
        return Supervisor(self._spec, com1, others)

    def _conduct(self, supervisor: Supervisor) -> int | None:
        """Run the guest; return the exit status if it is not for the guest to say."""
        try:
            if self._spec.metrics is not None:
                from ftvm.runtime.run_metrics import RunMetrics  # for those who ask for it

                listener = listen(self._spec.metrics.host, self._spec.metrics.port)
                self._metrics = RunMetrics(supervisor, listener)
            supervisor.start()
            line = supervisor if self._view is None else Keyboard(supervisor)
            keyboard = Input(line, escapes=self._is_terminal)
            status = self._loop(
                supervisor, keyboard, StreamInputs(supervisor, self._streams.sources)
            )
            if status is not None:
                self._stop(supervisor)
        except LostGuestError as error:
            self._teller.finish(supervisor.report())
            self._notices.error(f"the guest is lost: {error}")
            return error.exit_status
        except FtvmError as error:
            self._notices.error(str(error))
            return error.exit_status
        failure = self._output.failure
        if failure is None:
            return status
        self._notices.error(str(failure))
        return failure.exit_status

    def _loop(self, supervisor: Supervisor, keyboard: Input, others: StreamInputs) -> int | None:
        """Run until the guest's end; or return the exit status with which to end it."""
        while not supervisor.finished:
            if self._signals.caught is not None:
                return EXIT_SIGNALLED + self._signals.caught
            if self._output.failure is not None:
                return self._output.failure.exit_status
            if self._output.reader_left:
                return EXIT_BROKEN_PIPE
            keyboard.tend()
            others.tend()
            for wish in keyboard.take_wishes():
                if wish is Wish.LEAVE:
                    return 0
                for line in (_HELP_LEAVE, *HELP):
                    self._notices.info(line)
            if keyboard.ready or others.ready:
                wait: Nanoseconds | None = Nanoseconds(0)
            else:
                used_up = keyboard.ended_ns is not None and others.used_up
                wait = self._patience(supervisor, used_up)
            if wait is None:
                return 0
            supervisor.poll(self._metrics.patience(wait) if self._metrics else wait)
            if self._metrics is not None:
                self._metrics.tend()
            self._look(supervisor)
            self._divergences.look(supervisor)
        return None

    def _show(self, data: bytes) -> None:
        """Take what the guest says."""
        self._output.write(data)

    def _look(self, supervisor: Supervisor) -> None:
        """Tell what is new."""
        if (transfer := supervisor.transfer) is None:
            self._transfer.end()
        else:
            name, done = transfer
            self._transfer.show(f"sending the machine to backup {name}", done)
        self._teller.look(supervisor)

    def _patience(self, supervisor: Supervisor, used_up: bool) -> Nanoseconds | None:
        """How long to wait for something to happen; None if it is time to go."""
        settled = used_up and supervisor.input_settled
        if not (self._eof_exit and settled and supervisor.running):
            self._settled_ns = None
            return _TICK_NS
        now = now_ns()
        if self._settled_ns is None:
            self._settled_ns = now
        quiet_ns = now - max(self._settled_ns, supervisor.sinks.written_ns)
        return None if quiet_ns >= QUIET_NS else Nanoseconds(QUIET_NS - quiet_ns)

    def _stop(self, supervisor: Supervisor) -> None:
        signal = self._signals.caught
        supervisor.stop(signal.name if signal else "left")
        while not supervisor.finished:
            supervisor.poll(_TICK_NS)
        if signal or self._is_terminal:
            why = f"{signal.name}: " if signal else ""
            self._teller.tell_stopped(supervisor.report(), why)
