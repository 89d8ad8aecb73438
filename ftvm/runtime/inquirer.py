"""Asks several hosts how they are, as often as wanted."""

from collections.abc import Iterable

from ftvm.errors import ProtocolError
from ftvm.replication.events import Link
from ftvm.replication.framing import FrameDecoder, encode
from ftvm.replication.messages import Status, StatusWanted
from ftvm.runtime.addresses import Address
from ftvm.runtime.dialer import Dialer
from ftvm.runtime.happenings import Closed, Happening, Received
from ftvm.runtime.status import HostStatus, decode_status
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds


class Inquirer:
    """One question at a time to each host.

    `answers` and `troubles` are what came of the questions since `forget`.
    """

    def __init__(self, transport: Transport, addresses: Iterable[Address]) -> None:
        self.addresses = tuple(addresses)
        self._transport = transport
        self._dialer = Dialer(transport, self.addresses)
        self._asked: dict[Link, FrameDecoder] = {}
        self.answers: dict[Address, HostStatus] = {}

    @property
    def troubles(self) -> dict[Address, str]:
        """Why there is no answer, of hosts that cannot be asked."""
        return self._dialer.troubles

    @property
    def settled(self) -> bool:
        """Whether there is an answer or a trouble of every host."""
        return all(a in self.answers or a in self.troubles for a in self.addresses)

    def check_secret(self) -> None:
        """UsageError if nobody takes us for one of the pair, and somebody is there."""
        self._dialer.check_secret()

    def forget(self) -> None:
        """Ask everybody anew."""
        self.answers.clear()
        self.troubles.clear()
        for link in self._asked:
            self._transport.send(link, encode(StatusWanted()))

    def tend(self, now: Nanoseconds) -> None:
        """Connect to whom there is no connection, if it is time, and ask."""
        for link in self._dialer.dial(now):
            self._asked[link] = FrameDecoder.for_status()
            self._transport.send(link, encode(StatusWanted()))

    def deadline(self) -> Nanoseconds | None:
        """When to call `tend` next."""
        return self._dialer.deadline()

    def take(self, happening: Happening) -> bool:
        """Take what happened, if it is for us."""
        match happening:
            case Received(link, data) if link in self._asked:
                self._hear(link, data)
            case Closed(link, why, is_stranger) if link in self._asked:
                self._gone(link, why, is_stranger)
            case _:
                return False
        return True

    def end(self) -> None:
        """Close all connections."""
        self._dialer.hang_up()
        self._asked.clear()

    def _hear(self, link: Link, data: bytes) -> None:
        decoder = self._asked[link]
        decoder.feed(data)
        try:
            while (message := decoder.next_message()) is not None:
                if not isinstance(message, Status):
                    raise ProtocolError(f"{type(message).__name__} is no status")
                self.answers[self._dialer.address_of(link)] = decode_status(message.report)
                self._dialer.answered(link)
        except ProtocolError as error:
            self._transport.close(link)
            self._gone(link, str(error))

    def _gone(self, link: Link, why: str, is_stranger: bool = False) -> None:
        del self._asked[link]
        self.answers.pop(self._dialer.address_of(link), None)
        self._dialer.closed(link, why, is_stranger)
