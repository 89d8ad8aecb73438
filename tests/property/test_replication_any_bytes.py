"""Whatever a peer sends: messages survive the wire, and garbage never does more than end a link."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftvm.errors import ProtocolError
from ftvm.replication import wire
from ftvm.replication.arbitration import Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import Close, Event, Halt, Link, PeerLost
from ftvm.replication.framing import FIELDS, FrameDecoder, encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    CONSOLE_MESSAGES,
    LOGGING_MESSAGES,
    STATUS_MESSAGES,
    ConsoleHello,
    Message,
    Role,
)
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds

RUN = b"r" * 16
NOW = Nanoseconds(0)
LINK, OTHER = Link(1), Link(2)


def identity(node: str) -> Identity:
    return Identity(node, RUN, b"i" * 32, b"c" * 32, "engine")


def values(kind: wire.FieldKind) -> st.SearchStrategy[Any]:
    match kind:
        case wire.Unsigned(size):
            # Small numbers too, so that messages sometimes fit a protocol's state.
            return st.integers(0, 3) | st.integers(0, (1 << 8 * size) - 1)
        case wire.Flag():
            return st.booleans()
        case wire.Choice(members):
            return st.sampled_from(list(members))
        case wire.Fixed(size):
            return st.binary(min_size=size, max_size=size) | st.just(RUN[:1] * size)
        case wire.Blob(size):
            return st.binary(max_size=min(size, 50))
        case wire.Text(size):
            return st.text(max_size=20).map(kind.fit)
        case wire.Offsets():
            pairs = st.dictionaries(st.integers(0, 65535), st.integers(0, 2**64 - 1), max_size=16)
            return pairs.map(lambda chosen: tuple(sorted(chosen.items())))
    raise AssertionError(kind)


def messages_of(types: tuple[type[Message], ...]) -> st.SearchStrategy[Message]:
    builds: list[st.SearchStrategy[Message]] = [
        st.builds(message, **{name: values(kind) for name, kind in FIELDS[message]})
        for message in types
    ]
    return st.one_of(*builds)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    result = []
    for size in sizes:
        result.append(data[:size])
        data = data[size:]
    return [*result, data]


CHANNELS = [
    pytest.param(FrameDecoder.for_logging, LOGGING_MESSAGES, id="logging"),
    pytest.param(FrameDecoder.for_console, CONSOLE_MESSAGES, id="console"),
    pytest.param(FrameDecoder.for_status, STATUS_MESSAGES, id="status"),
]
Decoders = Callable[[], FrameDecoder]


def drained(decoder: FrameDecoder) -> list[Message]:
    found = []
    while (message := decoder.next_message()) is not None:
        found.append(message)
    return found


def drained_or_refused(decoder: FrameDecoder) -> list[Message]:
    try:
        return drained(decoder)
    except ProtocolError as error:
        line = str(error)
    assert line.isprintable()
    return []


@pytest.mark.parametrize(("decoder", "types"), CHANNELS)
@given(data=st.data())
def test_messages_survive_the_wire_in_any_pieces(
    decoder: Decoders, types: tuple[type[Message], ...], data: st.DataObject
) -> None:
    sent = data.draw(st.lists(messages_of(types), max_size=6))
    stream = b"".join(encode(message) for message in sent)
    one = decoder()
    received = []
    for piece in pieces(stream, data.draw(st.lists(st.integers(0, 40), max_size=10))):
        one.feed(piece)
        received += drained(one)
    assert received == sent


@pytest.mark.parametrize(("decoder", "types"), CHANNELS)
@given(data=st.binary(max_size=100), header=st.booleans())
def test_arbitrary_bytes_are_messages_or_a_protocol_error(
    decoder: Decoders, types: tuple[type[Message], ...], data: bytes, header: bool
) -> None:
    one = decoder()
    one.feed(len(data).to_bytes(4, "big") + data if header else data)
    assert all(type(message) in types for message in drained_or_refused(one))


@pytest.mark.parametrize(("decoder", "types"), CHANNELS)
@given(data=st.data())
def test_damaged_messages_are_messages_or_a_protocol_error(
    decoder: Decoders, types: tuple[type[Message], ...], data: st.DataObject
) -> None:
    frame = bytearray(encode(data.draw(messages_of(types))))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    one = decoder()
    one.feed(bytes(frame))
    assert all(type(message) in types for message in drained_or_refused(one))


# --- whole protocol objects ---------------------------------------------------------


def events_of(protocol: PrimaryProtocol | BackupProtocol | ConsoleEndpoint) -> list[Event]:
    found = []
    while (event := protocol.next_event()) is not None:
        found.append(event)
    return found


def start_place(role: Role, node: str) -> bytes:
    generation = Generation(1 if role is Role.PRIMARY else 0)
    zero = InstructionCount(0)
    return encode(greeting(identity(node), role, generation, zero, LogPosition(0)))


def console_greeting(role: Role, node: str) -> bytes:
    return encode(ConsoleHello(role, node, RUN, Generation(role is Role.PRIMARY), ()))


def streams(types: tuple[type[Message], ...]) -> st.SearchStrategy[bytes]:
    """Bytes of a peer that knows the frames but not the rules, or not even the frames."""
    some = st.lists(messages_of(types), max_size=5).map(lambda ms: b"".join(map(encode, ms)))
    return st.tuples(some, st.binary(max_size=20)).map(b"".join)


@given(greets=st.booleans(), data=streams(LOGGING_MESSAGES))
def test_primary_survives_any_backup(greets: bool, data: bytes) -> None:
    primary = PrimaryProtocol(identity("p"), Settings())
    primary.start()
    primary.store_answered(Won(Generation(1)), NOW)
    primary.peer_connected(LINK, NOW)
    if greets:
        primary.receive(LINK, start_place(Role.BACKUP, "b"), NOW)
    primary.receive(LINK, data, NOW)
    events = events_of(primary)
    assert not any(isinstance(event, Halt) for event in events)


@given(greets=st.booleans(), data=streams(LOGGING_MESSAGES))
def test_backup_survives_any_primary(greets: bool, data: bytes) -> None:
    backup = BackupProtocol(identity("b"), Settings())
    backup.peer_connected(LINK, NOW)
    if greets:
        backup.receive(LINK, start_place(Role.PRIMARY, "p"), NOW)
    backup.receive(LINK, data, NOW)
    lost = sum(isinstance(event, PeerLost | Halt) for event in events_of(backup))
    assert lost <= 2


@given(greets=st.booleans(), data=streams(CONSOLE_MESSAGES))
def test_console_is_dropped_and_the_next_is_served(greets: bool, data: bytes) -> None:
    primary = PrimaryProtocol(identity("p"), Settings())
    primary.start()
    primary.store_answered(Won(Generation(1)), NOW)
    primary.console_connected(LINK, NOW)
    if greets:
        primary.receive(LINK, console_greeting(Role.ENDPOINT, "c"), NOW)
    primary.receive(LINK, data, NOW)
    events_of(primary)
    if not primary.over:  # a console may rightly tell it of a newer generation
        primary.console_connected(OTHER, NOW)
        primary.receive(OTHER, console_greeting(Role.ENDPOINT, "d"), NOW)
        assert not any(isinstance(e, Close) and e.link == OTHER for e in events_of(primary))


@given(greets=st.booleans(), data=streams(CONSOLE_MESSAGES))
def test_endpoint_survives_any_node(greets: bool, data: bytes) -> None:
    endpoint = ConsoleEndpoint("c", RUN)
    endpoint.connected(LINK, NOW)
    if greets:
        endpoint.receive(LINK, console_greeting(Role.PRIMARY, "p"), NOW)
    endpoint.receive(LINK, data, NOW)
    events = events_of(endpoint)
    endpoint.write(b"still here")
    events += events_of(endpoint)
    assert sum(isinstance(event, Close) for event in events) <= 1
