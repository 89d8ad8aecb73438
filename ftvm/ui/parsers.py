"""What the parsers of all commands have in common."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # generic for the type checker only
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = argparse._SubParsersAction


def add_command(
    commands: Subparsers,
    name: str,
    carry_out: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    description: str = "",
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a command that is done by `carry_out`, with its help."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(carry_out=carry_out)
    return parser
