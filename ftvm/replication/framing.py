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

Most messages are numbers, and some have data behind them. Such a one is written
and read in one piece; only what is not exactly right is gone through field by
field, to say what is wrong.
"""

from enum import Enum
from struct import Struct, error
from typing import get_type_hints

from msgspec.structs import astuple

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
from ftvm.replication.wire import Blob, FieldKind, Flag, Reader, Unsigned

PROTOCOL_VERSION = 1
LENGTH_BYTES = 4
HEADER_BYTES = LENGTH_BYTES + 2
FRAME_BYTES_MAX = DATA_BYTES_MAX + 1024
"""Largest legal length field: the largest payload and room for the fields beside it."""
_LENGTHS = range(HEADER_BYTES - LENGTH_BYTES, FRAME_BYTES_MAX + 1)


def _fields_of(message: type[Message]) -> tuple[tuple[str, FieldKind], ...]:
    hints = get_type_hints(message, include_extras=True)
    return tuple((name, hints[name].__metadata__[0]) for name in message.__struct_fields__)


FIELDS = {
    message: _fields_of(message)
    for message in LOGGING_MESSAGES + CONSOLE_MESSAGES + STATUS_MESSAGES
}
"""Name and kind of each field of each message, in the order of the wire."""


_HEADER = Struct(">IBB")
_CODES: dict[FieldKind, str] = {
    Unsigned(1): "B",
    Unsigned(2): "H",
    Unsigned(4): "I",
    Unsigned(8): "Q",
    Flag(): "?",
}


class _Packing:
    """How messages of one kind are written and read in one piece."""

    def __init__(self, message: type[Message], codes: str, data_bytes_max: int | None) -> None:
        """Fields of `codes`, and data of up to so many bytes behind them if it is not None."""
        self._message = message
        self._data_bytes_max = data_bytes_max
        fields = codes if data_bytes_max is None else codes + "I"
        self._fields = Struct(f">{fields}")
        self._frame = Struct(f"{_HEADER.format}{fields}")
        self._length = self._frame.size - LENGTH_BYTES
        self._data_at = self._frame.size
        flags = [at for at, code in enumerate(codes) if code == "?"]
        self._flags = [Struct(f"{_HEADER.format}{codes[:at]}").size for at in flags]

    @classmethod
    def of(cls, message: type[Message]) -> "_Packing | None":
        """Return it; None if there are fields of other kinds."""
        kinds = [kind for _, kind in FIELDS[message]]
        data_bytes_max = None
        if kinds and isinstance(kinds[-1], Blob):
            data_bytes_max = kinds[-1].size_max
            kinds = kinds[:-1]
        if not all(kind in _CODES for kind in kinds):
            return None
        return cls(message, "".join(_CODES[kind] for kind in kinds), data_bytes_max)

    def put(self, message: Message) -> bytes | None:
        """Return the frame; None if a field has no legal wire form."""
        values, data, length = astuple(message), b"", self._length
        if self._data_bytes_max is not None:
            data = values[-1]
            if len(data) > self._data_bytes_max:
                return None
            values = (*values[:-1], len(data))
            length += len(data)
        try:
            return self._frame.pack(length, PROTOCOL_VERSION, message.CODE, *values) + data
        except error:
            return None

    def get(self, buffer: bytearray, end: int) -> Message | None:
        """Return the message of the frame up to `end`; None if that is not exactly right."""
        data_at = self._data_at
        if end < data_at:
            return None
        for at in self._flags:
            if buffer[at] > 1:
                return None
        values = self._fields.unpack_from(buffer, HEADER_BYTES)
        if self._data_bytes_max is None:
            return self._message(*values) if end == data_at else None
        *numbers, size = values
        if size != end - data_at or size > self._data_bytes_max:
            return None
        return self._message(*numbers, bytes(buffer[data_at:end]))


_PACKINGS = {kind: packing for kind in FIELDS if (packing := _Packing.of(kind)) is not None}


def encode(message: Message) -> bytes:
    """Return the frame of `message`; ValueError if a field has no legal wire form."""
    packing = _PACKINGS.get(type(message))
    if packing is not None and (frame := packing.put(message)) is not None:
        return frame
    fields = [kind.put(getattr(message, name)) for name, kind in FIELDS[type(message)]]
    length = sum(map(len, fields)) + HEADER_BYTES - LENGTH_BYTES
    return b"".join((_HEADER.pack(length, PROTOCOL_VERSION, message.CODE), *fields))


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
        if not self._buffer:
            return None
        try:
            return self._next_message(self._buffer)
        except ProtocolError as error:
            self._fault = str(error)
            self._buffer.clear()
            raise

    def _next_message(self, buffer: bytearray) -> Message | None:
        if len(buffer) < HEADER_BYTES:
            self._judge(buffer)
            return None
        length, version, code = _HEADER.unpack_from(buffer)
        message = self._messages.get(code)
        if message is None or version != PROTOCOL_VERSION or length not in _LENGTHS:
            self._judge(buffer)
            return None
        end = LENGTH_BYTES + length
        if len(buffer) < end:
            return None
        packing = _PACKINGS.get(message)
        made = None if packing is None else packing.get(buffer, end)
        if made is None:
            made = _decode(message, bytes(buffer[HEADER_BYTES:end]))
        del buffer[:end]
        return made

    def _judge(self, header: bytearray) -> None:
        """Raise ProtocolError for the first wrong thing in what is there of a header.

        Each byte is judged as soon as it is there: a stranger who sends four
        bytes and stops is told apart at once.
        """
        if len(header) < LENGTH_BYTES:
            return
        length = int.from_bytes(header[:LENGTH_BYTES], "big")
        if length not in _LENGTHS:
            raise ProtocolError(
                f"frame of {length} bytes on the {self._channel} channel, where {_LENGTHS[0]} to"
                f" {FRAME_BYTES_MAX} are legal; the peer does not speak this protocol"
            )
        if len(header) > LENGTH_BYTES and header[LENGTH_BYTES] != PROTOCOL_VERSION:
            raise ProtocolError(
                f"peer speaks protocol version {header[LENGTH_BYTES]}, we speak"
                f" {PROTOCOL_VERSION}; install the same ftvm on both sides"
            )
        if len(header) >= HEADER_BYTES and header[HEADER_BYTES - 1] not in self._messages:
            raise ProtocolError(
                f"message of type {header[HEADER_BYTES - 1]} is unknown"
                f" on the {self._channel} channel"
            )


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
