"""Connections on a primary's logging channel that are no backup yet.

Each must greet in time. A primary that waits for its generation can say neither
yes nor no: whoever greets meanwhile waits too, and is told by heartbeats that
somebody is there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ftvm.errors import ProtocolError
from ftvm.replication.events import Close, Event, Link, Send
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.messages import DETAIL, Goodbye, Heartbeat, Hello, Reason
from ftvm.replication.pulse import Pulse
from ftvm.replication.settings import Settings
from ftvm.units import Nanoseconds


@dataclass
class Candidate:
    """A connection that may become the backup's."""

    link: Link
    greet_until: Nanoseconds
    decoder: FrameDecoder
    hello: Hello | None = None
    pulse: Pulse | None = None
    """Of one that has greeted and waits."""


class Reception:
    """Takes connections in, and gives them away once they have greeted."""

    def __init__(self, settings: Settings, emit: Callable[[Event], None]) -> None:
        self._settings = settings
        self._emit = emit
        self._candidates: dict[Link, Candidate] = {}

    def connected(self, link: Link, now: Nanoseconds) -> None:
        """Take a new connection."""
        greet_until = Nanoseconds(now + self._settings.greeting_timeout_ns)
        self._candidates[link] = Candidate(link, greet_until, FrameDecoder.for_logging())

    def owns(self, link: Link) -> bool:
        """Whether `link` is one of the connections here."""
        return link in self._candidates

    def closed(self, link: Link) -> None:
        """Forget a connection that is gone, or somebody else's now."""
        self._candidates.pop(link, None)

    def receive(self, link: Link, data: bytes, now: Nanoseconds) -> Candidate | None:
        """Take bytes; return who sent them if he has just greeted."""
        candidate = self._candidates[link]
        candidate.decoder.feed(data)
        try:
            if candidate.pulse is None:
                return self._greeted(candidate)
            candidate.pulse.heard(now)
            self._listen(candidate)
        except ProtocolError as error:
            self.refuse(link, str(error))
        return None

    def _greeted(self, candidate: Candidate) -> Candidate | None:
        message = candidate.decoder.next_message()
        if message is None:
            return None
        if not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before a greeting")
        candidate.hello = message
        return candidate

    def _listen(self, candidate: Candidate) -> None:
        while (message := candidate.decoder.next_message()) is not None:
            if isinstance(message, Goodbye):
                raise ProtocolError(f"it left: {message.detail}")
            if not isinstance(message, Heartbeat):
                raise ProtocolError(f"{type(message).__name__} without having been answered")
            if candidate.pulse is not None:
                candidate.pulse.felt(message)

    def keep_waiting(self, candidate: Candidate, now: Nanoseconds) -> None:
        """Keep one who has greeted until there is an answer for him."""
        candidate.pulse = Pulse(self._settings, now)

    def waiting(self) -> list[Candidate]:
        """Return those who have greeted and wait, in the order they came."""
        return [one for one in self._candidates.values() if one.pulse is not None]

    def refuse(self, link: Link, why: str) -> None:
        """Send a connection away."""
        del self._candidates[link]
        self._emit(Send(link, Goodbye(Reason.REFUSED, 0, DETAIL.fit(why))))
        self._emit(Close(link, why))

    def deadline(self) -> Nanoseconds | None:
        """When `tick` has something to do."""
        times = [
            one.greet_until if one.pulse is None else one.pulse.deadline()
            for one in self._candidates.values()
        ]
        return min(times, default=None)

    def tick(self, now: Nanoseconds) -> None:
        """Send away who does not greet, or is gone; tell the others that we are here."""
        for link, candidate in list(self._candidates.items()):
            pulse = candidate.pulse
            if pulse is None:
                if now >= candidate.greet_until:
                    self.refuse(link, "no greeting in time")
            elif pulse.silent(now):
                self.refuse(link, "heartbeats missed")
            elif pulse.beat_due(now):
                self._emit(Send(link, pulse.beat()))
