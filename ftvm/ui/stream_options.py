"""Files for what a guest puts out and takes beside its console: serial ports, port E9."""

import argparse
import contextlib
import os
import stat
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from ftvm.errors import HostError, UsageError
from ftvm.ui.parsers import file_name

if TYPE_CHECKING:  # loads the machine, which parsing needs not
    from ftvm.machine.channels import Stream
    from ftvm.runtime.sinks import Sink

STANDARD_OUTPUT = "-"
_STDOUT = 1

_OPTIONS = {
    "com1": "COM1, with --screen",
    "com2": "COM2, the serial port at 2f8h",
    "com3": "COM3, at 3e8h",
    "com4": "COM4, at 2e8h",
    "debugcon": "the debug console, port E9",
}
_INPUTS = {name: name.upper() for name in ("com1", "com2", "com3", "com4")}


@dataclass(frozen=True)
class StreamFiles:
    """What was opened for a guest's streams: where they go, and descriptors of what is sent."""

    sinks: "Mapping[Stream, Sink]" = field(default_factory=dict)
    sources: "Mapping[Stream, int]" = field(default_factory=dict)


NO_FILES = StreamFiles()


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Add --com1 to --com4, --debugcon, and --com1-in to --com4-in."""
    for name, what in _OPTIONS.items():
        parser.add_argument(
            f"--{name}",
            metavar="FILE",
            type=file_name,
            help=f"write there what the guest sends to {what}; - for standard output",
        )
    for name, what in _INPUTS.items():
        parser.add_argument(
            f"--{name}-in",
            metavar="FILE",
            type=file_name,
            help=f"send it to the guest on {what}: a file, a FIFO (which has no end), a terminal",
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
def open_streams(args: argparse.Namespace) -> Iterator[StreamFiles]:
    """Open the files; UsageError says which cannot be. HostError comes of a disk that is full."""
    from ftvm.machine.channels import Stream

    if not args.screen and (args.com1 is not None or args.com1_in is not None):
        raise UsageError("COM1 is standard input and output: --com1 and --com1-in want --screen")
    streams = (Stream.CONSOLE, Stream.COM2, Stream.COM3, Stream.COM4, Stream.DEBUG)
    with contextlib.ExitStack() as files:
        sinks = {}
        names: dict[tuple[int, int], str] = {}
        for stream, name in zip(streams, _OPTIONS, strict=True):
            if (path := getattr(args, name)) is not None:
                file = files.enter_context(_open(path, name))
                about = os.fstat(file.fileno())
                other = names.setdefault((about.st_dev, about.st_ino), name)
                if other != name and stat.S_ISREG(about.st_mode) and path != STANDARD_OUTPUT:
                    raise UsageError(f"--{name} {path} is the file of --{other}: name another")
                sinks[stream] = _writer(path, file)
        sources = {
            stream: files.enter_context(_opened_to_read(path, f"{name}-in"))
            for stream, name in zip(streams[:-1], _INPUTS, strict=True)
            if (path := getattr(args, f"{name}_in")) is not None
        }
        yield StreamFiles(sinks, sources)


def _open(path: str, name: str) -> BinaryIO:
    try:
        if path == STANDARD_OUTPUT:
            return os.fdopen(os.dup(_STDOUT), "wb", buffering=0)
        return open(path, "wb", buffering=0)
    except (OSError, ValueError) as error:
        raise _not_opened(path, name, error) from None


@contextlib.contextmanager
def _opened_to_read(path: str, name: str) -> Iterator[int]:
    """Open what a guest is sent; a terminal passes on each byte as it is meanwhile.

    A FIFO is opened as if somebody wrote to it, so that one writer after the other can
    come and go.
    """
    try:
        how = os.O_RDWR if stat.S_ISFIFO(os.stat(path).st_mode) else os.O_RDONLY
        descriptor = os.open(path, how | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _not_opened(path, name, error) from None
    before = None
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise UsageError(f"--{name} {path!r}: Is a directory")
        if os.isatty(descriptor):
            before = termios.tcgetattr(descriptor)
            tty.setraw(descriptor, termios.TCSANOW)
        yield descriptor
    finally:
        if before is not None:
            with contextlib.suppress(termios.error):  # it has hung up
                termios.tcsetattr(descriptor, termios.TCSANOW, before)
        os.close(descriptor)


def _not_opened(path: str, name: str, error: OSError | ValueError) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else "not a file's name"
    return UsageError(f"--{name} {path!r}: {reason}")


def _writer(path: str, file: BinaryIO) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise HostError(f"cannot write to {path}: {error.strerror}") from None

    return write
