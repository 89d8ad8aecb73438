"""What the simulation needs of a guest, whether it is a model or the real machine."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from ftvm.units import Nanoseconds

Draw = Callable[[], int]
"""Gives a byte that no guest can know beforehand."""


@dataclass(frozen=True)
class Past:
    """What the oracle knows of how a guest came about; no replica is told of it."""

    log: bytes
    output: bytes
    taken: bytes


NO_PAST = Past(b"", b"", b"")


class Guest(Protocol):
    """A guest that lives and writes its log, or lives on a log that is fed to it."""

    status: int | None
    """What it left with; None as long as it has not."""
    log: bytearray
    """All its log since its boot."""
    output: bytearray
    """All it has put out."""
    taken: bytearray
    """All input that it has taken."""
    made: list[tuple[int, int, bytes]]
    """Output since last looked at: count, log position, bytes."""
    took: list[tuple[int, int, int]]
    """Input taken since last looked at: offset, count, log position."""

    @property
    def count(self) -> int:
        """Instructions executed."""

    @property
    def used(self) -> int:
        """How much of the log it has written, or replayed."""

    def digest(self) -> bytes:
        """Return a digest of its state."""

    def past(self) -> Past:
        """Return what led to where it is."""

    def corrupt(self) -> None:
        """Flip a bit of its memory."""

    # --- live ---

    def go_live(self, draw: Draw, now: Nanoseconds) -> None:
        """Switch from log to world."""

    def pass_time(self, now: Nanoseconds, random: Random) -> None:
        """Note that its host's clock says `now`: a timer of its own may come due."""

    def inject(self, data: bytes) -> None:
        """Give it input."""

    def run(self, limit: int) -> None:
        """Execute up to `limit`, or until it sleeps or ends."""

    # --- replaying ---

    def feed(self, data: bytes) -> None:
        """Give it log."""

    def replay(self, limit: int) -> None:
        """Execute the log up to `limit` and all events there; DivergenceError if it is wrong."""


class Sender(Protocol):
    """A guest's state on its way to another node; as ftvm.machine.transfer.StateSender."""

    @property
    def allowance(self) -> int | None:
        """Instructions that the guest may execute in its next turn; None for any."""

    def next_piece(self) -> bytes | None:
        """Return the next piece; None when it is time to `finish`."""

    def finish(self) -> list[bytes]:
        """Return the last pieces; the guest stands still."""


class Receiver(Protocol):
    """Makes a guest of the pieces."""

    def feed(self, piece: bytes, past: Past) -> Guest | None:
        """Take a piece; return the guest with the last, DivergenceError if it is another."""


class GuestKind(Protocol):
    """One kind of guest."""

    @property
    def steps(self) -> int:
        """How many of its instructions do what one of the model's does."""

    @property
    def keys(self) -> bytes:
        """What is typed: the first key is answered with a number, which `q` leaves with."""

    def live(self, draw: Draw, now: Nanoseconds) -> Guest:
        """Boot one that writes its log."""

    def following(self) -> Guest:
        """Boot one that lives on a log."""

    def sender(self, guest: Guest) -> Sender:
        """Begin to send a guest's state."""

    def receiver(self) -> Receiver:
        """Be ready to take a guest's state."""


def replayed(kind: GuestKind, log: bytes, count: int) -> Guest:
    """Return one uninterrupted run by `log` to `count`; DivergenceError if there is none."""
    guest = kind.following()
    guest.feed(log)
    guest.replay(count)
    return guest
