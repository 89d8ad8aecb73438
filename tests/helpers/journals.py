"""Journals of a run, read, and written anew with whatever a test has made of them."""

from collections.abc import Iterable
from pathlib import Path

from ftvm.audit.journal import Journal, JournalWriter, read_journal
from ftvm.audit.records import Record


def read_journals(directory: Path) -> list[Journal]:
    """The journals in a directory, by the names of their nodes."""
    paths = sorted(directory.glob("*.journal"))
    return [read_journal(path.stem, path.read_bytes()) for path in paths]


def lines_of(records: Iterable[Record]) -> bytes:
    """A journal's content."""
    writer = JournalWriter()
    return b"".join(writer.line(record) for record in records)
