"""`ftvm guests`: the images that come with ftvm."""

import argparse
import json

from ftvm.ui.images import bundled_guests
from ftvm.ui.parsers import Subparsers, add_command

_EXAMPLES = """\
examples:
  ftvm guests
  ftvm run guest:hello
  ftvm guests --json"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands, "guests", carry_out, "list the bundled guest images", epilog=_EXAMPLES
    )
    parser.add_argument(
        "--json", action="store_true", help="a list of objects with name, path and summary"
    )


def carry_out(args: argparse.Namespace) -> int:
    """List the guests."""
    guests = bundled_guests()
    if args.json:
        listed = [{"name": g.name, "path": str(g.path), "summary": g.summary} for g in guests]
        print(json.dumps(listed, indent=2))
        return 0
    width = max(len(guest.name) for guest in guests)
    for guest in guests:
        print(f"guest:{guest.name:{width}}  {guest.summary}")
    print(f"\nNAME is the file {guests[0].path.parent}/NAME.elf")
    return 0
