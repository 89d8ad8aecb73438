"""Stream sockets for a node or a console: links, by number, that never block.

Everything happens in `poll`, on the caller's thread. `descriptor` is readable
whenever `poll` has something to do, so that a running guest can be woken by it.
"""

import contextlib
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from ftvm.errors import HostError
from ftvm.replication.events import Link
from ftvm.units import Nanoseconds

_RECEIVE_BYTES = 1 << 18


@dataclass(frozen=True)
class Accepted:
    """Somebody connected to the listener called `listener`."""

    link: Link
    listener: str


@dataclass(frozen=True)
class Received:
    """Bytes came."""

    link: Link
    data: bytes


@dataclass(frozen=True)
class Closed:
    """The connection is gone, by the other side or by an error."""

    link: Link


Happening = Accepted | Received | Closed


@dataclass
class _Connection:
    socket: socket.socket
    unsent: bytearray = field(default_factory=bytearray)
    closing: bool = False


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a listening socket; HostError names the address that cannot be had."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise HostError(f"cannot listen on {host}:{port}: {error.strerror}") from None


class Transport:
    """The connections of one process."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._connections: dict[Link, _Connection] = {}
        self._happened: list[Happening] = []
        self._next = 1

    @property
    def descriptor(self) -> int:
        """Readable when `poll` would have something to do."""
        return self._selector.fileno()

    def accept_from(self, listener: socket.socket, name: str) -> None:
        """Take connections from a listening socket; they show as `Accepted` of `name`."""
        listener.setblocking(False)
        self._selector.register(
            listener, selectors.EVENT_READ, lambda _: self._accept(listener, name)
        )

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call `readable` from `poll` when a descriptor that is no socket of ours is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, lambda _: readable())

    def unwatch(self, descriptor: int) -> None:
        """Forget a watched descriptor."""
        self._selector.unregister(descriptor)

    def connect(self, host: str, port: int) -> Link:
        """Connect; raises HostError if nobody is there."""
        try:
            connection = socket.create_connection((host, port), timeout=5)
        except OSError as error:
            raise HostError(f"cannot connect to {host}:{port}: {error}") from None
        return self._add(connection)

    def send(self, link: Link, data: bytes) -> None:
        """Send, now or when there is room; dropped if the connection is gone."""
        connection = self._connections.get(link)
        if connection is None or connection.closing:
            return
        if not connection.unsent:
            try:
                data = data[connection.socket.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                self._lost(link, connection)
                return
        if data:
            connection.unsent += data
            self._watch_writable(connection)

    def unsent(self, link: Link) -> int:
        """Bytes that wait for room."""
        connection = self._connections.get(link)
        return len(connection.unsent) if connection else 0

    def open_links(self) -> list[Link]:
        """Connections that are open, or closing with something left to send."""
        return list(self._connections)

    def close(self, link: Link) -> None:
        """Close after what was sent has gone out; no `Closed` follows."""
        connection = self._connections.get(link)
        if connection is None:
            return
        if connection.unsent:
            connection.closing = True
        else:
            self._drop(link, connection)

    def poll(self, timeout: Nanoseconds | None) -> list[Happening]:
        """Return what happened, waiting for it at most `timeout`; None waits for ever."""
        if self._happened:
            timeout = Nanoseconds(0)
        seconds = None if timeout is None else max(0, timeout) / 1e9
        for key, mask in self._selector.select(seconds):
            key.data(mask)
        happened, self._happened = self._happened, []
        return happened

    def _add(self, connection: socket.socket) -> Link:
        link = Link(self._next)
        self._next += 1
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[link] = _Connection(connection)
        self._selector.register(
            connection, selectors.EVENT_READ, lambda mask: self._ready(link, mask)
        )
        return link

    def _accept(self, listener: socket.socket, name: str) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # who wanted to connect is gone again
        self._happened.append(Accepted(self._add(connection), name))

    def _ready(self, link: Link, mask: int) -> None:
        connection = self._connections.get(link)
        if connection is None:
            return
        if mask & selectors.EVENT_WRITE:
            self._flush(link, connection)
        if mask & selectors.EVENT_READ and link in self._connections:
            self._receive(link, connection)

    def _flush(self, link: Link, connection: _Connection) -> None:
        try:
            del connection.unsent[: connection.socket.send(connection.unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._lost(link, connection)
            return
        if not connection.unsent:
            if connection.closing:
                self._drop(link, connection)
            else:
                self._selector.modify(
                    connection.socket,
                    selectors.EVENT_READ,
                    self._selector.get_key(connection.socket).data,
                )

    def _receive(self, link: Link, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(link, connection)
        elif not connection.closing:
            self._happened.append(Received(link, data))

    def _watch_writable(self, connection: _Connection) -> None:
        key = self._selector.get_key(connection.socket)
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        if key.events != both:
            self._selector.modify(connection.socket, both, key.data)

    def _lost(self, link: Link, connection: _Connection) -> None:
        self._drop(link, connection)
        if not connection.closing:
            self._happened.append(Closed(link))

    def _drop(self, link: Link, connection: _Connection) -> None:
        del self._connections[link]
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
