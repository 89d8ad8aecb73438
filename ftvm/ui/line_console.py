"""Where styled lines go that a pipe may end."""

from typing import NoReturn

from rich.console import Console


class LineConsole(Console):
    """Standard output for lines as they are: not wrapped, and coloured by what they say only."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command line to end with the status that it has for this."""
        raise BrokenPipeError
