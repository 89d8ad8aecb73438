"""Typing into the screen: what is typed goes to the guest's keyboard."""

from typing import Protocol

from ftvm.machine.channels import Stream
from ftvm.runtime.transport import Transport
from ftvm.ui.keys import CODES_PER_BYTE_MAX, scan_codes


class Streams(Protocol):
    """What leads to a guest's streams, wherever that runs."""

    transport: Transport

    def room(self, stream: Stream) -> int:
        """How many bytes `write` takes now."""

    def write(self, data: bytes, stream: Stream) -> None:
        """Give the guest `data`."""


class Keyboard:
    """A line as `Input` wants it, that types."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.transport = streams.transport

    def room(self) -> int:
        """How many bytes can be typed now."""
        return self._streams.room(Stream.KEYBOARD) // CODES_PER_BYTE_MAX

    def write(self, data: bytes) -> None:
        """Type `data`."""
        self._streams.write(scan_codes(data), Stream.KEYBOARD)
