"""`--record RUN`, the same of every command that runs a guest."""

import argparse
from pathlib import Path

from ftvm.errors import UsageError
from ftvm.ui.parsers import file_name


def add_record_option(parser: argparse.ArgumentParser, what: str = "the run") -> None:
    """Add --record; `what` is written."""
    parser.add_argument(
        "--record",
        metavar="RUN",
        type=file_name,
        help=f"write {what} to a file that ftvm replay replays",
    )


def find_record(args: argparse.Namespace) -> Path | None:
    """Return the file to record into, None for none."""
    return Path(args.record) if args.record else None


def claim_recording(path: Path) -> None:
    """Make a file if there is none; UsageError if one cannot be written there."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise UsageError(f"cannot write the recording {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"cannot write the recording {str(path)!r}: not a file's name") from None
