"""The backup's rules: how far it may run, what it acknowledges, when and how it goes live."""

from typing import TypeVar

import pytest

from ftvm.replication.arbitration import Lost, Unreachable, Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import (
    AskStore,
    Close,
    Ended,
    Event,
    FeedLog,
    GenerationWon,
    GoLive,
    Halt,
    HaltCause,
    InputArrived,
    Link,
    LossCause,
    OutputReleased,
    PeerJoined,
    PeerLost,
    Send,
)
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    CONSOLE,
    RUN_UNKNOWN,
    Ack,
    ConsoleHello,
    Diverged,
    Entries,
    Exited,
    Goodbye,
    Heartbeat,
    Hello,
    Input,
    Mark,
    Message,
    Output,
    Reason,
    Released,
    Role,
)
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset

RUN = b"r" * 16
PRIMARY, TERMINAL = Link(1), Link(2)
SETTINGS = Settings(
    heartbeat_interval_ns=Nanoseconds(100),
    heartbeats_missed_max=3,
    greeting_timeout_ns=Nanoseconds(1_000),
    store_retry_interval_ns=Nanoseconds(500),
    lag_count_max=InstructionCount(1_000),
    mark_count_max=InstructionCount(125),
)
E_ = TypeVar("E_", bound=Event)


def identity(node: str, **other: object) -> Identity:
    fields = {"run": RUN, "image": b"i" * 32, "config": b"c" * 32, "engine": "engine 1", **other}
    return Identity(node, **fields)  # type: ignore[arg-type]


def at(time: int) -> Nanoseconds:
    return Nanoseconds(time)


def mark(count: int, position: int = 0) -> Mark:
    return Mark(InstructionCount(count), LogPosition(position))


def ack(count: int, position: int = 0, executed: int = 0) -> Ack:
    return Ack(InstructionCount(count), LogPosition(position), InstructionCount(executed))


def entries(position: int, data: bytes) -> Entries:
    return Entries(LogPosition(position), data)


def primary_hello(node: str = "p", generation: int = 1, **other: object) -> Hello:
    return greeting(
        identity(node, **other),
        Role.PRIMARY,
        Generation(generation),
        InstructionCount(0),
        LogPosition(0),
    )


class Backup:
    """A backup with short words for what happens to it."""

    def __init__(self, run: bytes = RUN) -> None:
        self.protocol = BackupProtocol(identity("b", run=run), SETTINGS)
        self.protocol.peer_connected(PRIMARY, at(0))
        self.events: list[Event] = []
        self.look()

    def look(self) -> list[Event]:
        self.events = []
        while (event := self.protocol.next_event()) is not None:
            self.events.append(event)
        return self.events

    def of(self, kind: type[E_]) -> list[E_]:
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self, link: Link = PRIMARY) -> list[Message]:
        return [event.message for event in self.of(Send) if event.link == link]

    def hear(self, *messages: Message, time: int = 0, link: Link = PRIMARY) -> None:
        self.protocol.receive(link, b"".join(map(encode, messages)), at(time))
        self.look()

    def attach(self, have: int = 0) -> None:
        self.protocol.console_connected(TERMINAL, at(0))
        offsets = ((CONSOLE, StreamOffset(have)),)
        self.hear(ConsoleHello(Role.ENDPOINT, "t", RUN, Generation(1), offsets), link=TERMINAL)

    def run(self, count: int, position: int = 0, *, output: bytes = b"") -> None:
        if output:
            self.protocol.output_made(CONSOLE, InstructionCount(count), output)
        self.protocol.executed(InstructionCount(count), LogPosition(position), at(0))
        self.look()

    def lose(self) -> None:
        self.protocol.closed(PRIMARY)
        self.look()

    def go_live(self) -> PrimaryProtocol:
        self.protocol.store_answered(Won(Generation(2)), at(0))
        self.look()
        return self.protocol.promote()


@pytest.fixture
def following() -> Backup:
    backup = Backup()
    backup.hear(primary_hello())
    return backup


def outcome_of(protocol: PrimaryProtocol) -> list[Event]:
    events = []
    while (event := protocol.next_event()) is not None:
        events.append(event)
    return events


# --- joining ------------------------------------------------------------------------


def test_backup_greets_first_and_waits_for_consent() -> None:
    protocol = BackupProtocol(identity("b"), SETTINGS)
    protocol.peer_connected(PRIMARY, at(0))
    event = protocol.next_event()
    assert isinstance(event, Send)
    assert isinstance(event.message, Hello)
    assert event.message.role is Role.BACKUP
    assert protocol.state is BackupState.JOINING


