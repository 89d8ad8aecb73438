"""`ftvm diff`: the first instruction behind which two recorded runs differ."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command, file_name

_DESCRIPTION = """\
Replays two recorded runs of one machine side by side, and finds the first
instruction behind which they differ: registers, memory or devices. Shows what
was executed there, the registers of both with those that differ marked, and the
bytes of memory that differ.

Recordings of the replicas of a pair should not differ at all; if they do,
`ftvm run --record` keeps both. Two runs recorded one after the other differ
where the guest was first told the time, or was typed something else."""

_EPILOG = """\
Exit status, as of diff: 0 if they are equal, 1 if they differ, 2 for trouble.

examples:
  ftvm run guest:primes --record r --flip backup@instruction:500000:0x10a000:0
  ftvm diff r r.b
  ftvm diff monday.run tuesday.run --json | jq .different"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "diff",
        carry_out,
        "find the first instruction where two runs differ",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("a", metavar="RUN_A", type=file_name, help="a recorded run")
    parser.add_argument("b", metavar="RUN_B", type=file_name, help="another one")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def carry_out(args: argparse.Namespace) -> int:
    """Compare, and print what was found."""
    import json
    from dataclasses import asdict

    from ftvm.ui.diff_report import print_report
    from ftvm.ui.difference import find_difference
    from ftvm.ui.recorded import open_run

    with open_run(args.a) as a, open_run(args.b) as b:
        found = find_difference(a, b)
    if args.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print_report(found)
    return 0 if found.verdict == "equal" else 1
