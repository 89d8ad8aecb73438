"""Real sockets: the pair's connections carry all that is sent, strangers get nothing."""

import select
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from ftvm.runtime import security, transport
from ftvm.runtime.happenings import Accepted, Closed, Happening, Received, Refused
from ftvm.runtime.security import Security
from ftvm.runtime.sockets import listen
from ftvm.runtime.transport import UNPROVEN_MAX, Transport
from ftvm.units import Nanoseconds

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NOW, SOON = Nanoseconds(0), Nanoseconds(5_000_000)


class Side:
    """A transport and all that happened on it."""

    def __init__(self, secured: Security | None) -> None:
        self.transport = Transport(secured)
        self.happened: list[Happening] = []

    def of(self, kind: type) -> list[Happening]:
        return [happening for happening in self.happened if type(happening) is kind]

    @property
    def received(self) -> bytes:
        return b"".join(h.data for h in self.happened if isinstance(h, Received))

    @property
    def refused(self) -> list[str]:
        return [h.text for h in self.happened if isinstance(h, Refused)]


class Meeting:
    """Sides that are polled in turn."""

    def __init__(self, secured: Security | None) -> None:
        self.listener = Side(secured)
        socket_ = listen()
        self.port: int = socket_.getsockname()[1]
        self.listener.transport.accept_from(socket_, "logging")
        self.sides = [self.listener]

    def join(self, secured: Security | None) -> tuple[Side, transport.Link]:
        side = Side(secured)
        self.sides.append(side)
        return side, side.transport.connect("127.0.0.1", self.port)

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            for side in self.sides:
                side.happened += side.transport.poll(SOON)


@pytest.fixture(scope="module")
def pair() -> Security:
    return security.from_key(KEY)


@pytest.fixture(params=["plain", "protected"])
def meeting(request: pytest.FixtureRequest, pair: Security) -> tuple[Meeting, Security | None]:
    secured = pair if request.param == "protected" else None
    return Meeting(secured), secured


def test_who_stays_awake_hears_the_same(meeting: tuple[Meeting, Security | None]) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"first")
    there.until(lambda: there.listener.received == b"first")
    assert there.listener.transport.poll_awake(NOW) == []
    side.transport.send(link, b", second")
    assert side.transport.poll_awake(NOW) == []  # but what was sent has gone out
    while there.listener.received != b"first, second":
        there.listener.happened += there.listener.transport.poll_awake(SOON)


def test_what_is_sent_arrives_both_ways(meeting: tuple[Meeting, Security | None]) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"before it is proven, ")
    side.transport.send(link, b"and at once after")
    there.until(lambda: there.listener.received == b"before it is proven, and at once after")
    accepted = there.listener.happened[0]
    assert accepted == Accepted(there.listener.happened[0].link, "logging")
    big = bytes(range(256)) * 20_000
    there.listener.transport.send(accepted.link, big)
    assert there.listener.transport.unsent(accepted.link) > 0
    there.until(lambda: side.received == big)
    assert there.listener.transport.unsent(accepted.link) == 0
    assert side.of(Refused) == there.listener.of(Refused) == []


def test_what_is_sent_between_two_polls_comes_in_one_piece(
    meeting: tuple[Meeting, Security | None],
) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"so that it is proven")
    there.until(lambda: there.listener.received == b"so that it is proven")
    there.listener.happened.clear()
    for piece in (b"entries, ", b"mark, ", b"heartbeat"):
        side.transport.send(link, piece)
    there.until(lambda: bool(there.listener.happened))
    assert [happening.data for happening in there.listener.of(Received)] == [
        b"entries, mark, heartbeat"
    ]


def test_close_comes_after_what_was_sent(meeting: tuple[Meeting, Security | None]) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    big = bytes(3_000_000)
    side.transport.send(link, big)
    side.transport.close(link)
    side.transport.send(link, b"too late")
    there.until(lambda: bool(there.listener.of(Closed)))
    assert there.listener.received == big
    assert side.happened == []
    assert side.transport.open_links() == []
    assert isinstance(there.listener.happened[-1], Closed)


