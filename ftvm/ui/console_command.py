"""`ftvm console`: the console of a guest that runs on other hosts."""

import argparse
from pathlib import Path

from ftvm.ui.exit_convention import add_exit_convention
from ftvm.ui.parsers import Subparsers, add_command
from ftvm.ui.secret_options import add_secret_options, find_security
from ftvm.ui.stream_options import add_screen_option, add_stream_options, open_streams

_DESCRIPTION = """\
Attaches standard input and output to the console of the guest that the hosts
serve, wherever its primary is, and follows it when that fails: no byte is lost
or doubled in either direction. Name all hosts that may come to run it.

At a terminal every key goes to the guest; Ctrl-A x detaches, Ctrl-A h helps.
The guest runs on; whoever attaches next goes on from there. Who attaches while
another console is attached takes over from it."""

_EPILOG = """\
exit status:
  0..255  how the guest ended, see ftvm run; 0 if you detached
  2       wrong options or key     120  triple fault
  121     no host has answered for 30 s
  122     the console was contradicted
  123     another console has taken over
  125     no host can be reached   130  Ctrl-C: detached     141  no reader
  143     SIGTERM: detached

examples:
  ftvm console 127.0.0.1:7001,127.0.0.1:7002
  echo iiiq | ftvm console 10.0.0.1:7000,10.0.0.2:7000 --key-file pair.key
  echo iii | ftvm console 127.0.0.1:7001 --eof-exit"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "console",
        carry_out,
        "attach to the console of a guest that hosts serve",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("hosts", metavar="HOST:PORT,...", help="hosts that serve the guest")
    parser.add_argument(
        "--eof-exit",
        action="store_true",
        help="detach when the input is used up and the output quiet for 300 ms",
    )
    parser.add_argument(
        "--journal", metavar="DIR", help="write down there what ftvm audit judges, made if missing"
    )
    add_screen_option(parser)
    add_stream_options(parser)
    add_exit_convention(parser)
    add_secret_options(parser)


def carry_out(args: argparse.Namespace) -> int:
    """Attach until the guest ends or somebody leaves."""
    from ftvm.runtime.addresses import parse_addresses

    addresses = parse_addresses(args.hosts)
    security = find_security(args, addresses)

    from ftvm.runtime.journal_file import make_directory
    from ftvm.ui.attachment import Attachment

    journals = Path(args.journal) if args.journal else None
    if journals is not None:
        make_directory(journals)
    with open_streams(args) as streams:
        attachment = Attachment(
            addresses,
            security,
            streams,
            eof_exit=args.eof_exit,
            convention=args.exit_convention,
            screen=args.screen,
            journals=journals,
        )
        return attachment.run()
