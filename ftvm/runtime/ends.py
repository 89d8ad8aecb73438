"""How a guest ended, and the one number that says it on the wire."""

import enum


class End(enum.IntEnum):
    """How a guest ended; the number is the high part of the status on the wire."""

    EXIT = 0
    HALT = 1
    TRIPLE_FAULT = 2
    RESET = 3
    OFF = 4

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.name.lower().replace("_", " ")


def pack_end(end: End, value: int) -> int:
    """Return the status that tells both, for the wire."""
    return end << 8 | value


def unpack_end(status: int) -> tuple[End, int]:
    """Return how the guest ended and the exit status that it stands for."""
    return End(status >> 8), status & 0xFF