def test_the_other_sides_end_is_told(meeting: tuple[Meeting, Security | None]) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    there.until(lambda: bool(there.listener.of(Accepted)))
    there.listener.transport.close(there.listener.happened[0].link)
    there.until(lambda: bool(side.of(Closed)))
    assert side.happened == [Closed(link)]
    there.until(lambda: there.listener.transport.open_links() == [])


def test_the_last_word_arrives_although_its_hearer_is_talking(
    meeting: tuple[Meeting, Security | None],
) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    there.until(lambda: bool(there.listener.of(Accepted)))
    other = there.listener.happened[0].link
    for _ in range(20):
        side.transport.send(link, bytes(1000))  # which the other side closes without reading
        there.listener.transport.send(other, b"word,")
    there.listener.transport.send(other, b"goodbye")
    there.listener.transport.close(other)
    for _ in range(20):
        side.transport.send(link, b"are you there?")
    there.until(lambda: bool(side.of(Closed)))
    assert side.received == b"word," * 20 + b"goodbye"
    there.until(lambda: there.listener.transport.open_links() == [])


def test_what_was_sent_before_a_death_is_read(
    meeting: tuple[Meeting, Security | None],
) -> None:
    """A process that dies closes its sockets with something unread: a reset."""
    there, secured = meeting
    side, link = there.join(secured)
    there.until(lambda: bool(there.listener.of(Accepted)))
    (dying,) = there.listener.transport._connections.values()
    side.transport.send(link, bytes(1000))
    side.transport.flush()
    there.listener.transport.send(there.listener.happened[0].link, b"last entries")
    there.listener.transport.flush()
    select.select([dying.socket], [], [])
    dying.socket.close()
    for _ in range(3):
        side.transport.send(link, b"an acknowledgement")
        side.transport.flush()
    while not side.of(Closed):
        side.happened += side.transport.poll(SOON)
    assert side.received == b"last entries"


def test_who_comes_while_a_side_parts_is_not_waited_for(
    meeting: tuple[Meeting, Security | None],
) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"hello")
    there.until(lambda: there.listener.received == b"hello")
    late = Side(secured)
    late.transport.connect("127.0.0.1", there.port)
    late.transport.poll(SOON)
    there.listener.transport.close(there.listener.happened[0].link)
    side.transport.close(link)
    there.listener.transport.part()
    assert there.listener.transport.open_links() == []
    assert len(there.listener.of(Accepted)) == 1
    late_link = late.transport.connect("127.0.0.1", there.port)
    late.transport.send(late_link, b"here again")
    there.sides.append(late)
    there.until(lambda: there.listener.received == b"hellohere again")


# Strangers.


@pytest.fixture
def guarded(pair: Security) -> Iterator[Meeting]:
    """A listener with one of the pair already there; it must still be there at the end."""
    there = Meeting(pair)
    side, link = there.join(pair)
    there.until(lambda: bool(there.listener.of(Accepted)))
    there.listener.happened.clear()
    yield there
    assert there.listener.of(Accepted) == []
    side.transport.send(link, b"still here")
    there.until(lambda: there.listener.received == b"still here")
    assert len(there.listener.transport.open_links()) == 1
    assert side.happened == []


def call(there: Meeting) -> socket.socket:
    return socket.create_connection(("127.0.0.1", there.port))


def assert_refused(there: Meeting, said: str) -> None:
    there.until(lambda: bool(there.listener.refused))
    (line,) = there.listener.refused
    assert line.startswith("connection from 127.0.0.1:")
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\0", b"FTVM", b"\xff" * 100_000])
def test_plain_text(guarded: Meeting, said: bytes) -> None:
    with call(guarded) as stranger:
        stranger.sendall(said[:60_000])
        assert_refused(guarded, "it does not speak TLS")


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x00\x05hello", b"\x16" * 50, b"\x15\x03\x03\0\2xx"]
)
def test_nearly_tls(guarded: Meeting, said: bytes) -> None:
    with call(guarded) as stranger:
        stranger.sendall(said)
        assert_refused(guarded, "no handshake: ")


def test_one_who_leaves(guarded: Meeting) -> None:
    call(guarded).close()
    assert_refused(guarded, "it left before it had proven itself")


