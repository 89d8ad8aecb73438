"""Files for what a guest puts out beside its console: the other serial ports, port E9."""

import argparse
import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from ftvm.errors import HostError, UsageError
from ftvm.ui.parsers import file_name

if TYPE_CHECKING:  # loads the machine, which parsing needs not
    from ftvm.machine.channels import Stream
    from ftvm.runtime.sinks import Sink

STANDARD_OUTPUT = "-"
_STDOUT = 1

_OPTIONS = {
    "com2": "COM2, the serial port at 2f8h",
    "com3": "COM3, at 3e8h",
    "com4": "COM4, at 2e8h",
    "debugcon": "the debug console, port E9",
}


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Add --com2, --com3, --com4 and --debugcon."""
    for name, what in _OPTIONS.items():
        parser.add_argument(
            f"--{name}",
            metavar="FILE",
            type=file_name,
            help=f"write there what the guest sends to {what}; - for standard output",
        )


def add_screen_option(parser: argparse.ArgumentParser) -> None:
    """Add --screen."""
    parser.add_argument(
        "--screen",
        action="store_true",
        help="show the text screen instead of the serial console, and type on the keyboard; in a"
        " pipe the last screen is printed at the end",
    )


@contextlib.contextmanager
def open_streams(
    args: argparse.Namespace,
) -> Iterator[Mapping["Stream", "Sink"]]:
    """Open the files; UsageError says which cannot be. HostError comes of a disk that is full."""
    from ftvm.machine.channels import Stream

    streams = (Stream.COM2, Stream.COM3, Stream.COM4, Stream.DEBUG)
    with contextlib.ExitStack() as files:
        writers = {}
        names: dict[tuple[int, int], str] = {}
        for stream, name in zip(streams, _OPTIONS, strict=True):
            if (path := getattr(args, name)) is not None:
                file = files.enter_context(_open(path, name))
                about = os.fstat(file.fileno())
                other = names.setdefault((about.st_dev, about.st_ino), name)
                if other != name and stat.S_ISREG(about.st_mode) and path != STANDARD_OUTPUT:
                    raise UsageError(f"--{name} {path} is the file of --{other}: name another")
                writers[stream] = _writer(path, file)
        yield writers


def _open(path: str, name: str) -> BinaryIO:
    try:
        if path == STANDARD_OUTPUT:
            return os.fdopen(os.dup(_STDOUT), "wb", buffering=0)
        return open(path, "wb", buffering=0)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise UsageError(f"--{name} {path!r}: {reason}") from None


def _writer(path: str, file: BinaryIO) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise HostError(f"cannot write to {path}: {error.strerror}") from None

    return write
