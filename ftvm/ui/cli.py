"""The command `ftvm`: what it is called with, and what its end means to the shell.

Parsing imports nothing that is slow to load, so that help and completion come
at once; each command loads what it needs when it is carried out.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ftvm import __version__
from ftvm.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, FtvmError
from ftvm.ui import (
    audit_command,
    bench_command,
    commit_command,
    completion_command,
    console_command,
    demo_command,
    diff_command,
    doctor_command,
    export_command,
    guests_command,
    inspect_command,
    record_command,
    replay_command,
    run_command,
    serve_command,
    simulate_command,
    status_command,
    watch_command,
)
from ftvm.ui.notices import Notices

if TYPE_CHECKING:  # of the type checker's own
    from _typeshed import SupportsWrite

_DESCRIPTION = "Runs a 32-bit PC twice, in lockstep: when the primary dies, the backup goes on."

_GROUPS = (
    ("here", (demo_command, run_command, commit_command, guests_command)),
    ("hosts", (serve_command, console_command, watch_command, status_command)),
    (
        "runs",
        (record_command, replay_command, inspect_command, diff_command, export_command),
    ),
    ("proof", (simulate_command, audit_command, bench_command)),
    ("setup", (doctor_command, completion_command)),
)

_EXAMPLE = "example: ftvm run guest:counter --watch; more of each: ftvm COMMAND --help"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, as for every other wrong input."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help; an error of the stream is for the caller, and not for nobody."""
        (file or sys.stdout).write(self.format_help())


class _Command(_Parser):
    def parse_known_args(  # type: ignore[override]  # which has an overload for each namespace
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Say oneself what is one too many, and not whoever called."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left


class _Overview(_Parser):
    """The parser of the whole command line, whose help groups the commands on one screen."""

    groups: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()
    """Heading, and name and summary of each command."""

    def format_help(self) -> str:
        """Return the help."""
        lines = [self.format_usage().rstrip(), _DESCRIPTION, ""]
        for heading, commands in self.groups:
            for index, (name, summary) in enumerate(commands):
                lines.append(f"  {'' if index else heading:7}{name:12}{summary}")
        return "\n".join([*lines, "", _EXAMPLE, ""])


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Overview(prog="ftvm", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"ftvm {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Command)
    groups = []
    for heading, members in _GROUPS:
        before = len(commands._choices_actions)
        for command in members:
            command.add_parser(commands)
        added = commands._choices_actions[before:]
        groups.append((heading, [(action.dest, action.help or "") for action in added]))
    parser.groups = groups
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; returns the exit status."""
    _occupy_standard_descriptors()
    try:
        try:
            args = make_parser().parse_args(arguments)
            return _flushed(args.carry_out(args))
        except SystemExit as left:  # by a parser, having told all there is to tell
            return _flushed(left.code if isinstance(left.code, int) else 0)
    except FtvmError as error:
        Notices().error(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        Notices().error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        _forget_output()
        Notices().error(f"{error.filename or 'standard output'}: {error.strerror}")
        return FtvmError.exit_status


def _flushed(status: int) -> int:
    """Return the status, once all that was printed is where it belongs."""
    if sys.stdout is not None:  # as it is where descriptor 1 was closed
        sys.stdout.flush()
    return status


def _occupy_standard_descriptors() -> None:
    """Keep sockets from becoming descriptor 0, 1 or 2 where one of these is closed.

    Opened the wrong way round, so that using it is still the error that it was.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)


def _forget_output() -> None:
    """What is left in the buffer cannot be written: do not try again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