def test_another_key(guarded: Meeting) -> None:
    side, link = guarded.join(security.from_key(OTHER_KEY))
    side.transport.send(link, b"let me in")
    guarded.until(lambda: bool(side.of(Closed)) and bool(guarded.listener.refused))
    assert len(side.of(Refused)) == 1
    assert side.refused[0].startswith(f"connection to 127.0.0.1:{guarded.port} refused")
    assert "certificate is not the pair's" in side.refused[0]
    assert [closed.is_stranger for closed in side.of(Closed) if isinstance(closed, Closed)] == [
        True
    ]
    guarded.sides.remove(side)
    assert len(guarded.listener.refused) == 1


def test_one_who_believes_anybody_but_has_another_certificate(
    guarded: Meeting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As a peer sees it that connects: its own handshake is complete when it is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    gullible = Security(context, context, None)
    side, link = guarded.join(gullible)
    side.transport.send(link, b"let me in")
    guarded.until(lambda: bool(side.of(Closed)) and bool(guarded.listener.refused))
    assert_refused(guarded, "did not return a certificate")
    (closed,) = side.of(Closed)
    assert isinstance(closed, Closed)
    assert closed.is_stranger
    guarded.sides.remove(side)


def test_one_who_says_nothing(guarded: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_TIMEOUT_NS", 1_000_000)
    with call(guarded) as stranger:
        assert_refused(guarded, "it did not prove itself in time")
        assert stranger.recv(1) == b""


def test_one_who_stops_in_the_middle(guarded: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_TIMEOUT_NS", 50_000_000)
    with call(guarded) as stranger:
        stranger.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert_refused(guarded, "it did not prove itself in time")


def test_waiting_for_a_stranger_is_no_busy_loop(
    guarded: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_TIMEOUT_NS", 300_000_000)
    with call(guarded):
        polls = 0
        while not guarded.listener.refused:
            guarded.listener.happened += guarded.listener.transport.poll(None)
            polls += 1
    assert polls <= 3


def test_a_flood_drives_out_only_itself(guarded: Meeting, pair: Security) -> None:
    callers = [call(guarded) for _ in range(UNPROVEN_MAX)]
    guarded.until(lambda: len(guarded.listener.transport.open_links()) == UNPROVEN_MAX + 1)
    assert guarded.listener.happened == []
    callers += [call(guarded) for _ in range(10)]
    guarded.until(lambda: len(guarded.listener.refused) == 10)
    assert all("too many others" in line for line in guarded.listener.refused)
    assert len(guarded.listener.transport.open_links()) == UNPROVEN_MAX + 1
    side, link = guarded.join(pair)  # one of the pair comes in all the same
    side.transport.send(link, b"hello")
    guarded.until(lambda: guarded.listener.received == b"hello")
    accepted = guarded.listener.of(Accepted)
    assert len(accepted) == 1
    guarded.listener.transport.close(accepted[0].link)
    for caller in callers:
        caller.close()
    guarded.until(lambda: len(guarded.listener.transport.open_links()) == 1)
    guarded.sides.remove(side)
    guarded.listener.happened.clear()


def test_nothing_passes_a_cut_and_all_of_it_once_it_is_mended(
    meeting: tuple[Meeting, Security | None],
) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"before")
    there.until(lambda: there.listener.received == b"before")
    (accepted,) = there.listener.of(Accepted)
    assert isinstance(accepted, Accepted)
    side.transport.cut()
    side.transport.send(link, b", behind")
    there.listener.transport.send(accepted.link, b"answer")
    for _ in range(5):
        for each in there.sides:
            each.happened += each.transport.poll(SOON)
    assert there.listener.received == b"before"
    assert side.received == b""
    side.transport.mend()
    there.until(lambda: side.received == b"answer")
    there.until(lambda: there.listener.received == b"before, behind")


def test_a_cut_connection_that_is_closed_does_not_say_so_before_it_is_mended(
    meeting: tuple[Meeting, Security | None],
) -> None:
    there, secured = meeting
    side, link = there.join(secured)
    side.transport.send(link, b"before")
    there.until(lambda: there.listener.received == b"before")
    side.transport.cut()
    side.transport.close(link)
    for _ in range(5):
        for each in there.sides:
            each.happened += each.transport.poll(SOON)
    assert there.listener.of(Closed) == []
    side.transport.mend()
    there.until(lambda: len(there.listener.of(Closed)) == 1)