def test_consent_makes_a_pair(following: Backup) -> None:
    assert following.of(PeerJoined) == [PeerJoined(PRIMARY, "p", Generation(1))]
    assert following.protocol.generation == 1


def test_backup_without_a_run_takes_the_primarys() -> None:
    backup = Backup(run=RUN_UNKNOWN)
    backup.hear(primary_hello())
    backup.lose()
    assert backup.go_live().console.run == RUN


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (primary_hello(run=b"x" * 16), "peer belongs to run"),
        (primary_hello(image=b"x" * 32), "another guest image"),
        (primary_hello(node="b"), "both nodes are called b"),
        (Goodbye(Reason.REFUSED, 0, "a pair begins at the same place"), "refused: a pair begins"),
        (mark(1), "Mark before a greeting"),
    ],
    ids=["other run", "other image", "same name", "refused", "no greeting"],
)
def test_backup_that_was_never_accepted_never_goes_live(answer: Message, why: str) -> None:
    backup = Backup()
    backup.hear(answer)
    (halt,) = backup.of(Halt)
    assert halt.cause is HaltCause.REFUSED
    assert why in halt.detail
    assert backup.of(AskStore) == []


def test_connection_lost_before_consent_halts() -> None:
    backup = Backup()
    backup.lose()
    assert [halt.cause for halt in backup.of(Halt)] == [HaltCause.REFUSED]


def test_primary_that_does_not_answer_is_given_up_in_time() -> None:
    backup = Backup()
    assert backup.protocol.deadline() == 1_000
    backup.protocol.tick(at(1_000))
    backup.look()
    assert [halt.detail for halt in backup.of(Halt)] == ["no answer to the greeting"]


# --- following ----------------------------------------------------------------------


def test_machine_is_fed_only_what_a_mark_covers(following: Backup) -> None:
    following.hear(entries(0, b"abc"))
    assert following.events == []
    assert not following.protocol.runnable
    following.hear(entries(3, b"de"), mark(10, 4))
    assert following.of(FeedLog) == [FeedLog(LogPosition(0), b"abcd")]
    assert following.protocol.run_limit == 10
    following.hear(mark(20, 5))
    assert following.of(FeedLog) == [FeedLog(LogPosition(4), b"e")]


def test_mark_is_acknowledged_on_receipt_not_on_execution(following: Backup) -> None:
    following.hear(entries(0, b"abc"), mark(10, 3))
    assert following.sent() == [ack(10, 3)]


def test_marks_that_come_together_are_acknowledged_together(following: Backup) -> None:
    following.hear(mark(10), mark(20), entries(0, b"a"), mark(20, 1))
    assert following.sent() == [ack(20, 1)]


def test_machine_at_the_mark_with_log_left_still_has_work(following: Backup) -> None:
    following.hear(mark(10))
    following.run(10)
    assert not following.protocol.runnable
    following.hear(entries(0, b"event"), mark(10, 5))
    assert following.protocol.runnable
    following.run(10, 5)
    assert not following.protocol.runnable


def test_progress_is_told_at_the_mark_and_as_often_as_marks_come(following: Backup) -> None:
    following.hear(mark(900))
    following.run(124)
    assert following.sent() == []
    following.run(125)
    assert following.sent() == [ack(900, 0, 125)]
    following.run(249)
    assert following.sent() == []
    following.run(900)
    assert following.sent() == [ack(900, 0, 900)]


@pytest.mark.parametrize(
    "wrong",
    [
        [entries(1, b"gap")],
        [mark(10), mark(9)],
        [mark(10, 1)],
        [entries(0, b"abc"), mark(10, 3), mark(11, 2)],
        [ack(0)],
        [Released(CONSOLE, StreamOffset(0), True), primary_hello()],
    ],
    ids=["gap", "count back", "log missing", "position back", "ack", "second greeting"],
)
def test_primary_that_breaks_the_protocol_is_lost(following: Backup, wrong: list[Message]) -> None:
    following.hear(*wrong)
    assert [lost.cause for lost in following.of(PeerLost)] == [LossCause.BROKE_PROTOCOL]
    assert [close.link for close in following.of(Close)] == [PRIMARY]


def test_machine_cannot_run_past_the_mark(following: Backup) -> None:
    following.hear(mark(10))
    with pytest.raises(ValueError, match="mark 10"):
        following.run(11)
    with pytest.raises(ValueError, match="log used to 1"):
        following.run(10, 1)


