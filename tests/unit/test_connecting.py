"""Connecting by name: no name service holds anybody up, and all addresses of a host are tried."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ftvm.runtime import transport as transports
from ftvm.runtime.happenings import Accepted, Closed, Happening, Received
from ftvm.runtime.sockets import LOOPBACK, listen
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

SOON = Nanoseconds(5_000_000)
HOST = "host.example"


@pytest.fixture
def here() -> Iterator[Transport]:
    transport = Transport(None)
    yield transport
    for link in transport.open_links():
        transport.close(link)


def names(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> threading.Event:
    """Let the name service know HOST, as soon as the event is set that is returned."""
    answers = threading.Event()
    ask = socket.getaddrinfo

    def look_up(host: str, port: int, **hints: Any) -> list[Any]:
        if host != HOST:
            return ask(host, port, **hints)
        answers.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def until(here: Transport, kind: type[Happening]) -> Happening:
    while True:
        for happening in here.poll(SOON):
            if isinstance(happening, kind):
                return happening


def port_of_nobody() -> int:
    with listen() as listener:
        port: int = listener.getsockname()[1]
    return port


def test_what_was_sent_waits_for_the_name_and_goes_where_somebody_is(
    here: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Transport(None)
    listener = listen()
    there.accept_from(listener, "host")
    port = listener.getsockname()[1]
    places = [("127.0.0.2", port_of_nobody()), (LOOPBACK, port)]
    answers = names(monkeypatch, *places)
    link = here.connect(HOST, port)
    here.send(link, b"first, ")
    for _ in range(3):
        assert here.poll(Nanoseconds(0)) == []  # and at once: nothing is held up
    answers.set()
    while (begun := there.poll(SOON)) == []:
        here.poll(SOON)
    here.send(link, b"second")
    heard = b"".join(event.data for event in begun if isinstance(event, Received))
    while heard != b"first, second":
        here.poll(Nanoseconds(0))
        events = there.poll(SOON)
        heard += b"".join(event.data for event in events if isinstance(event, Received))
    assert isinstance(begun[0], Accepted)
    listener.close()


def test_a_name_service_that_does_not_answer_is_no_host(
    here: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "LOOK_UP_TIMEOUT_NS", 20_000_000)
    answers = names(monkeypatch)
    link = here.connect(HOST, 7000)
    closed = until(here, Closed)
    answers.set()
    assert isinstance(closed, Closed)
    assert (closed.link, closed.is_stranger) == (link, False)
    assert closed.why == f"the name {HOST} was not looked up in time"
    assert here.open_links() == []


def test_nobody_at_any_address(here: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    port = port_of_nobody()
    names(monkeypatch, (LOOPBACK, port), ("127.0.0.2", port)).set()
    here.connect(HOST, port)
    closed = until(here, Closed)
    assert isinstance(closed, Closed)
    assert closed.why == "Connection refused"


def test_a_name_that_nobody_has(here: Transport) -> None:
    here.connect("nobody.invalid", 7000)
    closed = until(here, Closed)
    assert isinstance(closed, Closed)
    assert closed.why.startswith("no host is called nobody.invalid: ")


def test_a_connection_that_is_not_wanted_any_more_is_not_made(
    here: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = names(monkeypatch, (LOOPBACK, port_of_nobody()))
    here.close(here.connect(HOST, 7000))
    answers.set()
    here.connect(HOST, 7000)
    until(here, Closed)
    assert here.poll(SOON) == []
    assert here.open_links() == []
