"""Looks names up on threads of their own, so that a slow name service stops no heartbeat."""

import os
import queue
import socket
import threading

from ftvm.errors import HostError
from ftvm.runtime.addresses import Address

Place = tuple[socket.AddressFamily, tuple[str, int]]
"""What a socket connects to."""


class Resolver:
    """One question at a time for each address, however many ask it.

    `descriptor` is readable when there is an answer for `answer`. A name service
    that never answers holds up one thread for each name, which dies with the
    process.
    """

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[tuple[Address, list[Place] | HostError]] = (
            queue.SimpleQueue()
        )
        self._asked: set[Address] = set()
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)

    def ask(self, address: Address) -> None:
        """Begin to look an address up, unless that has begun already."""
        if address not in self._asked:
            self._asked.add(address)
            name = f"look up {address.host}"
            threading.Thread(target=self._look_up, args=(address,), name=name, daemon=True).start()

    def answer(self) -> tuple[Address, list[Place] | HostError]:
        """Return the answer that made `descriptor` readable."""
        os.eventfd_read(self.descriptor)
        address, found = self._answers.get_nowait()
        self._asked.discard(address)
        return address, found

    def _look_up(self, address: Address) -> None:
        try:
            self._answers.put((address, address.resolve()))
        except HostError as error:
            self._answers.put((address, error))
        os.eventfd_write(self.descriptor, 1)
