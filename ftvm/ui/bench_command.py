"""`ftvm bench`: how fast ftvm is beside its rivals, and what fault tolerance costs."""

import argparse
import contextlib
import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ftvm.errors import EXIT_INTERRUPTED, FtvmError, UsageError
from ftvm.ui.parsers import Subparsers, add_command, directory_name, file_name, input_file

if TYPE_CHECKING:  # slow to load, and not needed to parse
    from ftvm.bench.session import Document

_DESCRIPTION = """\
Measures how fast guests run on ftvm, on stock Unicorn and on QEMU (whichever
are installed), and what fault tolerance costs: log, output commit, failover,
protecting again, and how that grows. Rivals run the same images in turn; shown
are medians, and the spread among a row's runs. All of it takes a quarter of an
hour on two CPUs that have nothing else to do."""

_EPILOG = """\
WHAT is a section (speed, ft, scaling, costs), a name in it (sieve, failover),
or a pattern (speed/*Hz). By default all of it.

Ctrl-C ends the measuring; what there is by then is shown and written.

--compare: a figure regressed if it is worse than in OLD by more than 10 % and
by more than three spreads (1.4826 times the median absolute deviation; those of
both sessions, added as squares). Speeds are taken relative to QEMU's of the
same row and session, or else stock Unicorn's, which another load slows as much.

exit status:
  0    measured
  1    --compare: something regressed
  2    wrong options or files
  125  a guest could not be run somewhere, or computed something else there
  130  Ctrl-C

examples:
  ftvm bench
  ftvm bench --list
  ftvm bench sieve strings --rivals 'stock,QEMU,QEMU record'
  ftvm bench -o new.json --plots plots
  ftvm bench --show new.json --compare old.json
  ftvm bench sieve --json | jq '.measurements[].samples'"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "bench",
        carry_out,
        "measure speed beside rivals, cost of fault tolerance",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("what", metavar="WHAT", nargs="*", help="what to measure (all)")
    parser.add_argument("--list", action="store_true", help="say what can be measured")
    parser.add_argument(
        "--rivals", metavar="NAME,...", default="", help="only these, and ftvm run --solo"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a minute, to see that it works; says nothing of speed"
    )
    parser.add_argument(
        "--by",
        choices=("wall", "cpu"),
        default="wall",
        help="the clock of speeds: on the wall, or CPU time where others use the machine (wall)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=file_name,
        help="write everything there, every single run too, as JSON",
    )
    parser.add_argument(
        "--plots", metavar="DIR", type=directory_name, help="draw, as PNG and SVG (with matplotlib)"
    )
    parser.add_argument(
        "--show", metavar="FILE", type=input_file, help="measure nothing, show what -o wrote"
    )
    parser.add_argument(
        "--compare", metavar="OLD", type=input_file, help="say what changed since -o wrote that"
    )


def carry_out(args: argparse.Namespace) -> int:
    """Measure, show, write, compare."""
    # Loaded here, so that help and completion need not wait for it.
    from ftvm.bench.comparison import compare
    from ftvm.bench.session import encode_document, read_document
    from ftvm.bench.suite import choose_items, choose_rivals
    from ftvm.ui.bench_screen import BenchScreen
    from ftvm.ui.report_file import OutputFile

    items = choose_items(args.what)
    screen = BenchScreen(args.by)
    if args.list:
        screen.list_items(items, as_json=args.json)
        return 0
    if args.show and (args.what or args.rivals or args.tiny or args.output):
        raise UsageError("--show measures nothing: leave out what to measure, and -o")
    if args.plots and importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plots takes matplotlib: pip install 'ftvm[bench]' brings it")
    rivals = choose_rivals([name.strip() for name in args.rivals.split(",") if name.strip()])
    old = read_document(Path(args.compare)) if args.compare else None
    with contextlib.ExitStack() as stack:
        if args.show:
            document = read_document(Path(args.show))
        else:
            file = stack.enter_context(OutputFile(args.output, "figures")) if args.output else None
            command = shlex.join(["ftvm", *sys.argv[1:]])
            document = screen.measure(items, rivals, tiny=args.tiny, command=command)
            if file is not None:
                file.put(encode_document(document))
    if old is not None and old.size != document.size:
        raise UsageError(f"{args.compare} is of a {old.size} session, this is a {document.size}")
    changes = compare(old, document, args.by) if old is not None else []
    if args.json:
        screen.print_json(document, None if old is None else changes)
    else:
        screen.show(document)
        if old is not None:
            screen.show_changes(changes, old, document)
    if args.plots:
        _draw(document, args)
    if document.interrupted:
        return EXIT_INTERRUPTED
    if document.failed:
        return FtvmError.exit_status
    return int(any(change.regressed for change in changes))


def _draw(document: "Document", args: argparse.Namespace) -> None:
    from ftvm.bench.plots import draw

    try:
        draw(document, Path(args.plots), args.by)
    except OSError as error:
        raise UsageError(f"cannot draw into {args.plots}: {error.strerror}") from None
