"""Input that has arrived at a node, in pieces, until its guest wants it."""

from collections import deque

from ftvm.machine.channels import Stream
from ftvm.replication.events import InputArrived
from ftvm.runtime.guest import INPUT_PIECE_BYTES, Guest
from ftvm.units import StreamOffset


class Arrivals:
    """A queue for each stream: one that the guest does not read keeps no other waiting."""

    def __init__(self) -> None:
        self._queues: dict[Stream, deque[InputArrived]] = {stream: deque() for stream in Stream}

    def add(self, arrived: InputArrived) -> None:
        """Take what has arrived."""
        queue = self._queues[Stream(arrived.channel)]
        for start in range(0, len(arrived.data), INPUT_PIECE_BYTES):
            data = arrived.data[start : start + INPUT_PIECE_BYTES]
            offset = StreamOffset(arrived.offset + start)
            queue.append(InputArrived(arrived.channel, offset, data))

    def wanted_by(self, guest: Guest) -> bool:
        """Whether there is something for the guest."""
        return any(queue and guest.wants_input(s) for s, queue in self._queues.items())

    def next_for(self, guest: Guest) -> InputArrived | None:
        """Take out what the guest wants next, None if there is nothing."""
        for stream, queue in self._queues.items():
            if queue and guest.wants_input(stream):
                return queue.popleft()
        return None
