"""The times that `ftvm run` and `ftvm serve` can be given: loss, and lag."""

import argparse

from ftvm.ui.arguments import parse_time
from ftvm.units import Nanoseconds

_FAILURE_TIMEOUT_MS_MIN = 100
_LAG_BOUND_MS_MIN = 10


def add_pace_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    parser.add_argument(
        "--failure-timeout",
        metavar="TIME",
        default="2s",
        help="silence after which a replica counts as lost (2s)",
    )
    parser.add_argument(
        "--lag-bound",
        metavar="TIME",
        help="how far a backup may be behind; its primary goes slower before (250ms)",
    )


def find_pace(args: argparse.Namespace) -> tuple[Nanoseconds, Nanoseconds]:
    """Return failure timeout and lag bound; UsageError if they are none."""
    return (
        parse_time("--failure-timeout", args.failure_timeout, _FAILURE_TIMEOUT_MS_MIN),
        parse_time("--lag-bound", args.lag_bound or "250ms", _LAG_BOUND_MS_MIN),
    )
