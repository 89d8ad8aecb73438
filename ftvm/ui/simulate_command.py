"""`ftvm simulate`: runs in a world of seeded faults, one told in full or many counted."""

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ftvm.errors import UsageError
from ftvm.ui.images import find_image, read_image
from ftvm.ui.parsers import Subparsers, add_command, natural

if TYPE_CHECKING:
    from ftvm.simulation.oracle import Verdict
    from ftvm.simulation.world import Build

_DESCRIPTION = """\
Lets primary, backups, console and store live through seeded faults, in virtual
time: crashes, pauses, cut, slow and one-way links, a store that is away. The
protocol is the one of ftvm run; the guest is a model, in some schedules the
real machine. Then it judges: the console must have seen one uninterrupted run.

A seed is a schedule. It happens in the same way each time."""

_EPILOG = """\
exit status:
  0  all held
  1  a violation, which is told
  2  wrong options

examples:
  ftvm simulate                      # 100 schedules
  ftvm simulate --seed 17            # one, and its story
  ftvm simulate --seed 17 --verbose  # with every message
  ftvm simulate --from 1000 --schedules 5000 --json"""

_SCHEDULES = 100
_IMAGE = "guest:dice"


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "simulate",
        carry_out,
        "run simulated pairs under seeded faults",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--seed", type=natural, metavar="N", help="simulate one schedule and tell its story"
    )
    parser.add_argument(
        "--schedules",
        type=natural,
        metavar="N",
        help=f"how many schedules to simulate ({_SCHEDULES})",
    )
    parser.add_argument(
        "--from", type=natural, metavar="N", dest="first", help="the seed of the first of them (0)"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="with --seed: every message and every step too"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def carry_out(args: argparse.Namespace) -> int:
    """Simulate what is asked for."""
    if args.schedules == 0:
        raise UsageError("--schedules 0: give a number of 1 or more")
    if args.seed is None:
        if args.verbose:
            raise UsageError("--verbose tells more of one schedule: give --seed N too")
        return _simulate_many(args.first or 0, args.schedules or _SCHEDULES, as_json=args.json)
    if args.schedules is not None or args.first is not None:
        raise UsageError("--seed is one schedule: leave out --schedules and --from")
    return _simulate_one(args.seed, details=args.verbose, as_json=args.json)


def _build() -> "Build":
    from ftvm.simulation.machine import machine_kind
    from ftvm.simulation.world import Build

    return Build(machine=machine_kind(read_image(find_image(_IMAGE))))


def _simulate_one(seed: int, *, details: bool, as_json: bool) -> int:
    from ftvm.simulation.story import Story
    from ftvm.simulation.world import World
    from ftvm.ui.simulate_screen import show_story

    story = Story()
    verdict = World(seed, _build(), story).run()
    if as_json:
        moments = [dataclasses.asdict(moment) for moment in story.moments(details=details)]
        print(json.dumps({**_told(verdict), "story": moments}, indent=2))
    else:
        show_story(verdict, story.moments(details=details))
    return int(bool(verdict.violations))


def _simulate_many(first: int, schedules: int, *, as_json: bool) -> int:
    from ftvm.simulation.world import simulate
    from ftvm.ui.simulate_screen import Totals, TotalsScreen

    build, totals = _build(), Totals(first)
    with TotalsScreen(schedules, quiet=as_json) as screen:
        for seed in range(first, first + schedules):
            verdict = simulate(seed, build)
            totals.add(verdict)
            screen.judged(verdict, totals)
    if as_json:
        counts = dataclasses.asdict(totals)
        counts["violating"] = [_told(verdict) for verdict in totals.violating]
        print(json.dumps({"holds": not totals.violating, **counts}, indent=2))
    else:
        screen.show(totals)
    return int(bool(totals.violating))


def _told(verdict: "Verdict") -> dict[str, Any]:
    return {"holds": not verdict.violations, **dataclasses.asdict(verdict)}
