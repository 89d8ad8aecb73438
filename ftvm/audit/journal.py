"""A journal's lines: a JSON object for each record, each with the sum of all up to it.

::

    {"sum":"1f0a3c22","is":"begun","format":1,...}
    {"sum":"90bb01e4","is":"won","generation":1}

`sum` is the CRC-32 (ISO 3309, as in zlib) of what follows it in the line, begun
with the sum of the line before: a line that is changed, missing, doubled or out
of its place shows. A process that is killed leaves at most its last line
unfinished, which then says nothing.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ftvm.audit.records import FORMAT, AnyRecord, Begun, Record
from ftvm.errors import UsageError

_LINE = re.compile(rb'\{"sum":"([0-9a-f]{8})",(.*\})', re.ASCII)
_PROGRESS_LINES = 10_000
_decoder = msgspec.json.Decoder(AnyRecord)


class JournalWriter:
    """Turns records into lines."""

    def __init__(self) -> None:
        self._sum = 0

    def line(self, record: Record) -> bytes:
        """Return the line of the next record."""
        rest = msgspec.json.encode(record)[1:]
        self._sum = zlib.crc32(rest, self._sum)
        return b'{"sum":"%08x",%b\n' % (self._sum, rest)


@dataclass(frozen=True)
class Journal:
    """One file's records; the number of a record is its line, from 1."""

    name: str
    records: Sequence[AnyRecord]
    torn_bytes: int
    """Of an unfinished line at the end."""


def read_journal(
    name: str, data: bytes, progress: Callable[[int], None] = lambda lines: None
) -> Journal:
    """Return the records of a journal; UsageError says what is wrong with it, and where.

    An empty one is that of a host that never was a replica. `progress` is told now
    and then how many lines are read.
    """
    *lines, torn = data.split(b"\n")
    records: list[AnyRecord] = []
    total = 0
    for number, line in enumerate(lines, 1):
        where = f"{name}: line {number}"
        if number % _PROGRESS_LINES == 0:
            progress(number)
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{where} is no record of a journal")
        total = zlib.crc32(match[2], total)
        if int(match[1], 16) != total:
            raise UsageError(
                f"{where} does not have its sum: it is damaged, or not where it was written"
            )
        try:
            record = _decoder.decode(b"{" + match[2])
        except msgspec.MsgspecError as error:
            raise UsageError(f"{where} is no record that this ftvm knows: {error}") from None
        if isinstance(record, Begun) and record.format != FORMAT:
            raise UsageError(
                f"{where} is of a journal of format {record.format}, this ftvm reads {FORMAT}"
            )
        records.append(record)
    if data and (not records or not isinstance(records[0], Begun)):
        raise UsageError(f"{name} does not begin as a journal does: give what --journal wrote")
    return Journal(name, records, len(torn))
