"""The primary's rules for its pair: who may join, how a loss is seen, what it leads to."""

from collections.abc import Callable

import pytest
from primary_rig import (
    BACKUP,
    OTHER,
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

from ftvm.replication.arbitration import Lost, Unreachable, Won
from ftvm.replication.events import (
    AskStore,
    Close,
    GenerationWon,
    Halt,
    HaltCause,
    LossCause,
    PeerJoined,
    PeerLost,
)
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    CONSOLE,
    RUN_UNKNOWN,
    ConsoleHello,
    Diverged,
    Fenced,
    Goodbye,
    Heartbeat,
    Hello,
    Output,
    Reason,
    Released,
    Role,
)
from ftvm.replication.primary import PrimaryProtocol, Wait
from ftvm.replication.states import PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition, StreamOffset

# --- boot ---------------------------------------------------------------------------


def test_boot_asks_for_the_first_generation_and_guest_waits() -> None:
    primary = PrimaryProtocol(identity("p"), SETTINGS)
    primary.start()
    assert primary.next_event() == AskStore(Generation(0), "p")
    assert primary.wait is Wait.NOT_STARTED
    primary.store_answered(Won(Generation(1)), at(0))
    assert primary.next_event() == GenerationWon(Generation(1))
    assert primary.state is PrimaryState.AWAITING
    assert not primary.runnable


def test_second_boot_of_one_run_halts() -> None:
    primary = Primary()
    primary.protocol.store_answered(Lost(Generation(1), "first"), at(0))
    assert primary.look() == [Halt(HaltCause.LOST_ARBITRATION, "generation 1 belongs to first")]
    assert primary.protocol.over


def test_waiting_for_a_first_backup_can_be_given_up() -> None:
    primary = solo()
    assert primary.protocol.runnable
    assert primary.protocol.run_limit is None
    assert primary.protocol.deadline() is None


# --- joining ------------------------------------------------------------------------


def test_backup_joins_where_the_primary_stands() -> None:
    primary = paired()
    assert primary.protocol.state is PrimaryState.PAIRED
    assert primary.of(PeerJoined) == [PeerJoined(BACKUP, "b", Generation(1))]
    hello, released = primary.sent(BACKUP)
    assert isinstance(hello, Hello)
    assert (hello.role, hello.generation, hello.count) == (Role.PRIMARY, 1, 0)
    assert released == Released(CONSOLE, StreamOffset(0), False)
    assert primary.protocol.runnable


