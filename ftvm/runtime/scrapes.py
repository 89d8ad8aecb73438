"""A port for Prometheus, served in the loop that has better things to do.

As much of HTTP/1.1 (RFC 9112) as a scrape needs: one GET of /metrics on a
connection, which is closed behind the answer. Whoever is slow is one of few, and
the one who has waited longest gives way.
"""

import contextlib
import socket
from collections.abc import Callable

from ftvm.runtime.exposition import CONTENT_TYPE
from ftvm.runtime.transport import Transport

CLIENTS_MAX = 16
_REQUEST_BYTES_MAX = 8192
_PATH = b"/metrics"


class Scrapes:
    """Those who ask; `asked` is called for each, `answer` answers all who wait."""

    def __init__(
        self, transport: Transport, listener: socket.socket, asked: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._asked = asked
        self._requests: dict[socket.socket, bytes] = {}
        """What each has sent so far; the oldest first."""
        self._waiting: list[socket.socket] = []
        listener.setblocking(False)
        self._listener = listener
        transport.watch(listener.fileno(), self._accept)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    def answer(self, text: str) -> None:
        """Give the page to all who wait for it."""
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            self._respond(client, "200 OK", text, CONTENT_TYPE)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # who wanted to connect is gone again
        client.setblocking(False)
        if len(self._requests) >= CLIENTS_MAX:
            self._drop(next(iter(self._requests)))
        self._requests[client] = b""
        self._transport.watch(client.fileno(), lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(_REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request = self._requests[client] + data
        self._requests[client] = request
        if not data:
            self._drop(client)
        elif client in self._waiting:
            return  # it has said enough
        elif len(request) > _REQUEST_BYTES_MAX:
            self._respond(client, "431 Request Header Fields Too Large", "too long a request\n")
        elif b"\r\n\r\n" in request:
            self._take(client, request.partition(b"\r\n")[0].split(b" "))

    def _take(self, client: socket.socket, line: list[bytes]) -> None:
        if len(line) != 3 or not line[2].startswith(b"HTTP/1."):
            self._respond(client, "400 Bad Request", "this is no HTTP/1.1 request\n")
        elif line[0] != b"GET":
            self._respond(client, "405 Method Not Allowed", "GET it\n")
        elif line[1].partition(b"?")[0] != _PATH:
            self._respond(client, "404 Not Found", "there is /metrics here\n")
        else:
            self._waiting.append(client)
            self._asked()

    def _respond(
        self, client: socket.socket, status: str, text: str, kind: str = "text/plain"
    ) -> None:
        body = text.encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        # Some kilobytes into an empty buffer: who has no room for them does without.
        with contextlib.suppress(OSError):
            client.send(head.encode() + body)
        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._requests[client]
        if client in self._waiting:
            self._waiting.remove(client)
        self._transport.unwatch(client.fileno())
        client.close()
