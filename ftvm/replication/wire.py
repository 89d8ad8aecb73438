"""Kinds of field: how one value of a message lies on the wire, and what is legal.

Numbers are big-endian. Reading is strict, because the bytes come from a peer:
whatever is not exactly one legal value is a ProtocolError. Writing is strict
too, but what is wrong there is our own fault: a ValueError.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from ftvm.errors import ProtocolError


class Reader:
    """Takes the payload of one message apart, from front to back."""

    def __init__(self, payload: bytes) -> None:
        """Read `payload`, which the frame has already bounded."""
        self._payload = payload
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._payload) - self._at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes; ProtocolError if there are fewer."""
        if size > self.left:
            raise ProtocolError(f"field of {size} bytes where {self.left} are left")
        self._at += size
        return self._payload[self._at - size : self._at]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as an unsigned number."""
        return int.from_bytes(self.take(size), "big")


class FieldKind(Protocol):
    """How values of one kind are written and read."""

    def put(self, value: Any) -> bytes:
        """Return the wire form of `value`; ValueError if it has none."""

    def get(self, reader: Reader) -> Any:
        """Return the next value; ProtocolError if the bytes are not one."""


@dataclass(frozen=True)
class Unsigned:
    """A number of `size` bytes, from 0 up."""

    size: int

    def put(self, value: int) -> bytes:
        """Write `value`."""
        if not 0 <= value < 1 << 8 * self.size:
            raise ValueError(f"{value} does not fit in {self.size} bytes")
        return value.to_bytes(self.size, "big")

    def get(self, reader: Reader) -> int:
        """Read a number; every pattern of bits is one."""
        return reader.number(self.size)


@dataclass(frozen=True)
class Flag:
    """Yes or no: the byte 1 or 0, and no other."""

    def put(self, value: bool) -> bytes:
        """Write `value`."""
        return b"\1" if value else b"\0"

    def get(self, reader: Reader) -> bool:
        """Read a byte that is 0 or 1."""
        byte = reader.number(1)
        if byte > 1:
            raise ProtocolError(f"flag of value {byte}, where 0 and 1 are legal")
        return byte == 1


@dataclass(frozen=True)
class Choice:
    """One member of an enumeration, as a byte."""

    members: type[IntEnum]

    def put(self, value: IntEnum) -> bytes:
        """Write `value`."""
        return bytes([self.members(value)])

    def get(self, reader: Reader) -> IntEnum:
        """Read a byte that is the value of a member."""
        byte = reader.number(1)
        try:
            return self.members(byte)
        except ValueError:
            raise ProtocolError(f"{self.members.__name__} has no value {byte}") from None


@dataclass(frozen=True)
class Fixed:
    """Exactly `size` bytes, such as a hash."""

    size: int

    def put(self, value: bytes) -> bytes:
        """Write `value`."""
        if len(value) != self.size:
            raise ValueError(f"{len(value)} bytes where {self.size} are needed")
        return value

    def get(self, reader: Reader) -> bytes:
        """Read `size` bytes."""
        return reader.take(self.size)


@dataclass(frozen=True)
class Blob:
    """Up to `size_max` opaque bytes behind their length in four bytes."""

    size_max: int

    def put(self, value: bytes) -> bytes:
        """Write `value`."""
        if len(value) > self.size_max:
            raise ValueError(f"{len(value)} bytes where {self.size_max} are the limit")
        return len(value).to_bytes(4, "big") + value

    def get(self, reader: Reader) -> bytes:
        """Read a length and that many bytes."""
        size = reader.number(4)
        if size > self.size_max:
            raise ProtocolError(f"{size} bytes of data where {self.size_max} are the limit")
        return reader.take(size)


@dataclass(frozen=True)
class Text:
    """One line of up to `size_max` bytes of UTF-8 behind its length in two bytes.

    Printable characters only: it ends up in a log or on a terminal, where a
    peer's line feeds and escape sequences have no business.
    """

    size_max: int

    def put(self, value: str) -> bytes:
        """Write `value`."""
        encoded = value.encode()
        if len(encoded) > self.size_max or not value.isprintable():
            raise ValueError(f"not one printable line of {self.size_max} bytes: {value!r}")
        return len(encoded).to_bytes(2, "big") + encoded

    def get(self, reader: Reader) -> str:
        """Read a length and that many bytes of printable text."""
        size = reader.number(2)
        if size > self.size_max:
            raise ProtocolError(f"{size} bytes of text where {self.size_max} are the limit")
        try:
            text = reader.take(size).decode()
        except UnicodeDecodeError:
            raise ProtocolError("text that is not UTF-8") from None
        if not text.isprintable():
            raise ProtocolError("text with characters that are not printable")
        return text

    def fit(self, text: str) -> str:
        """Make any text legal: one line, printable, cut to the limit."""
        line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
        return line.encode()[: self.size_max].decode(errors="ignore")


@dataclass(frozen=True)
class Offsets:
    """Up to `entries_max` pairs of channel number and stream offset, channels ascending."""

    entries_max: int

    def put(self, value: Iterable[tuple[int, int]]) -> bytes:
        """Write the pairs."""
        pairs = list(value)
        channels = [channel for channel, _ in pairs]
        if len(pairs) > self.entries_max or channels != sorted(set(channels)):
            raise ValueError(f"channels {channels}: too many, or not ascending")
        body = (Unsigned(2).put(channel) + Unsigned(8).put(offset) for channel, offset in pairs)
        return bytes([len(pairs)]) + b"".join(body)

    def get(self, reader: Reader) -> tuple[tuple[int, int], ...]:
        """Read a number of pairs and the pairs."""
        size = reader.number(1)
        if size > self.entries_max:
            raise ProtocolError(f"{size} channels where {self.entries_max} are the limit")
        pairs = tuple((reader.number(2), reader.number(8)) for _ in range(size))
        channels = [channel for channel, _ in pairs]
        if channels != sorted(set(channels)):
            raise ProtocolError("channels that are not in ascending order")
        return pairs
