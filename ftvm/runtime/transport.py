"""Stream sockets for a node or a console: links, by number, that never block.

Everything happens in `poll`, on the caller's thread. `descriptor` is readable
whenever `poll` has something to do, so that a running guest can be woken by it.
What is sent between two polls goes out at once in the second, or by `flush` before:
messages that belong together wake the other side once.
With a `Security` every connection is protected, and who connects shows only
once it has proven itself. Those who have not yet are few and have little time:
a stranger costs a socket, a little memory, and one `Refused`.
"""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable

from ftvm.errors import HostError, ProtocolError, StrangerError
from ftvm.replication.events import Link
from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.connection import Connection
from ftvm.runtime.door import Door
from ftvm.runtime.happenings import Accepted, Closed, Happening, Received, Refused
from ftvm.runtime.resolver import Resolver
from ftvm.runtime.security import Security
from ftvm.runtime.sockets import Errand, prepare
from ftvm.runtime.tls import TlsSession
from ftvm.units import Nanoseconds

HANDSHAKE_TIMEOUT_NS = Nanoseconds(2_000_000_000)
"""How long a peer may take to prove itself, from its connecting on."""
LINGER_NS = Nanoseconds(1_000_000_000)
"""How long a connection that is done here waits for the other side to close it."""
UNPROVEN_MAX = 64
"""Those who connected and have not proven themselves; one more drives out the oldest."""

LOOK_UP_TIMEOUT_NS = Nanoseconds(5_000_000_000)
"""How long a name may take to be looked up; glibc asks the next server after as long."""

_UNREACHED = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)
"""Nobody was there."""
_PARTING_NS = 1_000_000_000
_RECEIVE_BYTES = 1 << 18
_GATHERED_BYTES_MAX = 1 << 16
"""More than that goes out as it comes: there is nothing to be gained."""
_UNPROVEN_RECEIVE_BYTES = 1 << 14


