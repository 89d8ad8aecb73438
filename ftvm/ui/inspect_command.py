"""`ftvm inspect`: what is in a recorded run."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command, file_name

_DESCRIPTION = """\
Tells of a recorded run who recorded what, where it begins and ends, and what
its log is made of; with --entries each log entry, one a line. Nothing is
replayed, except for --code."""

_EPILOG = """\
An entry's instruction is the count that was reached when it came in: a result
(tsc, random, clock) is what the next instruction got, an event (interrupt,
timer, input, digest) came before the next instruction.

With --json it is one object, with --entries one object a line.

examples:
  ftvm inspect counter.run
  ftvm inspect counter.run --entries --kind input,interrupt
  ftvm inspect boot.run --entries --from 80000000 --until 80100000 --code
  ftvm inspect boot.run --entries --json | jq -r .kind | sort | uniq -c"""

KINDS = ("tsc", "random", "clock", "interrupt", "timer", "input", "digest", "failure")


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "inspect",
        carry_out,
        "tell what is in a recorded run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "run", metavar="RUN", type=file_name, help="a file that ftvm record or --record wrote"
    )
    parser.add_argument("--entries", action="store_true", help="list the log's entries")
    parser.add_argument(
        "--kind", metavar="KIND,...", help=f"only entries of these kinds: {', '.join(KINDS)}"
    )
    parser.add_argument("--from", metavar="N", dest="begin", help="only from instruction N on")
    parser.add_argument("--until", metavar="N", help="only up to instruction N")
    parser.add_argument(
        "--code", action="store_true", help="with each entry's instruction, by a replay"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def carry_out(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from ftvm.errors import UsageError
    from ftvm.ui.inspection import Selection, list_entries, print_summary
    from ftvm.ui.recorded import open_run, parse_span

    filters = (("--kind", args.kind), ("--from", args.begin), ("--until", args.until))
    wanted = [option for option, value in filters if value is not None]
    wanted += ["--code"] if args.code else []
    if wanted and not args.entries:
        raise UsageError(f"{wanted[0]} is for entries: give --entries too")
    with open_run(args.run) as reader:
        if not args.entries:
            return print_summary(reader, as_json=args.json)
        kinds = _parse_kinds(args.kind)
        begin, until = parse_span(args.begin, args.until, reader)
        selection = Selection(kinds, reader.begin_count if begin is None else begin, until)
        return list_entries(reader, selection, code=args.code, as_json=args.json)


def _parse_kinds(text: str | None) -> frozenset[str]:
    from ftvm.errors import UsageError

    kinds = KINDS if text is None else text.lower().split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"no entries of kind {kind!r}: there are {', '.join(KINDS)}")
    return frozenset(kinds)
