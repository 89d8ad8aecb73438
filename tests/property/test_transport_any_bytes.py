"""Any bytes at a protected port, in any pieces: refused, and the pair goes on."""

import socket

from hypothesis import given, settings
from hypothesis import strategies as st

from ftvm.runtime import security
from ftvm.runtime.happenings import Accepted, Happening, Received, Refused
from ftvm.runtime.sockets import listen
from ftvm.runtime.tls import TlsSession
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

PAIR = security.from_key(bytes(range(32)))
SOON = Nanoseconds(1_000_000)


def client_hello() -> bytes:
    return TlsSession(PAIR, listening=False).outgoing()


@st.composite
def utterances(draw: st.DrawFn) -> list[bytes]:
    """What a stranger says, piece by piece: anything, TLS records, or a real greeting damaged."""
    kind = draw(st.sampled_from(["anything", "records", "damaged"]))
    if kind == "anything":
        return draw(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
    if kind == "records":
        bodies = draw(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
        types = draw(st.lists(st.sampled_from([20, 21, 22, 23]), min_size=4, max_size=4))
        return [
            bytes([kind]) + b"\x03\x03" + len(body).to_bytes(2, "big") + body
            for kind, body in zip(types, bodies, strict=False)
        ]
    hello = bytearray(client_hello())
    for _ in range(draw(st.integers(1, 4))):
        hello[draw(st.integers(0, len(hello) - 1))] = draw(st.integers(0, 255))
    at = draw(st.integers(1, len(hello) - 1))
    return [bytes(hello[:at]), bytes(hello[at:]), draw(st.binary(min_size=1, max_size=100))]


@settings(deadline=None)
@given(st.lists(utterances(), min_size=1, max_size=4))
def test_any_bytes(strangers: list[list[bytes]]) -> None:
    here, there = Transport(PAIR), Transport(PAIR)
    socket_ = listen()
    address = socket_.getsockname()
    here.accept_from(socket_, "logging")
    link = there.connect(*address[:2])
    there.send(link, b"begin")
    happened: list[Happening] = []
    heard: list[Happening] = []

    def poll() -> None:
        happened.extend(here.poll(SOON))
        heard.extend(there.poll(SOON))

    while not any(isinstance(h, Received) for h in happened):
        poll()
    for pieces in strangers:
        refused = sum(isinstance(h, Refused) for h in happened)
        with socket.create_connection(address) as stranger:
            for piece in pieces:
                try:
                    stranger.sendall(piece)
                except OSError:
                    break  # refused already
                poll()
        while sum(isinstance(h, Refused) for h in happened) == refused:
            poll()
    there.send(link, b" end")
    while sum(len(h.data) for h in happened if isinstance(h, Received)) < 9:
        poll()
    assert sum(isinstance(h, Accepted) for h in happened) == 1
    assert sum(isinstance(h, Refused) for h in happened) == len(strangers)
    assert b"".join(h.data for h in happened if isinstance(h, Received)) == b"begin end"
    assert heard == []
