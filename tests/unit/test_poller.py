"""Who is called when a socket is readable, writable, or broken."""

import socket
from collections.abc import Iterator

import pytest

from ftvm.runtime.poller import READABLE, WRITABLE, Poller
from ftvm.units import Nanoseconds

AT_ONCE, LONG = Nanoseconds(0), Nanoseconds(10_000_000_000)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def watching(ours: socket.socket, events: int) -> tuple[Poller, list[int]]:
    poller, called = Poller(), []
    poller.add(ours.fileno(), events, called.append)
    return poller, called


def test_only_what_was_asked_for_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller, called = watching(ours, READABLE)
    poller.poll(AT_ONCE)
    assert called == []
    theirs.send(b"x")
    poller.poll(LONG)
    poller.change(ours.fileno(), READABLE | WRITABLE)
    poller.poll(LONG)
    assert called == [READABLE, READABLE | WRITABLE]


@pytest.mark.parametrize("events", [READABLE, READABLE | WRITABLE])
def test_a_broken_connection_shows_to_whoever_would_use_it(
    pair: tuple[socket.socket, socket.socket], events: int
) -> None:
    ours, theirs = pair
    poller, called = watching(ours, events)
    theirs.close()
    poller.poll(LONG)
    assert called == [events]


def test_who_is_removed_is_called_no_more(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller, called = watching(ours, READABLE)
    theirs.send(b"x")
    poller.remove(ours.fileno())
    poller.remove(ours.fileno())  # no matter
    poller.poll(AT_ONCE)
    assert called == []


def test_awake_it_finds_the_same(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller, called = watching(ours, READABLE)
    poller.poll_awake(Nanoseconds(1_000))
    assert called == []
    theirs.send(b"x")
    poller.poll_awake(LONG)
    assert called == [READABLE]
