"""Messages to frames and back.

A frame, numbers big-endian::

    0               4         5      6
    +---------------+---------+------+-----------------+
    | length        | version | type | fields in order |
    +---------------+---------+------+-----------------+
                    |<---------- length -------------->|

The version stands in every frame, not only in a greeting, so that a capture
that begins in the middle can be read, and a foreign peer is told apart by its
first bytes.
"""

from enum import Enum
from typing import get_type_hints

from ftvm.errors import ProtocolError
from ftvm.replication.messages import (
    CONSOLE_MESSAGES,
    DATA_BYTES_MAX,
    LOGGING_MESSAGES,
    STATUS_MESSAGES,
    ConsoleHello,
    Hello,
    Message,
    StatusWanted,
)
from ftvm.replication.wire import FieldKind, Reader

PROTOCOL_VERSION = 1
LENGTH_BYTES = 4
HEADER_BYTES = LENGTH_BYTES + 2
FRAME_BYTES_MAX = DATA_BYTES_MAX + 1024
"""Largest legal length field: the largest payload and room for the fields beside it."""


def _fields_of(message: type[Message]) -> tuple[tuple[str, FieldKind], ...]:
    hints = get_type_hints(message, include_extras=True)
    return tuple((name, hints[name].__metadata__[0]) for name in message.__struct_fields__)


FIELDS = {
    message: _fields_of(message)
    for message in LOGGING_MESSAGES + CONSOLE_MESSAGES + STATUS_MESSAGES
}
"""Name and kind of each field of each message, in the order of the wire."""


def encode(message: Message) -> bytes:
    """Return the frame of `message`; ValueError if a field has no legal wire form."""
    fields = [kind.put(getattr(message, name)) for name, kind in FIELDS[type(message)]]
    length = sum(map(len, fields)) + HEADER_BYTES - LENGTH_BYTES
    header = length.to_bytes(LENGTH_BYTES, "big") + bytes([PROTOCOL_VERSION, message.CODE])
    return b"".join((header, *fields))


class FrameDecoder:
    """Turns the bytes of one direction of one connection into messages.

    Holds at most one incomplete frame beyond what one `feed` brought.
    """

    def __init__(self, channel: str, messages: tuple[type[Message], ...]) -> None:
        """Accept `messages` and no others; `channel` names the connection in errors."""
        self._channel = channel
        self._messages = {message.CODE: message for message in messages}
        self._buffer = bytearray()
        self._fault: str | None = None

    @classmethod
    def for_logging(cls) -> "FrameDecoder":
        """Return a decoder for the logging channel."""
        return cls("logging", LOGGING_MESSAGES)

    @classmethod
    def for_console(cls) -> "FrameDecoder":
        """Return a decoder for the console channel."""
        return cls("console", CONSOLE_MESSAGES)

    @classmethod
    def for_status(cls) -> "FrameDecoder":
        """Return a decoder for the status channel."""
        return cls("status", STATUS_MESSAGES)

    def feed(self, data: bytes) -> None:
        """Add bytes as they come from the connection, in any pieces."""
        if self._fault is None:
            self._buffer += data

    def next_message(self) -> Message | None:
        """Return the next whole message, or None when more bytes are needed.

        Raises:
            ProtocolError: these bytes are no message; said again by every
                later call, because there is no way to find the next frame.
        """
        if self._fault is not None:
            raise ProtocolError(self._fault)
        try:
            return self._next_message()
        except ProtocolError as error:
            self._fault = str(error)
            self._buffer.clear()
            raise

    def _next_message(self) -> Message | None:
        # Each header byte is judged as soon as it is there: a stranger who
        # sends four bytes and stops is told apart at once.
        buffer = self._buffer
        if len(buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
        if not HEADER_BYTES - LENGTH_BYTES <= length <= FRAME_BYTES_MAX:
            raise ProtocolError(
                f"frame of {length} bytes on the {self._channel} channel, where 2 to"
                f" {FRAME_BYTES_MAX} are legal; the peer does not speak this protocol"
            )
        if len(buffer) > LENGTH_BYTES and buffer[LENGTH_BYTES] != PROTOCOL_VERSION:
            raise ProtocolError(
                f"peer speaks protocol version {buffer[LENGTH_BYTES]}, we speak"
                f" {PROTOCOL_VERSION}; install the same ftvm on both sides"
            )
        if len(buffer) < HEADER_BYTES:
            return None
        message = self._messages.get(buffer[HEADER_BYTES - 1])
        if message is None:
            raise ProtocolError(
                f"message of type {buffer[HEADER_BYTES - 1]} is unknown"
                f" on the {self._channel} channel"
            )
        if len(buffer) < LENGTH_BYTES + length:
            return None
        payload = memoryview(buffer)[HEADER_BYTES : LENGTH_BYTES + length].tobytes()
        del buffer[: LENGTH_BYTES + length]
        return _decode(message, payload)


class Kind(Enum):
    """Which channel a connection is, told by the first message of him who connects."""

    LOGGING = Hello
    CONSOLE = ConsoleHello
    STATUS = StatusWanted


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of the connection that begins with `start`; None if more is needed.

    ProtocolError if what begins there is no greeting of any channel.
    """
    greetings = FrameDecoder("unknown", tuple(kind.value for kind in Kind))
    greetings.feed(start[:HEADER_BYTES])
    greetings.next_message()
    if len(start) < HEADER_BYTES:
        return None
    return next(kind for kind in Kind if start[HEADER_BYTES - 1] == kind.value.CODE)


def _decode(message: type[Message], payload: bytes) -> Message:
    reader = Reader(payload)
    values = {}
    for name, kind in FIELDS[message]:
        try:
            values[name] = kind.get(reader)
        except ProtocolError as error:
            raise ProtocolError(f"{message.__name__}.{name}: {error}") from None
    if reader.left:
        raise ProtocolError(f"{message.__name__} with {reader.left} bytes after its last field")
    return message(**values)
