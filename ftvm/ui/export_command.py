"""`ftvm export`: a recorded run on a time line, for a trace viewer."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command, file_name

_DESCRIPTION = """\
Writes a recorded run as Chrome trace JSON, which https://ui.perfetto.dev and
chrome://tracing open. On the time line of the host that recorded it are: the
guest's execution, events from the log, the backup and what it acknowledged,
outputs from when they were made to when they were let out, with arrows from a
mark to its acknowledgement to the output that it let out."""

_EPILOG = """\
examples:
  ftvm run guest:counter --record pair.run
  ftvm export pair.run -o pair.json
  ftvm export pair.run | gzip > pair.json.gz"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "export",
        carry_out,
        "write a recorded run for a trace viewer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "run", metavar="RUN", type=file_name, help="a file that ftvm record or --record wrote"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=file_name, help="the file to write (standard output)"
    )


def carry_out(args: argparse.Namespace) -> int:
    """Write the trace."""
    import contextlib
    import json

    from ftvm.ui.inspection import exit_status
    from ftvm.ui.notices import Notices
    from ftvm.ui.recorded import open_run
    from ftvm.ui.report_file import OutputFile
    from ftvm.ui.timeline import make_trace

    with open_run(args.run) as reader:
        place = OutputFile(args.output, "trace") if args.output else contextlib.nullcontext()
        with place as file:
            text = json.dumps(make_trace(reader), separators=(",", ":"))
            if file is None:
                print(text)
            else:
                file.put(text.encode() + b"\n")
        if reader.flaw is not None:
            Notices().error(f"{reader.name}: {reader.describe_flaw()}; the trace ends there")
        return exit_status(reader)
