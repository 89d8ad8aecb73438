"""`ftvm run --watch` without a terminal: the run of `ftvm run`, told line by line."""

from ftvm.runtime.clock import now_ns
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.session import Session
from ftvm.ui.stream_options import StreamFiles
from ftvm.ui.watch.event_notices import EventNotices
from ftvm.ui.watch.lookout import Lookout
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.plain import PlainLines
from ftvm.ui.watch.run_watch import end_of


class PlainRun(Session):
    """The guest's lines are told among the others; what went wrong, on standard error too."""

    def __init__(
        self, spec: RunSpec, streams: StreamFiles, *, eof_exit: bool, convention: str
    ) -> None:
        model = PairModel(spec.image_name, now_ns(), owned=True)
        notices = _Notices(model)
        super().__init__(spec, streams, eof_exit=eof_exit, convention=convention, notices=notices)
        self._model = model
        self._lines = PlainLines(model, self._output.write)
        self._lookout: Lookout | None = None

    def run(self) -> RunReport:
        """See `Session`."""
        try:
            return super().run()
        finally:
            self._lines.finish()

    def _show(self, data: bytes) -> None:
        self._model.now = now_ns()
        self._lines.console(data)

    def _look(self, supervisor: Supervisor) -> None:
        super()._look(supervisor)
        if self._lookout is None:
            self._lookout = Lookout(supervisor, self._model)
        self._model.ends = supervisor.ended
        self._lookout.look(last=supervisor.finished)
        if supervisor.finished:
            self._model.ended(end_of(supervisor.report()), now_ns())
        self._lines.flush()


class _Notices(EventNotices):
    def error(self, text: str) -> None:
        """Say what went wrong, where it is looked for as well."""
        super().error(text)
        self.say_error(text)
