"""`ftvm replay`: the same run again, compared with what was recorded."""

import argparse
import os

from ftvm.errors import UsageError
from ftvm.ui.parsers import Subparsers, add_command, file_name
from ftvm.ui.record_options import add_record_option, find_record

_DESCRIPTION = """\
Does a recorded run again, at full speed, prints its console, and compares every
digest in it, the state at its end and every byte of output. What the guest was
given comes from the recording: input, time, random numbers.

With --go-live the guest leaves the recording where the replay ends and runs on
by itself, with standard input and output as its console, as by `ftvm run`."""

_EPILOG = """\
An instruction is a step of the engine: an instruction, or one iteration of a
repeated string instruction. `ftvm inspect RUN` says how far a run goes.

exit status:
  0    everything was equal, up to the end or to --until
  1    equal as far as the recording goes, but it is torn: its end is missing
  2    no recording, damaged, or of another version
  122  the replay did not do what was recorded
  with --go-live that of ftvm run, if everything was equal before (or torn)

examples:
  ftvm replay counter.run
  ftvm replay counter.run --until 5000 --go-live --record other.run
  ftvm replay boot.run --from 80000000
  ftvm replay counter.run --json | jq .verdict"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "replay",
        carry_out,
        "do a recorded run again, and compare",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "run", metavar="RUN", type=file_name, help="a file that ftvm record or --record wrote"
    )
    parser.add_argument("--until", metavar="N", help="stop when N instructions are done")
    parser.add_argument(
        "--from",
        metavar="N",
        dest="begin",
        help="start at the nearest checkpoint before N, and print from N on",
    )
    parser.add_argument(
        "--go-live", action="store_true", help="let the guest run on where the replay ends"
    )
    add_record_option(parser, "what the live guest does")
    parser.add_argument(
        "--eof-exit",
        action="store_true",
        help="live: leave when the input is used up and the output quiet for 300 ms",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the verdict as JSON, and not the console"
    )
    parser.add_argument(
        "--screen", action="store_true", help="show the text screen instead of the serial console"
    )


def carry_out(args: argparse.Namespace) -> int:
    """Replay, and perhaps go on."""
    from ftvm.ui.recorded import open_run, parse_span
    from ftvm.ui.replay_session import EXIT_TORN, ReplaySession

    if args.json and args.go_live:
        raise UsageError("--json has no console for --go-live: leave one of them out")
    if args.json and args.screen:
        raise UsageError("--json prints no screen: leave --screen out")
    if args.record and not args.go_live:
        raise UsageError("--record is for the live guest: give --go-live too")
    if args.record and os.path.exists(args.record) and os.path.samefile(args.record, args.run):
        raise UsageError(f"--record {args.record} is the run that is replayed: name another file")
    with open_run(args.run) as reader:
        begin, until = parse_span(args.begin, args.until, reader)
        session = ReplaySession(reader, begin, until, as_json=args.json, screen=args.screen)
        status = session.run()
        if not args.go_live or status not in (0, EXIT_TORN):
            return status
        return session.go_live(eof_exit=args.eof_exit, record=find_record(args))
