"""The host's time."""

import time

from ftvm.units import Nanoseconds


def now_ns() -> Nanoseconds:
    """Return the host's monotonic time, that all processes of a host share."""
    return Nanoseconds(time.monotonic_ns())
