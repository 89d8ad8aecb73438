"""`ftvm completion`: teaches a shell to complete ftvm's command line."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command

SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """\
where to put it:
  bash  ftvm completion bash > ~/.local/share/bash-completion/completions/ftvm
  zsh   ftvm completion zsh > DIR/_ftvm      with DIR in $fpath, before compinit
  fish  ftvm completion fish > ~/.config/fish/completions/ftvm.fish"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands, "completion", carry_out, "print a shell's completion script", epilog=_EXAMPLES
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


def carry_out(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # needed here alone

    from ftvm.ui.cli import make_parser  # which imports this module

    print(shtab.complete(make_parser(), shell=args.shell))
    return 0
