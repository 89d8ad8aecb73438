"""What a primary keeps of the connections on its logging channel, and of its own beginning."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ftvm.replication.console import ConsoleService
from ftvm.replication.events import Event, Link, Send
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.lockstep import Lockstep
from ftvm.replication.messages import (
    DATA_BYTES_MAX,
    Channel,
    Entries,
    Exited,
    Handover,
    Mark,
    Message,
    Released,
)
from ftvm.replication.protection import kept_outputs
from ftvm.replication.pulse import Pulse
from ftvm.replication.streams import OutputStream
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds


class Backup:
    """The connection to the other half of the pair, or to what is to become it."""

    def __init__(
        self,
        link: Link,
        node: str,
        decoder: FrameDecoder,
        pulse: Pulse,
        emit: Callable[[Event], None],
    ) -> None:
        """Begin behind the greeting of `node`."""
        self.link, self.node = link, node
        self.decoder, self.pulse = decoder, pulse
        self._emit = emit
        self._unsent = bytearray()
        self._told: dict[Channel, Released] = {}

    def send(self, message: Message) -> None:
        """Send a message."""
        self._emit(Send(self.link, message))

    def add_log(self, data: bytes) -> None:
        """Take log that the next `publish` sends."""
        self._unsent += data

    def publish(self, lockstep: Lockstep, mark: Mark, now: Nanoseconds) -> None:
        """Send the log made since the last mark, and a mark for where the machine stands.

        That waits while there are too many marks on their way.
        """
        lockstep.reached(mark.count, now)
        if mark == lockstep.marked or lockstep.full:
            return
        position = lockstep.marked.position
        for start in range(0, len(self._unsent), DATA_BYTES_MAX):
            data = bytes(self._unsent[start : start + DATA_BYTES_MAX])
            self.send(Entries(LogPosition(position + start), data))
        self._unsent.clear()
        self.send(mark)
        lockstep.mark(mark, now)

    def tell_released(self, outputs: Mapping[Channel, OutputStream]) -> None:
        """Say what has arrived outside, if that is anything new."""
        for channel, stream in outputs.items():
            told = Released(channel, stream.confirmed, stream.wanted)
            if told != self._told.get(channel):
                self._told[channel] = told
                self.send(told)

    def give_streams(self, given: Handover, outputs: Mapping[Channel, OutputStream]) -> None:
        """End a transfer: what is known of the outputs so far, and where all stands."""
        self.tell_released(outputs)
        for kept in kept_outputs(outputs):
            self.send(kept)
        self.send(given)


@dataclass(frozen=True)
class Takeover:
    """What a backup hands over when it goes live."""

    generation: Generation
    count: InstructionCount
    position: LogPosition
    console: ConsoleService
    exited: Exited | None
    events: deque[Event]
