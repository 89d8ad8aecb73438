"""What the parsers of all commands have in common."""

import argparse
import contextlib
import os
import re
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # generic for the type checker only
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = argparse._SubParsersAction

_NATURAL = re.compile("[0-9]{1,18}", re.ASCII)


def file_name(text: str) -> str:
    """Take the name of a file; none at all is a variable of the shell that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is no file's name")
    return text


def input_file(text: str) -> str:
    """The same of a file that is read to its end, which a device may not have."""
    with contextlib.suppress(OSError, ValueError):  # for whoever opens it to tell
        if stat.S_ISCHR(os.stat(file_name(text)).st_mode):
            raise argparse.ArgumentTypeError(f"{text} is a device; give a file")
    return text


def directory_name(text: str) -> str:
    """The same of a directory."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is no directory's name")
    return text


def natural(text: str) -> int:
    """Read a whole number from 0 on."""
    if not _NATURAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def add_command(
    commands: Subparsers,
    name: str,
    carry_out: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    description: str = "",
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a command that is done by `carry_out`, with its help."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(carry_out=carry_out)
    return parser
