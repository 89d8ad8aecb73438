"""Who is there and who is not: heartbeats on every channel, whatever else is sent on it."""

import pytest
from primary_rig import (
    BACKUP,
    OTHER,
    RUN,
    SETTINGS,
    TERMINAL,
    Primary,
    at,
    backup_hello,
    booted,
    console_hello,
    identity,
    paired,
    solo,
)

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import Close, Event, Halt, PeerJoined, Send, StateWanted
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    CONSOLE,
    Channel,
    ConsoleHello,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
    Reason,
    Role,
)
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition, StreamOffset

BEAT, SILENCE = SETTINGS.heartbeat_interval_ns, SETTINGS.silence_max_ns
HEARTBEAT = Heartbeat(InstructionCount(0), SETTINGS.silence_max_ns)


def hello(needs_state: bool = False) -> Hello:
    return greeting(
        identity("b"), Role.BACKUP, Generation(0), InstructionCount(0), LogPosition(0), needs_state
    )


# --- a primary that waits for its store -------------------------------------------------


def claiming() -> Primary:
    """A primary whose store has not answered yet."""
    return Primary()


@pytest.mark.parametrize("needs_state", [False, True])
def test_who_greets_a_primary_without_a_generation_waits_with_it(needs_state: bool) -> None:
    primary = claiming()
    primary.join(hello(needs_state))
    assert primary.events == []
    for time in range(0, 50 * SILENCE, BEAT):
        primary.tick(time)
        assert HEARTBEAT in primary.sent(BACKUP)
        primary.hear(BACKUP, HEARTBEAT, time=time)
    primary.win()
    assert isinstance(primary.sent(BACKUP)[0], Hello)
    kind = StateWanted if needs_state else PeerJoined
    assert [event.node for event in primary.of(kind)] == ["b"]
    protecting = PrimaryState.PROTECTING if needs_state else PrimaryState.PAIRED
    assert primary.protocol.state is protecting


def test_who_waits_and_falls_silent_is_sent_away() -> None:
    primary = claiming()
    primary.join()
    primary.tick(SILENCE - 1)
    assert primary.of(Close) == []
    primary.tick(SILENCE)
    assert [close.link for close in primary.of(Close)] == [BACKUP]
    primary.win()
    assert primary.protocol.state is PrimaryState.AWAITING


@pytest.mark.parametrize("wrong", [Goodbye(Reason.USER_ACTION, 0, "bye"), hello()])
def test_who_waits_and_says_anything_else_is_sent_away(wrong: Message) -> None:
    primary = claiming()
    primary.join()
    primary.hear(BACKUP, wrong)
    assert [close.link for close in primary.of(Close)] == [BACKUP]


def test_of_two_who_wait_the_first_is_taken() -> None:
    primary = claiming()
    primary.join()
    primary.join(backup_hello("c"), OTHER)
    primary.win()
    assert [event.node for event in primary.of(PeerJoined)] == ["b"]
    assert [close.link for close in primary.of(Close)] == [OTHER]


def test_connection_that_closes_while_it_waits_is_forgotten() -> None:
    primary = claiming()
    primary.join()
    primary.protocol.closed(BACKUP)
    primary.win()
    assert primary.protocol.state is PrimaryState.AWAITING


class Joining:
    """A backup that has greeted."""

    def __init__(self) -> None:
        self.protocol = BackupProtocol(identity("b"), SETTINGS)
        self.protocol.peer_connected(BACKUP, at(0))
        self.events: list[Event] = []
        self.look()

    def look(self) -> None:
        self.events = []
        while (event := self.protocol.next_event()) is not None:
            self.events.append(event)

    def hear(self, *messages: Message, time: int) -> None:
        self.protocol.receive(BACKUP, b"".join(map(encode, messages)), at(time))
        self.look()

    def tick(self, time: int) -> None:
        self.protocol.tick(at(time))
        self.look()