class Transport:
    """The connections of one process; without `security` they are plain, and anybody's."""

    def __init__(self, security: Security | None) -> None:
        self._security = security
        self._selector = selectors.EpollSelector()
        self._connections: dict[Link, Connection] = {}
        self._errands: dict[Link, tuple[Errand, int]] = {}
        """Connections for which a name is looked up, and host time in ns until which that may
        take."""
        self._resolver: Resolver | None = None
        self._door = Door()
        self._watch_door()
        self._unproven: dict[Link, int] = {}
        """Host time in ns until which each may take; the oldest first."""
        self._lingering: dict[Link, int] = {}
        """The same for those that are done here, and wait for the other side."""
        self._gathering: dict[Link, Connection] = {}
        """Connections with something gathered."""
        self._happened: list[Happening] = []
        self._room = memoryview(bytearray(_RECEIVE_BYTES))
        """For what is read from a socket: to allocate so much takes longer than the reading."""
        self._next = 1

    @property
    def descriptor(self) -> int:
        """Readable when `poll` would have something to do, other than to lose patience."""
        return self._selector.fileno()

    def accept_from(self, listener: socket.socket, name: str) -> None:
        """Take connections from a listening socket; they show as `Accepted` of `name`."""
        listener.setblocking(False)
        self._door.add(listener.fileno(), lambda: self._accept(listener, name))

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call `readable` from `poll` when a descriptor that is no socket of ours is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, lambda _: readable())

    def unwatch(self, descriptor: int) -> None:
        """Forget a watched descriptor."""
        self._selector.unregister(descriptor)

    def connect(self, host: str, port: int) -> Link:
        """Begin to connect; a `Closed` follows if nobody is there.

        What is sent goes out once the other side is there and has proven itself.
        """
        link, address = self._new_link(), Address(host, port)
        errand = Errand(address)
        if address.is_numeric:
            errand.places = list(address.resolve())
            self._set_out(link, errand)
            return link
        if self._resolver is None:
            self._resolver = Resolver()
            self.watch(self._resolver.descriptor, self._resolved)
        self._resolver.ask(address)
        self._errands[link] = errand, time.monotonic_ns() + LOOK_UP_TIMEOUT_NS
        return link

    def send(self, link: Link, data: bytes) -> None:
        """Send, with the next flush or when there is room; dropped if the connection is gone."""
        if link in self._errands:
            self._errands[link][0].unsent += data
            return
        connection = self._connections.get(link)
        if connection is None or connection.closing:
            return
        if connection.errand is not None:
            connection.errand.unsent += data
        connection.gathered.append(data)
        self._gathering[link] = connection
        if len(data) >= _GATHERED_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Let what was sent so far go out now."""
        gathering, self._gathering = self._gathering, {}
        for link, connection in gathering.items():
            if self._connections.get(link) is connection:
                self._send(link, connection, connection.take_gathered())

    def _send(self, link: Link, connection: Connection, data: bytes) -> None:
        if connection.session is not None:
            connection.session.send(data)
            data = connection.session.outgoing()
        self._write(link, connection, data)

    def unsent(self, link: Link) -> int:
        """Bytes that wait for room."""
        connection = self._connections.get(link)
        return connection.waiting_bytes if connection else 0

    def open_links(self) -> list[Link]:
        """Connections that are open, or closing with something left to send."""
        return [*self._connections, *self._errands]

    def close(self, link: Link) -> None:
        """Close after what was sent has gone out and arrived; no `Closed` follows."""
        self._errands.pop(link, None)
        self.flush()
        connection = self._connections.get(link)
        if connection is None or connection.closing:
            return
        connection.closing = True
        if not connection.waiting_bytes and not connection.is_cut:
            self._finish(link, connection)

    def cut(self) -> None:
        """Let nothing go out or come in by the connections that we made, as if a cable were cut."""
        self.flush()
        for connection in self._connections.values():
            if connection.is_ours and not connection.is_cut:
                connection.is_cut = True
                self._selector.unregister(connection.socket)

    def mend(self) -> None:
        """Undo `cut`; what waited goes on its way, but to a side that has lost patience."""
        for link, connection in list(self._connections.items()):
            if connection.is_cut:
                connection.is_cut = False
                self._watch(link, connection)
                if connection.closing and not connection.waiting_bytes:
                    self._finish(link, connection)

    def part(self) -> None:
        """Close all connections; let what was sent last go out while others take it.

        Nobody is let in meanwhile, who would be waited for in vain; behind it, they are again.
        """
        if self._door.shut_until is None:
            self._selector.unregister(self._door.descriptor)
        self._door.shut_until = None
        for link in self.open_links():
            connection = self._connections.get(link)
            if connection is None or connection.listener is None:
                self.close(link)
            else:
                self._drop(link, connection)
        deadline = now_ns() + _PARTING_NS
        while any(not c.is_cut for c in self._connections.values()) and now_ns() < deadline:
            self.poll(Nanoseconds(10_000_000))
        self._watch_door()

    def poll(self, timeout: Nanoseconds | None) -> list[Happening]:
        """Return what happened, waiting for something at most `timeout`; None waits for ever."""
        self.flush()
        self._serve(self._selector.select(self._patience_s(timeout)))
        if self._door.open_if_due(time.monotonic_ns()):
            self._watch_door()
        self._lose_patience()
        return self._take_happened()

    def poll_awake(self, timeout: Nanoseconds) -> list[Happening]:
        """Do the same without sleeping, for what comes any moment; strangers may wait for us."""
        self.flush()
        until = now_ns() + timeout
        while not (ready := self._selector.select(0)) and not self._happened and now_ns() < until:
            os.sched_yield()  # whoever is to answer may be waiting for this processor
        self._serve(ready)
        return self._take_happened()

    def _serve(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, mask in ready:
            key.data(mask)

    def _take_happened(self) -> list[Happening]:
        happened, self._happened = self._happened, []
        return happened

    def _patience_s(self, timeout: Nanoseconds | None) -> float | None:
        if self._happened:
            return 0.0
        waits = (self._unproven, self._lingering)
        moments = [next(iter(wait.values()), None) for wait in waits] + [self._door.shut_until]
        moments += [until for _, until in self._errands.values()]
        limits = [moment - time.monotonic_ns() for moment in moments if moment is not None]
        if timeout is not None:
            limits.append(timeout)
        return max(0, min(limits)) / 1e9 if limits else None

    def _watch_door(self) -> None:
        self._selector.register(self._door.descriptor, selectors.EVENT_READ, self._attend_door)

    def _attend_door(self, _: int) -> None:
        self._door.attend()
        if self._door.shut_until is not None:
            self._selector.unregister(self._door.descriptor)

    def _lose_patience(self) -> None:
        now = time.monotonic_ns()
        for link in [link for link, (_, until) in self._errands.items() if until <= now]:
            errand, _ = self._errands.pop(link)
            why = f"the name {errand.address.host} was not looked up in time"
            self._happened.append(Closed(link, why))
        for link in [link for link, until in self._unproven.items() if until <= now]:
            if not self._goes_elsewhere(link, self._connections[link]):
                self._refuse(link, self._connections[link], "it did not prove itself in time")
        for link in [link for link, until in self._lingering.items() if until <= now]:
            self._drop(link, self._connections[link])

    # --- connections are made ---

    def _resolved(self) -> None:
        assert self._resolver is not None
        address, found = self._resolver.answer()
        for link, (errand, _) in list(self._errands.items()):
            if errand.address != address:
                continue
            del self._errands[link]
            if isinstance(found, HostError):
                errand.why = str(found)
            else:
                errand.places = list(found)
            self._set_out(link, errand)

    def _set_out(self, link: Link, errand: Errand) -> None:
        """Connect to the first place of an errand's where somebody may be."""
        stream = errand.set_out()
        if stream is None:
            self._happened.append(Closed(link, errand.why))
            return
        self._add(link, stream, f"connection to {errand.address}", None)
        connection = self._connections[link]
        connection.errand = errand if errand.places else None
        self._send(link, connection, bytes(errand.unsent))

    def _goes_elsewhere(
        self, link: Link, connection: Connection, error: OSError | None = None
    ) -> bool:
        """Try the next place of an errand if nobody was at one, and if there is any."""
        errand = connection.errand
        if errand is None or not errand.places or connection.closing:
            return False
        if error is not None and error.errno not in _UNREACHED:
            return False
        self._drop(link, connection)
        self._set_out(link, errand)
        return True

    # --- connections come ---

    def _accept(self, listener: socket.socket, name: str) -> None:
        try:
            connection, (host, port, *_) = listener.accept()
        except OSError:
            return  # who wanted to connect is gone again
        strangers = [link for link in self._unproven if self._connections[link].listener]
        if len(strangers) >= UNPROVEN_MAX:
            oldest = strangers[0]
            self._refuse(oldest, self._connections[oldest], "too many others came after it")
        link = self._new_link()
        self._add(link, connection, f"connection from {Address(host, port)}", name)
        if self._security is None:
            self._proven(link, self._connections[link])

    def _new_link(self) -> Link:
        self._next += 1
        return Link(self._next - 1)

    def _add(self, link: Link, stream: socket.socket, what: str, listener: str | None) -> None:
        prepare(stream)
        connection = Connection(stream, what, listener, is_ours=listener is None)
        self._connections[link] = connection
        if listener is None:
            self._watch(link, connection)
        else:
            self._door.add(stream.fileno(), lambda: self._ready(link, selectors.EVENT_READ))
        if self._security is not None:
            self._unproven[link] = time.monotonic_ns() + HANDSHAKE_TIMEOUT_NS
            connection.session = TlsSession(self._security, listening=listener is not None)
            self._write(link, connection, connection.session.outgoing())

    def _watch(self, link: Link, connection: Connection) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        self._selector.register(connection.socket, events, lambda mask: self._ready(link, mask))

    def _proven(self, link: Link, connection: Connection) -> None:
        self._unproven.pop(link, None)
        if connection.listener is not None:
            self._happened.append(Accepted(link, connection.listener))
            connection.listener = None
            self._door.remove(connection.socket.fileno())
            self._watch(link, connection)

    # --- bytes come and go ---

    def _ready(self, link: Link, mask: int) -> None:
        connection = self._connections.get(link)
        if connection is None:
            return
        if mask & selectors.EVENT_WRITE:
            self._resume(link, connection)
        if mask & selectors.EVENT_READ and self._connections.get(link) is connection:
            self._receive(link, connection)

    def _receive(self, link: Link, connection: Connection) -> None:
        unproven = connection.unproven
        room = _UNPROVEN_RECEIVE_BYTES if unproven else _RECEIVE_BYTES
        try:
            data = self._room[: connection.socket.recv_into(self._room, room)]
        except BlockingIOError:
            return
        except OSError as error:
            if connection.listener is None:
                if not self._goes_elsewhere(link, connection, error):
                    self._lost(link, connection, connection.deaf or str(error.strerror))
                return
            data = self._room[:0]
        if not data:
            if unproven and not connection.deaf:
                self._refuse(link, connection, "it left before it had proven itself")
            else:
                self._lost(link, connection)
        elif connection.session is None:
            self._received(link, connection, bytes(data))
        else:
            self._decrypt(link, connection, connection.session, data)

    def _decrypt(
        self, link: Link, connection: Connection, session: TlsSession, data: memoryview
    ) -> None:
        unproven = connection.unproven
        try:
            plain = session.receive(data)
        except ProtocolError as error:
            with contextlib.suppress(OSError):  # the last word, if it can be said at once
                connection.socket.send(session.outgoing())
            self._refuse(link, connection, str(error), isinstance(error, StrangerError))
            return
        if unproven and session.established:
            self._proven(link, connection)
        self._received(link, connection, plain)
        if answer := session.outgoing():
            self._write(link, connection, answer)
            if self._connections.get(link) is not connection:
                return
        if session.ended:
            self._lost(link, connection)
        elif connection.closing and not connection.waiting_bytes:
            self._finish(link, connection)

    def _received(self, link: Link, connection: Connection, data: bytes) -> None:
        if data:
            connection.errand = None
        if data and not connection.closing:
            self._happened.append(Received(link, data))

    def _write(self, link: Link, connection: Connection, data: bytes) -> None:
        if data and not (connection.unsent or connection.deaf or connection.is_cut):
            try:
                data = data[connection.socket.send(data) :]
            except BlockingIOError:
                pass
            except OSError as error:
                if self._goes_elsewhere(link, connection, error):
                    return
                self._deafen(link, connection, error)
        if data and not connection.deaf:
            connection.unsent += data
            if connection.listener is None:
                self._watch_writable(connection)
            else:  # there is room for a handshake in the emptiest of buffers
                self._refuse(link, connection, "it does not take our part of the handshake")

    def _resume(self, link: Link, connection: Connection) -> None:
        try:
            del connection.unsent[: connection.socket.send(connection.unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            if self._goes_elsewhere(link, connection, error):
                return
            self._deafen(link, connection, error)
        if connection.unsent or connection.deaf:
            return
        key = self._selector.get_key(connection.socket)
        self._selector.modify(connection.socket, selectors.EVENT_READ, key.data)
        if connection.closing and not connection.waiting_bytes:
            self._finish(link, connection)

    def _deafen(self, link: Link, connection: Connection, error: OSError) -> None:
        connection.deaf = str(error.strerror)
        connection.unsent.clear()
        if connection.closing:
            self._drop(link, connection)

    def _watch_writable(self, connection: Connection) -> None:
        if connection.is_cut:
            return
        key = self._selector.get_key(connection.socket)
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        if key.events != both:
            self._selector.modify(connection.socket, both, key.data)

    # --- connections go ---

    def _finish(self, link: Link, connection: Connection) -> None:
        """Say that nothing more comes, and hear the other side out until it closes.

        To close with something unread resets the connection, and what was sent
        last is lost on its way (RFC 1122 §4.2.2.13).
        """
        if link in self._lingering:
            return
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(link, connection)
        else:
            self._lingering[link] = time.monotonic_ns() + LINGER_NS

    def _refuse(
        self, link: Link, connection: Connection, why: str, is_stranger: bool = False
    ) -> None:
        self._happened.append(Refused(f"{connection.what} refused: {why}"))
        self._lost(link, connection, why, is_stranger)

    def _lost(
        self, link: Link, connection: Connection, why: str = "", is_stranger: bool = False
    ) -> None:
        self._drop(link, connection)
        if not connection.closing and connection.listener is None:
            self._happened.append(Closed(link, why or connection.deaf, is_stranger))

    def _drop(self, link: Link, connection: Connection) -> None:
        del self._connections[link]
        self._unproven.pop(link, None)
        self._lingering.pop(link, None)
        self._door.remove(connection.socket.fileno())
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
