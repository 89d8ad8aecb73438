"""Descriptors, and who is called when one of them is readable or writable."""

import os
import select
from collections.abc import Callable

from ftvm.runtime.clock import now_ns
from ftvm.units import Nanoseconds

READABLE, WRITABLE = 1, 2

_TO_EPOLL = {
    READABLE: select.EPOLLIN,
    READABLE | WRITABLE: select.EPOLLIN | select.EPOLLOUT,
}


class Poller:
    """What `selectors` does, in half the time: a pair waits behind each of its messages."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}

    @property
    def descriptor(self) -> int:
        """Readable when `poll` would find something."""
        return self._epoll.fileno()

    def add(self, descriptor: int, events: int, called: Callable[[int], None]) -> None:
        """Call `called` with what a descriptor is; `events` is READABLE, or it and WRITABLE."""
        self._epoll.register(descriptor, _TO_EPOLL[events])
        self._watched[descriptor] = events, called

    def change(self, descriptor: int, events: int) -> None:
        """Look for other events of a descriptor."""
        self._epoll.modify(descriptor, _TO_EPOLL[events])
        self._watched[descriptor] = events, self._watched[descriptor][1]

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor, which is still open; no matter if it is none of ours."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def poll(self, timeout: Nanoseconds | None) -> None:
        """Call whoever has to be called, after waiting for it at most `timeout`."""
        seconds = None if timeout is None else timeout / 1e9
        self._call(self._epoll.poll(seconds, max(len(self._watched), 1)))

    def poll_awake(self, timeout: Nanoseconds) -> None:
        """Do the same without sleeping."""
        look, most = self._epoll.poll, max(len(self._watched), 1)
        until = now_ns() + timeout
        while not (ready := look(0, most)) and now_ns() < until:
            os.sched_yield()  # whoever is to answer may be waiting for this processor
        self._call(ready)

    def _call(self, ready: list[tuple[int, int]]) -> None:
        for (events, called), event in [(self._watched[fd], event) for fd, event in ready]:
            # An error is both: whoever reads or writes next will find it.
            mask = READABLE if event & ~select.EPOLLOUT else 0
            if event & ~select.EPOLLIN:
                mask |= WRITABLE
            called(mask & events)