# --- failure and going live -----------------------------------------------------------


def test_silence_is_a_loss_and_heartbeats_are_sent(following: Backup) -> None:
    following.protocol.tick(at(0))
    following.look()
    assert following.sent() == [Heartbeat(InstructionCount(0), SETTINGS.silence_max_ns)]
    following.hear(Heartbeat(InstructionCount(0)), time=200)
    following.protocol.tick(at(499))
    assert PeerLost not in map(type, following.look())
    following.protocol.tick(at(500))
    following.look()
    assert [lost.cause for lost in following.of(PeerLost)] == [LossCause.SILENT]


def test_going_live_runs_to_the_last_mark_before_it_asks(following: Backup) -> None:
    following.hear(entries(0, b"abcXY"), mark(10, 3))
    following.run(4, 1)
    following.lose()
    assert following.of(AskStore) == []
    assert following.protocol.state is BackupState.CATCHING_UP
    assert following.protocol.run_limit == 10
    following.run(10, 3)
    assert following.of(AskStore) == [AskStore(Generation(1), "b")]
    following.protocol.store_answered(Won(Generation(2)), at(0))
    assert following.look() == [
        GoLive(
            Generation(2),
            InstructionCount(10),
            LogPosition(3),
            ((CONSOLE, StreamOffset(0)),),
        )
    ]


def test_backup_at_the_mark_asks_at_once(following: Backup) -> None:
    following.lose()
    assert following.of(AskStore) == [AskStore(Generation(1), "b")]


def test_dead_primarys_last_words_are_not_heard(following: Backup) -> None:
    following.lose()
    following.hear(mark(10))
    assert following.events == []
    assert following.protocol.run_limit == 0


def test_loser_halts(following: Backup) -> None:
    following.lose()
    following.protocol.store_answered(Lost(Generation(2), "p"), at(0))
    assert following.look() == [Halt(HaltCause.LOST_ARBITRATION, "generation 2 belongs to p")]
    with pytest.raises(ValueError, match="a backup that is halted cannot be promoted"):
        following.protocol.promote()


def test_unreachable_store_means_waiting(following: Backup) -> None:
    following.lose()
    following.protocol.store_answered(Unreachable("timeout"), at(1_000))
    assert following.protocol.deadline() == 1_500
    following.protocol.tick(at(1_500))
    following.look()
    assert following.of(AskStore) == [AskStore(Generation(1), "b")]


def test_live_backup_emits_from_what_it_knows_arrived(following: Backup) -> None:
    following.attach()
    following.hear(mark(10), mark(20), Released(CONSOLE, StreamOffset(4), True))
    following.run(10, output=b"abc")
    following.run(20, output=b"defg")
    following.lose()
    events = outcome_of(following.go_live())
    assert Send(TERMINAL, Output(Generation(2), CONSOLE, StreamOffset(4), b"efg")) in events
    assert [e.data for e in events if isinstance(e, OutputReleased)] == [b"efg"]


def test_live_backup_asks_for_input_from_what_its_machine_took(following: Backup) -> None:
    following.attach()
    following.hear(entries(0, b"input"), mark(10, 5))
    following.protocol.input_consumed(CONSOLE, StreamOffset(3), InstructionCount(10))
    following.run(10, 5)
    following.lose()
    primary = following.go_live()
    assert [e.inputs for e in following.of(GoLive)] == [((CONSOLE, StreamOffset(3)),)]
    won, hello = outcome_of(primary)[:2]
    assert won == GenerationWon(Generation(2))
    assert isinstance(hello, Send)
    assert isinstance(hello.message, ConsoleHello)
    assert (hello.message.role, hello.message.generation) == (Role.PRIMARY, 2)
    assert hello.message.offsets == ((CONSOLE, StreamOffset(3)),)
    primary.receive(TERMINAL, encode(Input(CONSOLE, StreamOffset(2), b"xy")), at(0))
    assert InputArrived(CONSOLE, StreamOffset(3), b"y") in outcome_of(primary)


def test_live_backup_goes_on_where_it_stood(following: Backup) -> None:
    following.hear(entries(0, b"abc"), mark(10, 3))
    following.run(10, 3)
    following.lose()
    primary = following.go_live()
    assert primary.state is PrimaryState.SOLO
    assert (primary.generation, primary.count, primary.position) == (2, 10, 3)
    assert primary.run_limit is None


