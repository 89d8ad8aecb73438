"""`ftvm run --watch` at a terminal: a guest with its screen, from start to end."""

import signal
from dataclasses import replace
from pathlib import Path

import msgspec

from ftvm.errors import EXIT_INTERRUPTED, EXIT_SIGNALLED, FtvmError, LostGuestError
from ftvm.runtime.clock import now_ns
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_metrics import RunMetrics
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.sockets import listen
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.divergence_desk import DivergenceDesk
from ftvm.ui.recordings import Recordings
from ftvm.ui.session import status_of
from ftvm.ui.signals import Signals
from ftvm.ui.stream_inputs import StreamInputs
from ftvm.ui.stream_options import StreamFiles
from ftvm.ui.teller import Teller
from ftvm.ui.watch.display import STDIN, Display, read_typed
from ftvm.ui.watch.event_notices import EventNotices
from ftvm.ui.watch.hand import Hand
from ftvm.ui.watch.lookout import Lookout
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.screen import Screen
from ftvm.units import Nanoseconds

_TICK_NS = Nanoseconds(50_000_000)
_MIB = 1 << 20


class RunWatch:
    """One run with its screen."""

    def __init__(self, spec: RunSpec, streams: StreamFiles, convention: str) -> None:
        self._spec = replace(spec, evidence=Path())
        self._streams = streams
        self._convention = convention
        title = f"{spec.image_name}  {spec.memory_bytes / _MIB:g} MiB"
        self._model = PairModel(title, now_ns(), owned=True)
        self._notices = EventNotices(self._model)
        self._teller = Teller(spec, self._notices)
        self._recordings = Recordings(spec)
        self._signals = Signals()
        self._divergences = DivergenceDesk(self._notices)
        self._metrics: RunMetrics | None = None
        self._keys = b""
        self._typed = bytearray()
        """What is for the guest, and waits for room."""
        self._screen: Screen | None = None

    def run(self) -> RunReport:
        """Run until the user leaves; the report has the exit status."""
        try:
            with (
                self._signals,
                Supervisor(self._spec, self._show, self._streams.sinks) as supervisor,
                self._divergences,
            ):
                status = self._conduct(supervisor)
                self._recordings.settle(supervisor.replicas, self._notices)
                report = supervisor.report()
                if status is None:
                    status = status_of(report, self._convention)
                return msgspec.structs.replace(report, exit_status=status)
        finally:
            self._notices.tell_again()

    def _conduct(self, supervisor: Supervisor) -> int | None:
        """Run the guest; return the exit status if it is not for the guest to say."""
        try:
            if self._spec.metrics is not None:
                listener = listen(self._spec.metrics.host, self._spec.metrics.port)
                self._metrics = RunMetrics(supervisor, listener)
            supervisor.start()
            supervisor.transport.watch(self._signals.descriptor, self._signals.drain)
            hand = Hand(supervisor, self._spec.memory_bytes)
            screen = self._screen = Screen(self._model, hand.do, self._typed.extend)
            with Display() as display:
                supervisor.transport.watch(STDIN, self._read)
                status = self._loop(supervisor, screen, display)
            if not self._model.end:
                self._stop(supervisor)
        except FtvmError as error:
            self._notices.error(str(error))
            return error.exit_status
        return status

    def _loop(self, supervisor: Supervisor, screen: Screen, display: Display) -> int | None:
        """Show the run until the user has seen enough; return what `_conduct` does."""
        lookout = Lookout(supervisor, self._model)
        inputs = StreamInputs(supervisor, self._streams.sources)
        lost: int | None = None
        while not screen.wants_to_leave:
            if self._signals.caught is not None:
                return EXIT_SIGNALLED + self._signals.caught
            if screen.interrupted:
                return EXIT_INTERRUPTED
            if self._model.end:
                supervisor.transport.poll(_TICK_NS)
            else:
                lost = self._step(supervisor, inputs)
                lookout.look(last=bool(self._model.end))
            if self._keys:
                keys, self._keys = self._keys, b""
                screen.take(keys)
            try:
                screen.draw(display)
            except OSError:  # the terminal has hung up
                return EXIT_SIGNALLED + signal.SIGHUP
        return lost if self._model.end else 0

    def _step(self, supervisor: Supervisor, inputs: StreamInputs) -> int | None:
        """Do what there is to do; return the exit status if the guest is lost."""
        inputs.tend()
        if self._typed and (room := supervisor.room()):
            supervisor.write(bytes(self._typed[:room]))
            del self._typed[:room]
        try:
            wait = Nanoseconds(0) if inputs.ready else _TICK_NS
            supervisor.poll(self._metrics.patience(wait) if self._metrics else wait)
        except LostGuestError as error:
            self._teller.finish(supervisor.report())
            self._notices.error(f"the guest is lost: {error}")
            self._model.end, self._model.is_lost = "The guest is lost.", True
            return error.exit_status
        if self._metrics is not None:
            self._metrics.tend()
        self._teller.look(supervisor)
        self._divergences.look(supervisor)
        self._model.ends = supervisor.ended
        if supervisor.finished:
            report = supervisor.report()
            self._teller.take_leave(report)
            self._model.ended(end_of(report), now_ns())
        return None

    def _stop(self, supervisor: Supervisor) -> None:
        caught = self._signals.caught
        supervisor.stop(caught.name if caught else "left")
        while not supervisor.finished:
            supervisor.poll(_TICK_NS)
        self._teller.tell_stopped(supervisor.report(), f"{caught.name}: " if caught else "")

    def _show(self, data: bytes) -> None:
        if self._screen is not None:
            self._screen.grid.feed(data)

    def _read(self) -> None:
        self._keys += read_typed()


def end_of(report: RunReport) -> str:
    """Return how a guest ended, in some words."""
    how = f"exit, status {report.exit_status}" if report.end == "exit" else report.end
    return f"{how}, at instruction {report.instructions:,}"
