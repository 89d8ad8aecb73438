"""Recorded runs by the names that people give, and instructions in them."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from ftvm.errors import LogError, UsageError
from ftvm.log.run_reader import RunReader
from ftvm.units import InstructionCount

# 18 digits: every count that fits in 64 bits with room to spare, with commas as they are printed.
_COUNT = re.compile(r"[0-9][0-9,]{0,23}", re.ASCII)


@contextlib.contextmanager
def open_run(name: str, called: str = "") -> Iterator[RunReader]:
    """Open a recorded run; UsageError says what is wrong with it.

    Whatever is told of the run calls it `called`, or by its name.
    """
    path = Path(name)
    try:
        if path.is_dir():
            raise LogError(f"{name}: is a directory; give a file that ftvm record wrote")
        file = path.open("rb")
    except OSError as error:
        raise LogError(f"{name}: {error.strerror}") from None
    except ValueError:
        raise LogError(f"{name!r}: not a file's name") from None
    with file:
        if not file.seekable():
            raise LogError(f"{name}: a run is read back and forth; give a file, not a pipe")
        yield RunReader(file, called or name)


def _parse_count(text: str, option: str, reader: RunReader) -> InstructionCount:
    """Read an instruction count that is in the run; UsageError if it is none."""
    if _COUNT.fullmatch(text) is None:
        raise UsageError(f"{option} {text!r} is not a number of instructions: give 5000, say")
    count = InstructionCount(int(text.replace(",", "")))
    if not reader.begin_count <= count <= reader.end_count:
        raise UsageError(
            f"{option} {count:,}: {reader.name} goes from instruction {reader.begin_count:,} "
            f"to {reader.end_count:,}"
        )
    return count


def parse_span(
    begin: str | None, until: str | None, reader: RunReader
) -> tuple[InstructionCount | None, InstructionCount | None]:
    """Read --from and --until as far as they are given; UsageError if they make no sense."""
    first = None if begin is None else _parse_count(begin, "--from", reader)
    last = None if until is None else _parse_count(until, "--until", reader)
    if first is not None and last is not None and first > last:
        raise UsageError(f"--from {first} is behind --until {last}")
    return first, last
