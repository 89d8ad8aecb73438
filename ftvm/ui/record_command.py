"""`ftvm record`: runs an image alone and keeps all that came in from outside."""

import argparse

from ftvm.ui import run_command
from ftvm.ui.parsers import Subparsers, add_command, file_name

_DESCRIPTION = """\
Runs an image without a backup, as `ftvm run --solo` does, and writes its run to
a file that `ftvm replay` makes the same machine of again: on any host, any
number of times, with the same output at the same instruction. What anybody has
seen of the guest is in the file, even if ftvm is killed. If the file cannot be
written, the guest stops.

`ftvm run IMAGE --record RUN` records a pair, over any failover."""

_EPILOG = """\
The exit status is that of `ftvm run`.

examples:
  ftvm record guest:counter -o counter.run         # Ctrl-A x leaves
  echo iiiq | ftvm record guest:counter -o counter.run
  ftvm record kernel.elf -o boot.run --append "verbose" < /dev/null
  ftvm replay counter.run"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "record",
        carry_out,
        "run an image, keep its run in a file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    run_command.add_image_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="RUN",
        type=file_name,
        required=True,
        help="the file to write; replaced if there",
    )
    run_command.add_session_arguments(parser)
    alone = {"solo": True, "watch": False, "crash": [], "flip": [], "store": None}
    parser.set_defaults(**alone, failure_timeout="2s", lag_bound=None)


def carry_out(args: argparse.Namespace) -> int:
    """Run the guest and record it."""
    args.record = args.output
    return run_command.carry_out(args)
