"""Files that options name: whole or not there at all, whatever happens."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

import msgspec

from ftvm.errors import UsageError
from ftvm.runtime.report import RunReport

_ROOM_BYTES = 1 << 16
_DEFAULT_MODE = 0o666


class OutputFile:
    """A place for what is written at the end, taken before; UsageError if it cannot be had.

    `what` it is, its messages say. Room on the disk is taken too, so that the
    report of a run of hours is not lost to a disk that filled up meanwhile. What
    is no regular file (a pipe, a terminal) is written to as it is.
    """

    def __init__(self, path: str, what: str) -> None:
        self._given = path
        self._what = what
        self._target = Path(os.path.realpath(path))
        self._temporary: str | None = None
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise UsageError(f"cannot write the {what} {path}: {error.strerror}") from None

    def __enter__(self) -> "OutputFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def put(self, content: bytes) -> None:
        """Put it in its place; UsageError if the host refuses."""
        descriptor, self._descriptor = self._descriptor, -1
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if self._temporary is not None:
                    file.truncate()
            if self._temporary is not None:
                os.replace(self._temporary, self._target)
                self._temporary = None
        except OSError as error:
            raise UsageError(
                f"cannot write the {self._what} {self._given}: {error.strerror}"
            ) from None

    def _open(self) -> int:
        mode = _mode_of(self._given)
        if mode is not None and not stat.S_ISREG(mode):
            return os.open(self._given, os.O_WRONLY)
        if mode is not None and not os.access(self._target, os.W_OK):
            raise PermissionError(0, "Permission denied")
        folder, name = self._target.parent, self._target.name
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            os.fchmod(descriptor, stat.S_IMODE(mode) if mode else _DEFAULT_MODE & ~_umask())
            os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
        except OSError:
            os.close(descriptor)
            os.unlink(self._temporary)
            raise
        return descriptor


class ReportFile(OutputFile):
    """The file that `--report` names."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "report")

    def write(self, report: RunReport) -> None:
        """Put the report in its place; UsageError if the host refuses."""
        self.put(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")

    def __enter__(self) -> "ReportFile":
        return self


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
