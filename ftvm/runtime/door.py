"""Where strangers wait: their sockets, served one by one, in a bounded share of our time.

A handshake costs a signature and more, and whoever connects can ask for one.
So what is done for strangers is metered; when they have used up what they may,
nobody looks at them until enough time has passed. Those who are already in do
not notice.
"""

import select
import time
from collections.abc import Callable
from fractions import Fraction

from ftvm.units import Nanoseconds

SHARE_MAX = Fraction(1, 10)
"""Of one processor's time, in the long run."""
ALLOWANCE_NS_MAX = Nanoseconds(50_000_000)
"""What may be used at once: some dozens of handshakes, so that a pair's own never wait."""


class Door:
    """Descriptors of strangers.

    `descriptor` is readable when `attend` has something to do, whether or not
    it may be done now: do not watch it before `shut_until`.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._allowance_ns = int(ALLOWANCE_NS_MAX)
        self._metered_at = time.monotonic_ns()
        self.shut_until: int | None = None
        """Host time in ns; None if somebody may be attended to now."""

    @property
    def descriptor(self) -> int:
        """For another selector."""
        return self._epoll.fileno()

    def add(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call `readable` when a descriptor is and its turn has come."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = readable

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor, which is still open; no matter if it is none of ours."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def attend(self) -> None:
        """Serve the one who has waited longest."""
        start_ns = time.thread_time_ns()
        # The kernel puts whoever it has named behind all others that are ready.
        for descriptor, _ in self._epoll.poll(0, 1):
            self._callbacks[descriptor]()
        self._meter(time.thread_time_ns() - start_ns)

    def open_if_due(self, now: int) -> bool:
        """Whether a door that was shut has become open."""
        if self.shut_until is None or now < self.shut_until:
            return False
        self.shut_until = None
        return True

    def _meter(self, used_ns: int) -> None:
        now = time.monotonic_ns()
        earned_ns = int((now - self._metered_at) * SHARE_MAX)
        self._metered_at = now
        left_ns = min(self._allowance_ns + earned_ns, ALLOWANCE_NS_MAX) - used_ns
        self._allowance_ns = left_ns
        if left_ns < 0:
            self.shut_until = now + int(-left_ns / SHARE_MAX)