def test_end_that_the_backup_computed_is_told_when_it_goes_live(following: Backup) -> None:
    following.attach()
    following.hear(mark(10))
    following.protocol.exited(InstructionCount(10), 3, b"digest")
    following.run(10)
    following.lose()
    events = outcome_of(following.go_live())
    assert Send(TERMINAL, Exited(Generation(2), 3, InstructionCount(10), b"digest")) in events


def test_console_may_wait_at_the_backup_but_not_type(following: Backup) -> None:
    following.attach()
    (hello,) = following.sent(TERMINAL)
    assert isinstance(hello, ConsoleHello)
    assert hello.role is Role.BACKUP
    following.hear(Input(CONSOLE, StreamOffset(0), b"x"), link=TERMINAL)
    assert [close.link for close in following.of(Close)] == [TERMINAL]


# --- not going live -------------------------------------------------------------------


def test_diverged_backup_tells_the_primary_and_halts(following: Backup) -> None:
    following.hear(mark(10))
    following.protocol.diverged(InstructionCount(7), "registers differ")
    following.look()
    assert following.sent() == [Diverged(InstructionCount(7), "registers differ")]
    assert [halt.cause for halt in following.of(Halt)] == [HaltCause.DIVERGED]
    following.lose()
    assert following.events == []


def test_backup_that_made_less_than_was_released_has_diverged(following: Backup) -> None:
    following.hear(mark(10), Released(CONSOLE, StreamOffset(4), True))
    following.run(10, output=b"abc")
    following.lose()
    assert following.of(AskStore) == []
    (halt,) = following.of(Halt)
    assert halt.cause is HaltCause.DIVERGED
    assert "released to 4" in halt.detail


def test_backup_ends_with_the_guest_after_computing_the_end_itself(following: Backup) -> None:
    following.hear(mark(10), Goodbye(Reason.GUEST_ENDED, 3, ""))
    assert following.of(Ended) == []
    following.protocol.exited(InstructionCount(10), 3, b"")
    following.run(10)
    assert following.events == [Ended(Reason.GUEST_ENDED, 3)]
    assert following.of(AskStore) == []


@pytest.mark.parametrize("end", [(4, b""), (3, b"other"), None], ids=["status", "state", "no end"])
def test_backup_that_does_not_end_as_the_primary_did_has_diverged(
    following: Backup, end: tuple[int, bytes] | None
) -> None:
    theirs = Exited(Generation(1), 3, InstructionCount(10), b"")
    following.hear(mark(10), theirs, Goodbye(Reason.GUEST_ENDED, 3, ""))
    if end is not None:
        following.protocol.exited(InstructionCount(10), *end)
    following.run(10)
    assert [halt.cause for halt in following.of(Halt)] == [HaltCause.DIVERGED]


def test_backup_whose_guest_ends_before_the_primarys_has_diverged(following: Backup) -> None:
    following.hear(mark(10))
    following.protocol.exited(InstructionCount(7), 3, b"")
    following.run(7)
    (halt,) = following.of(Halt)
    assert "the primary's goes on" in halt.detail


def test_connection_that_closes_after_goodbye_is_no_failure(following: Backup) -> None:
    following.hear(mark(10), Goodbye(Reason.USER_ACTION, 0, ""))
    following.lose()
    assert following.events == []
    following.run(10)
    assert following.events == [Ended(Reason.USER_ACTION, 0)]


def test_backup_that_stands_at_the_end_ends_at_once(following: Backup) -> None:
    following.hear(Goodbye(Reason.USER_ACTION, 0, ""))
    assert following.events == [Close(PRIMARY, "primary left"), Ended(Reason.USER_ACTION, 0)]


def test_backup_wants_to_be_woken_for_its_next_heartbeat(following: Backup) -> None:
    following.protocol.tick(at(0))
    assert following.protocol.deadline() == 100


def test_backup_drops_a_console_that_does_not_greet(following: Backup) -> None:
    following.protocol.console_connected(TERMINAL, at(50))
    following.hear(Heartbeat(InstructionCount(0)), time=900)
    assert following.protocol.deadline() == 0, "its own first heartbeat"
    following.protocol.tick(at(1_049))
    assert following.protocol.deadline() == 1_050
    following.protocol.tick(at(1_050))
    following.look()
    assert [close.link for close in following.of(Close)] == [TERMINAL]


def test_backup_that_is_stopped_says_so(following: Backup) -> None:
    following.protocol.stop("maintenance")
    following.look()
    assert following.sent() == [Goodbye(Reason.USER_ACTION, 0, "maintenance")]
    assert following.events[-1] == Ended(Reason.USER_ACTION, 0)
    assert following.protocol.over
    following.lose()
    assert following.events == []
