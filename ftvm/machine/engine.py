"""What executes guests here, by name: two machines of one name do the same with the same log."""

from typing import Final

from ftvm import __version__

ENGINE: Final = f"ftvm {__version__}, unicorn 2.1.4"
