"""`ftvm demo`: the main job, driven and judged by itself."""

import argparse
import json
import secrets

from ftvm.ui.parsers import Subparsers, add_command, natural
from ftvm.ui.record_options import add_record_option, find_record

_DESCRIPTION = """\
Boots the bundled guest `counter` with primary and backup, has it add 1 some
hundred times through its console, kills the primary with SIGKILL at a random
moment in the middle, and judges what the console saw: every increment applied
exactly once, no output lost, doubled or contradicted, the replicas equal."""

_EPILOG = """\
The seed chooses after which answer and how many microseconds later the primary
dies, and how the keys are bundled. Exit status: 0 if the judgement holds, 1 if
it does not, 125 if the host failed, 130 for Ctrl-C.

examples:
  ftvm demo
  ftvm demo --seed 7 --record demo.run
  ftvm demo --json | jq .checks"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "demo",
        carry_out,
        "kill the primary of a guest, see the guest live on",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--seed", type=natural, metavar="N", help="repeat the choice of the moment")
    add_record_option(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def carry_out(args: argparse.Namespace) -> int:
    """Run the demo and show it."""
    # Loaded here, so that help and completion need not wait for it.
    import msgspec

    from ftvm.ui.demo_drive import Drive, Plan
    from ftvm.ui.demo_judge import judge
    from ftvm.ui.demo_screen import DemoScreen
    from ftvm.ui.images import find_image

    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    screen = DemoScreen(quiet=args.json)
    screen.begin(seed)
    with screen:
        image = find_image("guest:counter")
        drive = Drive(Plan.from_seed(seed), image, screen, find_record(args))
        course = drive.run()
    verdict = judge(course)
    if args.json:
        print(json.dumps(msgspec.to_builtins(verdict), indent=2))
    else:
        screen.show(course, verdict)
    return 0 if verdict.holds else 1
