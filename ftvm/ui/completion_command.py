"""`ftvm completion`: teaches a shell to complete ftvm's command line."""

import argparse
from collections.abc import Mapping

from ftvm.ui.parsers import Subparsers, add_command, directory_name, file_name, input_file

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

    parser = make_parser()
    _complete_names(
        parser, {file_name: shtab.FILE, input_file: shtab.FILE, directory_name: shtab.DIRECTORY}
    )
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _complete_names(parser: argparse.ArgumentParser, ways: Mapping[object, object]) -> None:
    """Say what is completed as the name of a file or directory, by the type that it has."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for listed in action._choices_actions:
                command = action.choices[listed.dest]
                command.description = listed.help  # one line for a list, not a paragraph's first
                _complete_names(command, ways)
        elif action.type in ways:
            action.complete = ways[action.type]  # type: ignore[attr-defined]  # which shtab reads
