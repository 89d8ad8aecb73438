"""Connections of those who ask a host how it is."""

from collections.abc import Callable

from ftvm.errors import ProtocolError
from ftvm.replication.events import Link
from ftvm.replication.framing import FrameDecoder, encode
from ftvm.replication.messages import Status, StatusWanted
from ftvm.runtime.status import HostStatus, encode_status
from ftvm.runtime.transport import Transport


class Inquiries:
    """Answers each question on the connection that it came on."""

    def __init__(self, transport: Transport, status: Callable[[], HostStatus]) -> None:
        self._transport = transport
        self._status = status
        self._decoders: dict[Link, FrameDecoder] = {}

    def came(self, link: Link) -> None:
        """Take a connection."""
        self._decoders[link] = FrameDecoder.for_status()

    def owns(self, link: Link) -> bool:
        """Whether a connection is here."""
        return link in self._decoders

    def gone(self, link: Link) -> None:
        """Forget a connection that is gone, if it is here."""
        self._decoders.pop(link, None)

    def receive(self, link: Link, data: bytes) -> None:
        """Take bytes and answer what is asked; what is no question ends the connection."""
        decoder = self._decoders[link]
        decoder.feed(data)
        try:
            while (message := decoder.next_message()) is not None:
                if not isinstance(message, StatusWanted):
                    raise ProtocolError(f"{type(message).__name__} is not for a host to receive")
                answer = Status(encode_status(self._status()))
                self._transport.send(link, encode(answer))
        except ProtocolError:
            self.gone(link)
            self._transport.close(link)
