"""What a primary keeps of the connections on its logging channel, and of its own beginning."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ftvm.replication.console import ConsoleService
from ftvm.replication.events import Event, Link, LossCause, Send
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.lockstep import Lockstep
from ftvm.replication.messages import (
    DATA_BYTES_MAX,
    Channel,
    Entries,
    Exited,
    Handover,
    Heartbeat,
    Mark,
    Message,
    Released,
)
from ftvm.replication.protection import kept_outputs
from ftvm.replication.pulse import Pulse
from ftvm.replication.settings import Settings
from ftvm.replication.streams import OutputStream
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds


class Progress(Protocol):
    """What a backup is doing for us: following in lockstep, or taking our state."""

    def asked_at(self) -> Nanoseconds | None:
        """Since when it has not moved; None while nothing is asked of it."""


class Backup:
    """The connection to the other half of the pair, or to what is to become it."""

    def __init__(
        self,
        link: Link,
        node: str,
        decoder: FrameDecoder,
        pulse: Pulse,
        settings: Settings,
        emit: Callable[[Event], None],
    ) -> None:
        """Begin behind the greeting of `node`."""
        self.link, self.node = link, node
        self._decoder, self._pulse = decoder, pulse
        self._patience_ns = settings.stall_timeout_ns
        self._emit = emit
        self._unsent = bytearray()
        self._told: dict[Channel, Released] = {}

    def send(self, message: Message) -> None:
        """Send a message."""
        self._emit(Send(self.link, message))

    def hear(self, data: bytes, now: Nanoseconds) -> Iterator[Message]:
        """Take bytes; yield the whole messages in them, but no heartbeats. ProtocolError: junk."""
        # Any byte will do: on a slow link a message can take longer than silence may last.
        self._pulse.heard(now)
        self._decoder.feed(data)
        while (message := self._decoder.next_message()) is not None:
            if isinstance(message, Heartbeat):
                self._pulse.felt(message)
            else:
                yield message

    def _stalls_at(self, progress: Progress) -> Nanoseconds | None:
        since = progress.asked_at()
        return None if since is None else Nanoseconds(since + self._patience_ns)

    def deadline(self, progress: Progress) -> Nanoseconds:
        """When it has to be beaten for, or may have to be given up."""
        stalls_at = self._stalls_at(progress)
        due = self._pulse.deadline()
        return due if stalls_at is None else min(due, stalls_at)

    def loss(self, progress: Progress, now: Nanoseconds) -> LossCause | None:
        """Return why it counts as lost by now, if it does."""
        stalls_at = self._stalls_at(progress)
        if self._pulse.silent(now):
            return LossCause.SILENT
        return LossCause.STALLED if stalls_at is not None and now >= stalls_at else None

    def beat(self, count: InstructionCount, now: Nanoseconds) -> Send | None:
        """Return the word that we are alive, if it is time for it."""
        return Send(self.link, self._pulse.beat(count)) if self._pulse.beat_due(now) else None

    def add_log(self, data: bytes) -> None:
        """Take log that the next `send_log` or `publish` sends."""
        self._unsent += data

    def publish(self, lockstep: Lockstep, mark: Mark, now: Nanoseconds) -> bool:
        """Send the log made since the last mark, and a mark for where the machine stands.

        That waits until the mark is due; return whether it was.
        """
        lockstep.reached(mark.count, now)
        if not lockstep.mark_due(mark, now):
            return False
        self.mark(lockstep, mark, now)
        return True

    def mark(self, lockstep: Lockstep, mark: Mark, now: Nanoseconds) -> None:
        """Send the log that was not sent yet, and a mark, due or not."""
        self.send_log(mark.position)
        self.send(Mark(mark.count, mark.position, lockstep.awaited))
        lockstep.mark(mark, now)

    def send_log(self, end: LogPosition) -> None:
        """Send the log up to `end` that was not sent yet: all there is."""
        position = end - len(self._unsent)
        for start in range(0, len(self._unsent), DATA_BYTES_MAX):
            data = bytes(self._unsent[start : start + DATA_BYTES_MAX])
            self.send(Entries(LogPosition(position + start), data))
        self._unsent.clear()

    def tell_released(self, outputs: Mapping[Channel, OutputStream]) -> None:
        """Say what has arrived outside, if that is anything new.

        It goes along with marks and heartbeats: what the backup has not heard of
        is only made again at a failover, for nothing.
        """
        for channel, stream in outputs.items():
            told = self._told.get(channel)
            if told is None or (told.offset, told.wanted) != (stream.confirmed, stream.wanted):
                told = Released(channel, stream.confirmed, stream.wanted)
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