def test_backup_that_knows_no_run_yet_is_welcome() -> None:
    primary = booted()
    primary.join(backup_hello(run=RUN_UNKNOWN))
    assert primary.protocol.state is PrimaryState.PAIRED


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (backup_hello(run=b"x" * 16), "peer belongs to run 7878"),
        (backup_hello(image=b"x" * 32), "another guest image"),
        (backup_hello(config=b"x" * 32), "configured otherwise"),
        (backup_hello(engine="engine 2"), "engine build engine 2, this is engine 1"),
        (backup_hello(node="p"), "both nodes are called p"),
        (backup_hello(generation=2), "of generation 1, but backup b has seen 2"),
        (backup_hello(count=5), "a pair begins at the same place"),
        (
            greeting(
                identity("q"),
                Role.PRIMARY,
                Generation(0),
                InstructionCount(0),
                LogPosition(0),
            ),
            "is a primary, not a backup",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_does_not_fit_is_told_why_and_dropped(hello: Hello, why: str) -> None:
    primary = booted()
    primary.join(hello)
    (goodbye,) = primary.sent(BACKUP)
    assert isinstance(goodbye, Goodbye)
    assert goodbye.reason is Reason.REFUSED
    assert why in goodbye.detail
    assert primary.of(Close) == [Close(BACKUP, goodbye.detail)]
    assert primary.protocol.state is PrimaryState.AWAITING


def test_second_backup_is_refused_and_the_pair_does_not_notice() -> None:
    primary = paired()
    primary.join(backup_hello("c"), link=OTHER)
    assert [close.link for close in primary.of(Close)] == [OTHER]
    assert primary.protocol.state is PrimaryState.PAIRED


def test_next_backup_at_the_same_place_is_told_all_anew() -> None:
    primary = paired()
    primary.protocol.closed(BACKUP)
    primary.win()
    primary.join(backup_hello("c"), link=OTHER)
    hello, released = primary.sent(OTHER)
    assert isinstance(hello, Hello)
    assert hello.generation == 2
    assert released == Released(CONSOLE, StreamOffset(0), False)


def test_pair_may_begin_anywhere_as_long_as_both_stand_there() -> None:
    primary = solo()
    primary.run(10)
    primary.join(backup_hello(count=10))
    assert primary.protocol.state is PrimaryState.PAIRED
    assert primary.protocol.run_limit == 1_010
    primary.run(20, output=b"out")
    assert primary.released() == b""


def test_garbage_from_a_stranger_costs_only_the_strangers_connection() -> None:
    primary = paired()
    primary.protocol.peer_connected(OTHER, at(0))
    primary.protocol.receive(OTHER, b"GET / HTTP/1.1\r\n", at(0))
    primary.look()
    assert [close.link for close in primary.of(Close)] == [OTHER]
    assert primary.protocol.state is PrimaryState.PAIRED


def test_stranger_who_says_nothing_is_dropped_in_time() -> None:
    primary = booted()
    primary.protocol.peer_connected(OTHER, at(0))
    primary.protocol.console_connected(TERMINAL, at(0))
    assert primary.protocol.deadline() == 1_000
    primary.tick(999)
    assert primary.of(Close) == []
    primary.tick(1_000)
    assert {close.link for close in primary.of(Close)} == {OTHER, TERMINAL}


# --- detection ----------------------------------------------------------------------


def test_heartbeats_go_out_at_the_interval_whatever_else_is_sent() -> None:
    primary = paired()
    primary.tick(0)
    assert primary.sent(BACKUP) == [Heartbeat(InstructionCount(0), SETTINGS.silence_max_ns)]
    primary.tick(99)
    assert primary.sent(BACKUP) == []
    assert primary.protocol.deadline() == 100
    primary.protocol.peer_connected(OTHER, at(0))
    assert primary.protocol.deadline() == 100
    primary.run(5, log=b"x", time=99)
    primary.tick(100)
    assert primary.sent(BACKUP) == [Heartbeat(InstructionCount(5), SETTINGS.silence_max_ns)]


def test_silence_of_so_many_heartbeats_is_a_loss() -> None:
    primary = paired()
    primary.hear(BACKUP, Heartbeat(InstructionCount(0)), time=50)
    primary.tick(349)
    assert primary.of(PeerLost) == []
    primary.tick(350)
    assert [lost.cause for lost in primary.of(PeerLost)] == [LossCause.SILENT]
    assert primary.of(AskStore) == [AskStore(Generation(1), "p")]


def test_backup_that_lives_but_does_not_move_is_lost_in_the_end() -> None:
    primary = paired()
    primary.run(10, output=b"out", time=100)
    for time in range(200, 2_100, 100):
        primary.hear(BACKUP, Heartbeat(InstructionCount(0)), time=time)
        primary.tick(time)
        assert primary.of(PeerLost) == []
    primary.tick(2_100)
    assert [lost.cause for lost in primary.of(PeerLost)] == [LossCause.STALLED]


def test_backup_with_nothing_to_do_does_not_stall() -> None:
    primary = paired()
    primary.run(10, time=100)
    primary.acknowledge(10, 0, executed=10, time=200)
    primary.hear(BACKUP, Heartbeat(InstructionCount(10)), time=9_900)
    primary.tick(10_000)
    assert primary.of(PeerLost) == []
    primary.run(20, time=10_000)
    primary.hear(BACKUP, Heartbeat(InstructionCount(10)), time=11_900)
    primary.tick(11_900)
    assert primary.of(PeerLost) == []


def lose_by_close(primary: Primary) -> None:
    primary.protocol.closed(BACKUP)


def lose_by_goodbye(primary: Primary) -> None:
    leaving = encode(Goodbye(Reason.USER_ACTION, 0, "maintenance"))
    primary.protocol.receive(BACKUP, leaving, at(0))


def lose_by_divergence(primary: Primary) -> None:
    diverged = encode(Diverged(InstructionCount(7), "registers differ"))
    primary.protocol.receive(BACKUP, diverged, at(0))


@pytest.mark.parametrize(
    ("lose", "cause", "detail"),
    [
        (lose_by_close, LossCause.CLOSED, ""),
        (lose_by_goodbye, LossCause.LEFT, "maintenance"),
        (lose_by_divergence, LossCause.DIVERGED, "at instruction 7: registers differ"),
    ],
)
def test_every_loss_goes_to_the_store(
    lose: Callable[[Primary], None], cause: LossCause, detail: str
) -> None:
    primary = paired()
    primary.run(10)
    lose(primary)
    lost, _, question = primary.look()
    assert lost == PeerLost(cause, detail, InstructionCount(10))
    assert question == AskStore(Generation(1), "p")
    assert primary.protocol.state is PrimaryState.ARBITRATING


# --- arbitration --------------------------------------------------------------------


def test_nothing_leaves_until_the_store_has_answered() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"held ")
    primary.protocol.closed(BACKUP)
    primary.run(20, output=b"on")
    assert primary.released() == b""
    assert primary.sent(TERMINAL) == []
    primary.win()
    assert primary.released() == b"held on"
    hello = primary.sent(TERMINAL)[0]
    assert isinstance(hello, ConsoleHello)
    assert hello.generation == 2
    assert Output(Generation(2), CONSOLE, StreamOffset(0), b"held on") in primary.sent(TERMINAL)
    assert primary.protocol.run_limit is None


