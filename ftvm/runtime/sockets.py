"""Sockets as replicas use them: a listener, and the way to somebody who has several addresses."""

import errno
import os
import socket
from dataclasses import dataclass, field

from ftvm.errors import HostError
from ftvm.runtime.addresses import Address
from ftvm.runtime.resolver import Place

LOOPBACK = "127.0.0.1"

# A peer whose host is gone without a word, and with it every connection that nothing is sent
# on, shows after KEEPALIVE_IDLE_S + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL_S (tcp(7)).
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 2, 1, 5


def listen(host: str = LOOPBACK, port: int = 0) -> socket.socket:
    """Return a listening socket; HostError names the address that cannot be had."""
    address = Address(host, port)
    family, where = address.resolve(listening=True)[0]
    try:
        return socket.create_server(where, family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise HostError(f"cannot listen on {address}: {why}") from None


def prepare(stream: socket.socket) -> None:
    """Make a stream one that never blocks, sends at once, and notices that its peer is gone."""
    stream.setblocking(False)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


@dataclass
class Errand:
    """A connection that is wanted, until the other side is known to be there."""

    address: Address
    places: list[Place] = field(default_factory=list)
    """Where it may be, and was not tried yet."""
    unsent: bytearray = field(default_factory=bytearray)
    """What was sent so far, for whichever place it will be."""
    why: str = ""
    """What was in the way at the last place."""

    def set_out(self) -> socket.socket | None:
        """Begin to connect to the next place; None if there is none left."""
        while self.places:
            family, where = self.places.pop(0)
            try:
                stream = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:  # no such kind of address here, or no descriptor left
                self.why = str(error.strerror)
                continue
            stream.setblocking(False)
            failure = stream.connect_ex(where)
            if failure in (0, errno.EINPROGRESS):
                return stream
            stream.close()
            self.why = os.strerror(failure)
        return None
