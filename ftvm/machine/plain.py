"""Plain data as bytes: the canonical encoding of states, and back with a check.

Dataclasses of numbers, bytes, strings, tuples and None become MessagePack
arrays and maps in the order of their fields, so equal states are equal bytes.
"""

from typing import Any, TypeVar

import msgspec

from ftvm.errors import StateError

T = TypeVar("T")


def encode_plain(value: object) -> bytes:
    """Return the canonical bytes of plain data."""
    return msgspec.msgpack.encode(value)


def decode_plain(data: bytes, kind: type[T], what: str) -> T:
    """Return the `kind` that `data` encodes; StateError names `what` if it does not."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError(f"{what}: {error}") from None


def convert_plain(value: Any, kind: type[T], what: str) -> T:
    """Return as a `kind` what was decoded without knowing its type."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StateError(f"{what}: {error}") from None
