"""Journals on disk: lines that are there, for whoever reads the file, before anything follows.

A line is one write, so it is whole or not there when the process is killed.
It is not waited for until it is on the disk: a journal outlives its process,
not the host's loss of power.
"""

import os
from pathlib import Path

from ftvm.audit.journal import JournalWriter
from ftvm.audit.records import Record
from ftvm.errors import HostError, UsageError
from ftvm.runtime.control import NodeConfig

SUFFIX = ".journal"


class JournalFile:
    """One new file; HostError if the host refuses, also when a line cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = JournalWriter()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise HostError(f"cannot begin the journal {path}: {error.strerror}") from None

    def write(self, record: Record) -> None:
        """Write one record."""
        line = self._writer.line(record)
        try:
            if os.write(self._descriptor, line) == len(line):
                return
            why = "no room for a line"
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
        raise HostError(f"cannot go on with the journal {self._path}: {why}")


def open_journal(config: NodeConfig) -> JournalFile | None:
    """Return the journal that a node is to write, if it is to write one."""
    return JournalFile(Path(config.journal)) if config.journal else None


def make_directory(path: Path) -> None:
    """Make a place for journals; UsageError if it cannot be made or written to."""
    try:
        path.mkdir(exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, "Permission denied")
    except FileExistsError:
        raise UsageError(f"cannot write journals to {path}: it is not a directory") from None
    except OSError as error:
        raise UsageError(f"cannot write journals to {path}: {error.strerror}") from None


def make_empty_directory(path: Path) -> None:
    """Make a place for the journals of one run; UsageError, too, if it has some already."""
    make_directory(path)
    old = sorted(entry.name for entry in path.iterdir() if entry.suffix == SUFFIX)
    if old:
        raise UsageError(
            f"{path} has journals already ({old[0]}): give an empty directory to each run"
        )


def journal_path(directory: Path, node: str) -> Path:
    """Return where a node's journal is."""
    return directory / f"{node.replace('/', '-')}{SUFFIX}"
