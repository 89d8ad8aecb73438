"""What happened to the connections of a transport."""

import msgspec

from ftvm.replication.events import Link


class Accepted(msgspec.Struct, frozen=True):
    """Somebody connected to the listener called `listener`, one of the pair if that is asked."""

    link: Link
    listener: str


class Received(msgspec.Struct, frozen=True):
    """Bytes came."""

    link: Link
    data: bytes


class Closed(msgspec.Struct, frozen=True):
    """The connection is gone, by the other side or by an error."""

    link: Link
    why: str = ""
    """What was in the way, if it was not the other side's wish."""
    is_stranger: bool = False
    """Whether somebody is there, and he or we do not take the other for one of the pair."""


class Refused(msgspec.Struct, frozen=True):
    """A connection was given up because of who or how the other side is: for the log alone."""

    text: str


Happening = Accepted | Received | Closed | Refused