def test_backup_waits_for_a_primary_that_is_there_and_cannot_answer() -> None:
    backup = Joining()
    patience = SETTINGS.greeting_timeout_ns
    for time in range(0, 20 * patience, BEAT):
        backup.hear(HEARTBEAT, time=time)
        backup.tick(time)
        assert [event.message for event in backup.events if isinstance(event, Send)] == [HEARTBEAT]
    yes = greeting(identity("p"), Role.PRIMARY, Generation(1), InstructionCount(0), LogPosition(0))
    backup.hear(yes, time=20 * patience)
    assert backup.protocol.state is BackupState.FOLLOWING


def test_backup_does_not_wait_for_a_primary_that_falls_silent() -> None:
    backup = Joining()
    backup.hear(HEARTBEAT, time=0)
    backup.tick(SILENCE)
    assert any(isinstance(event, Halt) for event in backup.events)


# --- consoles ---------------------------------------------------------------------------


def test_console_is_told_that_its_node_is_there() -> None:
    primary = solo()
    primary.attach()
    for time in range(0, 10 * BEAT, BEAT):
        primary.tick(time)
        assert HEARTBEAT in primary.sent(TERMINAL)
        primary.hear(TERMINAL, HEARTBEAT, time=time)
        assert primary.of(Close) == []


def test_console_that_falls_silent_is_dropped_and_may_come_back() -> None:
    primary = solo()
    primary.attach()
    primary.run(10, output=b"abc")
    primary.tick(SILENCE)
    assert [close.link for close in primary.of(Close)] == [TERMINAL]
    primary.run(20, output=b"def")
    primary.attach(OTHER, console_hello(have=1))
    assert primary.sent(OTHER)[-1].data == b"bcdef"  # type: ignore[attr-defined]


def test_backup_hears_its_consoles_too() -> None:
    backup = Joining()
    backup.protocol.console_connected(TERMINAL, at(0))
    backup.protocol.receive(TERMINAL, encode(console_hello()), at(0))
    backup.look()
    backup.tick(SILENCE)
    closed = [event.link for event in backup.events if isinstance(event, Close)]
    assert TERMINAL in closed


def test_logging_and_console_are_watched_apart() -> None:
    primary = paired()
    primary.attach()
    primary.hear(BACKUP, HEARTBEAT, time=SILENCE - 1)
    primary.tick(SILENCE)
    assert [close.link for close in primary.of(Close)] == [TERMINAL]
    assert primary.protocol.state is PrimaryState.PAIRED


class Terminal:
    """An endpoint with the time in hand."""

    def __init__(self) -> None:
        self.endpoint = ConsoleEndpoint("t", RUN, settings=SETTINGS)
        self.endpoint.connected(BACKUP, at(0))
        self.look()

    def look(self) -> None:
        self.events: list[Event] = []
        while (event := self.endpoint.next_event()) is not None:
            self.events.append(event)

    def hear(self, *messages: Message, time: int) -> None:
        self.endpoint.receive(BACKUP, b"".join(map(encode, messages)), at(time))
        self.look()

    def tick(self, time: int) -> None:
        self.endpoint.tick(at(time))
        self.look()


def node_hello() -> ConsoleHello:
    inputs: tuple[tuple[Channel, StreamOffset], ...] = ((CONSOLE, StreamOffset(0)),)
    return ConsoleHello(Role.PRIMARY, "p", RUN, Generation(1), inputs)


def test_endpoint_beats_and_listens_to_each_node() -> None:
    terminal = Terminal()
    terminal.hear(node_hello(), time=0)
    for time in range(0, 10 * BEAT, BEAT):
        assert terminal.endpoint.deadline() is not None
        terminal.tick(time)
        assert terminal.events == [Send(BACKUP, HEARTBEAT)]
        terminal.hear(HEARTBEAT, time=time)
    assert terminal.endpoint.attached == BACKUP


@pytest.mark.parametrize("greeted", [True, False])
def test_endpoint_leaves_a_node_that_is_silent(greeted: bool) -> None:
    terminal = Terminal()
    if greeted:
        terminal.hear(node_hello(), time=0)
    terminal.tick(SILENCE)
    assert [event.link for event in terminal.events if isinstance(event, Close)] == [BACKUP]
    assert terminal.endpoint.attached is None
    assert terminal.endpoint.deadline() is None


def test_nobody_to_hear_is_nobody_to_lose() -> None:
    primary = booted()
    primary.tick(100 * SILENCE)
    assert primary.events == []
