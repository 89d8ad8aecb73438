"""`ftvm status`: who is what among the hosts of a guest."""

import argparse
import json

from ftvm.ui.parsers import Subparsers, add_command
from ftvm.ui.secret_options import add_secret_options, find_security

_DESCRIPTION = """\
Asks hosts who is what. PROTECTION has vSphere's words: running (the guest can
lose a host), starting (a new backup is on its way), needSecondary with the
reason (the guest runs on one host alone), disabled (stands by), notConfigured."""

_EPILOG = """\
exit status:
  0    there is a primary, and it has its backup
  1    there is a primary, and it is alone
  2    wrong options or key
  3    there is no primary among these hosts

examples:
  ftvm status 127.0.0.1:7001,127.0.0.1:7002
  ftvm status 10.0.0.1:7000,10.0.0.2:7000 --key-file pair.key --json
  until ftvm status 127.0.0.1:7001 >/dev/null; do sleep 1; done"""

EXIT_ALONE = 1
EXIT_NO_PRIMARY = 3


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "status",
        carry_out,
        "tell who is what among the hosts of a guest",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("hosts", metavar="HOST:PORT,...", help="the hosts")
    parser.add_argument(
        "--json", action="store_true", help="a list with an object for each host, see docs/usage.md"
    )
    add_secret_options(parser)


def carry_out(args: argparse.Namespace) -> int:
    """Ask, and show what was answered."""
    from ftvm.runtime.addresses import parse_addresses

    addresses = parse_addresses(args.hosts)
    security = find_security(args, addresses)

    from ftvm.ui import status_table
    from ftvm.ui.host_answers import ask

    answers = ask(addresses, security)
    if args.json:
        print(json.dumps([answer.as_json() for answer in answers], indent=2))
    else:
        print(status_table.lay_out(answers))
    primaries = [a.status for a in answers if a.status and a.status.role == "primary"]
    if not primaries:
        return EXIT_NO_PRIMARY
    newest = max(primaries, key=lambda status: status.generation)
    return 0 if newest.protection == "running" else EXIT_ALONE
