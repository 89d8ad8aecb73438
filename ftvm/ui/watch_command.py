"""`ftvm watch`: the screen of a guest that runs on other hosts."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command
from ftvm.ui.secret_options import add_secret_options, find_security

_DESCRIPTION = """\
Shows the two hosts of a guest side by side: what they execute and log, how far
the backup is behind, each digest that both made and whether it is equal, what
happened and when. Looking changes nothing. Tab takes the guest's console, as
ftvm console does, and types to the guest; Ctrl-A ends that. `ftvm run --watch`
shows the same of a pair on this machine, with keys that kill, pause, cut, flip.

Not on a terminal it prints a line for each thing that happens."""

_EPILOG = """\
exit status:
  0    you left; of lines: the guest has ended
  2    wrong options or key
  121  no host has answered for 30 s
  130  Ctrl-C        141  nobody reads the lines        143  SIGTERM

examples:
  ftvm watch 127.0.0.1:7001,127.0.0.1:7002
  ftvm watch 10.0.0.1:7000,10.0.0.2:7000 --key-file pair.key
  ftvm watch 10.0.0.1:7000 --json | jq 'select(.kind == "event")'"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "watch",
        carry_out,
        "show the hosts of a guest on a screen, live",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("hosts", metavar="HOST:PORT,...", help="hosts that serve the guest")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object on a line for each thing that happens"
    )
    add_secret_options(parser)


def carry_out(args: argparse.Namespace) -> int:
    """Watch until the user leaves."""
    from ftvm.runtime.addresses import parse_addresses

    addresses = parse_addresses(args.hosts)
    security = find_security(args, addresses)

    from ftvm.ui.terminal import takes_screen
    from ftvm.ui.watch.hosts_watch import HostsWatch

    watch = HostsWatch(addresses, security)
    if args.json or not takes_screen():
        return watch.tell(as_json=args.json)
    return watch.show()
