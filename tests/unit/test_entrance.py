"""One port for everything: the first frame tells who wants what."""

import itertools
from collections.abc import Iterator

import pytest

from ftvm.errors import ProtocolError
from ftvm.replication.events import Link
from ftvm.replication.framing import Kind, encode, kind_of
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    RUN_UNKNOWN,
    ConsoleHello,
    Goodbye,
    Heartbeat,
    Reason,
    Role,
    StatusWanted,
)
from ftvm.replication.settings import Identity, Settings
from ftvm.runtime.addresses import Address
from ftvm.runtime.entrance import Admitted, Entrance
from ftvm.runtime.happenings import Accepted, Happening, Received
from ftvm.runtime.inquirer import Inquirer
from ftvm.runtime.sockets import LOOPBACK, listen
from ftvm.runtime.status import HostStatus
from ftvm.runtime.transport import Transport
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds

IDENTITY = Identity("b", b"r" * 16, b"i" * 32, b"c" * 32, "engine 1")
HELLO = encode(greeting(IDENTITY, Role.BACKUP, Generation(0), InstructionCount(0), LogPosition(0)))
CONSOLE_HELLO = encode(ConsoleHello(Role.ENDPOINT, "c", RUN_UNKNOWN, Generation(0), ()))
STATUS = HostStatus(
    node="n", role="primary", state="solo", protection="needSecondary", reason="initializing",
    detail="", run="", generation=1,
)  # fmt: skip
LINK = Link(1)
SETTINGS = Settings(greeting_timeout_ns=Nanoseconds(1000))


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (HELLO, Kind.LOGGING),
        (CONSOLE_HELLO, Kind.CONSOLE),
        (encode(StatusWanted()), Kind.STATUS),
    ],
)
def test_kind_is_known_with_the_sixth_byte(frame: bytes, kind: Kind) -> None:
    assert [kind_of(frame[:size]) for size in range(6)] == [None] * 6
    assert kind_of(frame[:6]) == kind_of(frame + b"more") == kind


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\n",
        encode(Heartbeat(InstructionCount(0))),
        encode(Goodbye(Reason.REFUSED, 0, "")),
        bytes(6),
        HELLO[:4] + b"\xff" + HELLO[5:],
    ],
)
def test_what_is_no_greeting(start: bytes) -> None:
    with pytest.raises(ProtocolError):
        kind_of(start)


class Door:
    """An entrance with a visitor whose bytes come from the test."""

    def __init__(self) -> None:
        self.transport = Transport(None)
        self.refused: list[str] = []
        self.entrance = Entrance(self.transport, SETTINGS, lambda: STATUS, self.refused.append)

    def take(self, happening: Happening, now: int = 0) -> Happening | Admitted | None:
        return self.entrance.take(happening, Nanoseconds(now))


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize(("frame", "kind"), [(HELLO, Kind.LOGGING), (CONSOLE_HELLO, Kind.CONSOLE)])
def test_visitor_is_admitted_once_and_keeps_what_it_said(
    door: Door, frame: bytes, kind: Kind
) -> None:
    door.take(Accepted(LINK, "host"))
    assert door.take(Received(LINK, frame[:3])) is None
    assert door.take(Received(LINK, frame[3:])) == Admitted(LINK, kind)
    assert door.take(Received(LINK, b"more")) is None
    assert door.entrance.let_in(LINK) == frame + b"more"
    assert door.take(Received(LINK, b"x")) == Received(LINK, b"x")


def test_visitor_who_says_nothing_is_turned_away(door: Door) -> None:
    door.take(Accepted(LINK, "host"), now=500)
    assert door.entrance.deadline() == 1500
    door.entrance.tick(Nanoseconds(1499))
    assert door.refused == []
    door.entrance.tick(Nanoseconds(1500))
    assert door.refused == ["a peer refused: it does not say what it wants"]
    assert door.entrance.deadline() is None


def test_visitor_who_speaks_something_else_is_turned_away(door: Door) -> None:
    door.take(Accepted(LINK, "host"))
    door.take(Received(LINK, b"\0\0\0\7\2\1......"))
    assert len(door.refused) == 1
    assert "protocol version 2" in door.refused[0]


@pytest.fixture
def asked(door: Door) -> Iterator[tuple[Door, Address]]:
    listener = listen()
    address = Address(LOOPBACK, listener.getsockname()[1])
    door.transport.accept_from(listener, "host")
    yield door, address
    listener.close()


def test_status_is_answered_as_often_as_it_is_asked(asked: tuple[Door, Address]) -> None:
    door, address = asked
    ours = Transport(None)
    nobody = Address(LOOPBACK, 1)
    inquirer = Inquirer(ours, [address, nobody])
    moments = (Nanoseconds(10**9 * second) for second in itertools.count(1))
    for _ in range(3):
        inquirer.forget()
        inquirer.tend(next(moments))
        while not inquirer.settled:
            for happening in door.transport.poll(Nanoseconds(1_000_000)):
                door.take(happening)
            for happening in ours.poll(Nanoseconds(1_000_000)):
                assert inquirer.take(happening)
            inquirer.tend(next(moments))
        assert inquirer.answers == {address: STATUS}
        assert "Connection refused" in inquirer.troubles[nobody]