def test_loser_halts_and_is_heard_no_more() -> None:
    primary = paired()
    primary.run(10, output=b"held")
    primary.protocol.closed(BACKUP)
    primary.look()
    primary.protocol.store_answered(Lost(Generation(2), "b"), at(0))
    assert primary.look() == [Halt(HaltCause.LOST_ARBITRATION, "generation 2 belongs to b")]
    primary.run(20, output=b"more")
    primary.tick(100_000)
    assert primary.events == []
    assert not primary.protocol.runnable
    assert primary.protocol.deadline() is None


def test_unreachable_store_means_waiting_and_going_on_when_it_is_back() -> None:
    primary = paired()
    primary.protocol.closed(BACKUP)
    primary.look()
    primary.protocol.store_answered(Unreachable("timeout"), at(1_000))
    assert primary.protocol.state is PrimaryState.ARBITRATING
    assert primary.protocol.deadline() == 1_500
    primary.tick(1_500)
    assert primary.of(AskStore) == [AskStore(Generation(1), "p")]
    primary.win()
    assert primary.protocol.run_limit is None


def test_guest_computes_on_while_arbitrating_but_within_its_bounds() -> None:
    primary = paired()
    primary.protocol.closed(BACKUP)
    assert primary.protocol.runnable
    primary.run(1_000)
    assert primary.protocol.wait is Wait.LAG


def test_backup_cannot_join_while_arbitrating() -> None:
    primary = paired()
    primary.protocol.closed(BACKUP)
    primary.join(backup_hello("c"), link=OTHER)
    (goodbye,) = primary.sent(OTHER)
    assert isinstance(goodbye, Goodbye)
    assert "arbitrating" in goodbye.detail


@pytest.mark.parametrize("how", ["told", "greeted"])
def test_primary_of_the_past_halts_when_an_endpoint_knows_better(how: str) -> None:
    primary = paired()
    if how == "told":
        primary.attach()
        primary.hear(TERMINAL, Fenced(Generation(2)))
    else:
        primary.attach(hello=console_hello(generation=2))
    assert primary.of(Halt) == [Halt(HaltCause.FENCED, "generation 2 exists")]
