"""The one port of a host: whoever has proven himself says what he is here for.

The first frame tells the logging channel, the console channel and the status
channel apart. Questions for the status are answered here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ftvm.errors import ProtocolError
from ftvm.replication.events import Link
from ftvm.replication.framing import Kind, encode, kind_of
from ftvm.replication.messages import DETAIL, Goodbye, Reason
from ftvm.replication.settings import Settings
from ftvm.runtime.happenings import Accepted, Closed, Happening, Received, Refused
from ftvm.runtime.inquiries import Inquiries
from ftvm.runtime.refusals import RefusalLog
from ftvm.runtime.status import HostStatus
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds


@dataclass(frozen=True)
class Admitted:
    """A connection is here for `kind`; `let_in` returns what it has sent."""

    link: Link
    kind: Kind


@dataclass
class _Visitor:
    until: Nanoseconds
    """When it must have said what it wants."""
    heard: bytes = b""
    kind: Kind | None = None


class Entrance:
    """Keeps connections, and what they send, until somebody lets them in."""

    def __init__(
        self,
        transport: Transport,
        settings: Settings,
        status: Callable[[], HostStatus],
        refused: Callable[[str], None],
    ) -> None:
        """Answer with `status`; say one line by `refused` for whoever is turned away."""
        self._transport = transport
        self._patience_ns = settings.greeting_timeout_ns
        self._inquiries = Inquiries(transport, status)
        self._refused = refused
        self._refusals = RefusalLog()
        self._visitors: dict[Link, _Visitor] = {}

    def take(self, happening: Happening, now: Nanoseconds) -> Happening | Admitted | None:
        """Do what is for us to do; return what is for somebody else, if anything."""
        match happening:
            case Received(link, data):
                if self._inquiries.owns(link):
                    self._inquiries.receive(link, data)
                    return None
                if link in self._visitors:
                    return self._listen(link, data, now)
            case Refused(text):
                self._tell(text, now)
                return None
            case Accepted(link):
                self._visitors[link] = _Visitor(Nanoseconds(now + self._patience_ns))
                return None
            case Closed(link):
                self._inquiries.gone(link)
                self._visitors.pop(link, None)
        return happening

    def let_in(self, link: Link) -> bytes:
        """Forget a connection; return all that it has sent."""
        return self._visitors.pop(link).heard

    def turn_away(self, link: Link, why: str) -> None:
        """Tell a visitor why it cannot be let in, and close."""
        del self._visitors[link]
        self._transport.send(link, encode(Goodbye(Reason.REFUSED, 0, DETAIL.fit(why))))
        self._transport.close(link)

    def _throw_out(self, link: Link, why: str, now: Nanoseconds) -> None:
        """Turn away somebody who should not have come; that is worth a line."""
        self.turn_away(link, why)
        self._tell(f"a peer refused: {why}", now)

    def tick(self, now: Nanoseconds) -> None:
        """Turn away who took too long."""
        for link, visitor in list(self._visitors.items()):
            if visitor.kind is None and now >= visitor.until:
                self._throw_out(link, "it does not say what it wants", now)

    def deadline(self) -> Nanoseconds | None:
        """When to call `tick` next."""
        times = [visitor.until for visitor in self._visitors.values() if visitor.kind is None]
        return min(times, default=None)

    def _listen(self, link: Link, data: bytes, now: Nanoseconds) -> Admitted | None:
        visitor = self._visitors[link]
        known = visitor.kind
        visitor.heard += data
        try:
            visitor.kind = kind_of(visitor.heard)
        except ProtocolError as error:
            self._throw_out(link, str(error), now)
            return None
        if visitor.kind is Kind.STATUS:
            self._inquiries.came(link)
            self._inquiries.receive(link, self.let_in(link))
            return None
        if visitor.kind is None or visitor.kind is known:
            return None
        return Admitted(link, visitor.kind)

    def _tell(self, text: str, now: Nanoseconds) -> None:
        if (line := self._refusals.admit(text, now)) is not None:
            self._refused(line)
