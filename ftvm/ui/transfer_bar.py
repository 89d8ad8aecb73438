"""How far a machine is on its way to a new backup, for those who wait for that."""

from ftvm.runtime.clock import now_ns
from ftvm.runtime.status import Transfer
from ftvm.ui.notices import Notices
from ftvm.ui.progress import ProgressBar
from ftvm.units import Nanoseconds

_PATIENCE_NS = Nanoseconds(1_000_000_000)
_LINE_NS = Nanoseconds(5_000_000_000)


class TransferBar:
    """A bar on a terminal; `beside_console`: lines, because the guest's console is there too."""

    def __init__(self, notices: Notices, *, beside_console: bool) -> None:
        self._notices = notices
        self._as_lines = beside_console
        self._bar: ProgressBar | None = None
        self._line_at = Nanoseconds(0)

    def __enter__(self) -> "TransferBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, what: str, transfer: Transfer) -> None:
        """Say how far it is."""
        if self._as_lines:
            self._tell(f"{what}: {transfer.describe()}", transfer)
            return
        if self._bar is None:
            self._bar = ProgressBar(what, 0)
        total = transfer.pages + transfer.left_pages
        self._bar.at(transfer.pages, total=total, note=transfer.describe())

    def _tell(self, line: str, transfer: Transfer) -> None:
        now = now_ns()
        if transfer.elapsed_ns < _PATIENCE_NS or now < self._line_at:
            return
        self._line_at = Nanoseconds(now + _LINE_NS)
        self._notices.info(line)

    def end(self) -> None:
        """It is over, or never was."""
        self._line_at = Nanoseconds(0)
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
