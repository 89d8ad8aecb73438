"""A primary that runs alone and a new backup become a pair: who may do what, and from when."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from primary_rig import (
    RUN,
    SETTINGS,
    TERMINAL,
    Primary,
    at,
    booted,
    console_hello,
    identity,
    solo,
)

from ftvm.replication.arbitration import Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import (
    AskStore,
    Close,
    Ended,
    Event,
    FeedLog,
    FeedState,
    GoLive,
    Halt,
    HaltCause,
    Link,
    LossCause,
    OutputReleased,
    PeerJoined,
    PeerLost,
    ProtectionFailed,
    Send,
    StateGiven,
    StateWanted,
)
from ftvm.replication.messages import (
    CONSOLE,
    HASH_UNKNOWN,
    RUN_UNKNOWN,
    Ack,
    Commit,
    Complete,
    Goodbye,
    Handover,
    Heartbeat,
    Kept,
    Mark,
    Message,
    Output,
    Received,
    State,
    Taken,
)
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset

LINK = Link(7)
BEAT = Heartbeat(InstructionCount(0))
DIGEST = b"d" * 16


class Pairing:
    """A primary that has run alone to count 50 and a backup without a machine, joined by hand."""

    def __init__(self, rig: Primary | None = None, **backup: bytes) -> None:
        if rig is None:
            rig = solo()
            rig.attach()
            rig.run(50, log=b"l" * 20, output=b"early")
        self.primary = rig.protocol
        self.backup = BackupProtocol(identity("n", **backup), SETTINGS, needs_state=True)
        self.of_primary: list[Event] = list(rig.events)
        self.of_backup: list[Event] = []
        self.primary.peer_connected(LINK, at(0))
        self.backup.peer_connected(LINK, at(0))
        self.now = 0
        self.cut = False
        self.settle()

    def settle(self) -> None:
        """Let all messages arrive."""
        moved = True
        while moved:
            moved = False
            while (event := self.primary.next_event()) is not None:
                self.of_primary.append(event)
                moved |= self._carry(event, self.backup)
            while (event := self.backup.next_event()) is not None:
                self.of_backup.append(event)
                moved |= self._carry(event, self.primary)

    def _carry(self, event: Event, to: PrimaryProtocol | BackupProtocol) -> bool:
        if not isinstance(event, Send) or event.link != LINK or self.cut:
            return False
        to.receive(LINK, event.data, at(self.now))
        return True

    def give(self, pieces: int) -> None:
        for number in range(pieces):
            self.primary.send_state(b"piece %d" % number, at(self.now))
        self.settle()

    def hand_over(self) -> None:
        self.primary.hand_over([b"last"], DIGEST, at(self.now))
        self.settle()

    def complete(self, digest: bytes = DIGEST) -> None:
        self.backup.state_complete(digest)
        self.settle()

    def run(self, count: int, log: bytes = b"", output: bytes = b"") -> None:
        self.primary.log_produced(log)
        if output:
            self.primary.output_made(CONSOLE, InstructionCount(count), output)
        self.primary.executed(InstructionCount(count), at(self.now))
        self.settle()

    def follow(self, count: int, position: int, output: bytes = b"") -> None:
        if output:
            self.backup.output_made(CONSOLE, InstructionCount(count), output)
        self.backup.executed(InstructionCount(count), LogPosition(position), at(self.now))
        self.settle()

    def lose_each_other(self) -> None:
        self.cut = True
        self.primary.closed(LINK)
        self.backup.closed(LINK)
        self.settle()

    def released(self) -> bytes:
        return b"".join(e.data for e in self.of_primary if isinstance(e, OutputReleased))

    def sent(self, events: list[Event]) -> list[Message]:
        return [event.message for event in events if isinstance(event, Send)]


def kinds(events: list[Event]) -> set[type[Event]]:
    return {type(event) for event in events}


STAGES: list[Callable[[Pairing], None]] = [
    lambda pairing: None,
    lambda pairing: pairing.give(3),
    lambda pairing: pairing.hand_over(),
]


def reach(pairing: Pairing, stage: int) -> None:
    for step in STAGES[: stage + 1]:
        step(pairing)


def paired() -> Pairing:
    pairing = Pairing()
    reach(pairing, 2)
    pairing.complete()
    return pairing


def test_the_two_become_a_pair() -> None:
    pairing = Pairing()
    assert pairing.primary.state is PrimaryState.PROTECTING
    assert pairing.backup.state is BackupState.RECEIVING
    assert StateWanted(LINK, "n") in pairing.of_primary
    reach(pairing, 2)
    fed = [event.piece for event in pairing.of_backup if isinstance(event, FeedState)]
    assert fed == [b"piece 0", b"piece 1", b"piece 2", b"last"]
    (given,) = (event for event in pairing.of_backup if isinstance(event, StateGiven))
    assert (given.count, given.position, dict(given.outputs)) == (50, 20, {CONSOLE: 5})
    assert not pairing.sent(pairing.of_primary).count(Commit(Generation(1)))
    pairing.complete()
    assert pairing.primary.state is PrimaryState.PAIRED
    assert pairing.backup.state is BackupState.FOLLOWING
    assert PeerJoined(LINK, "n", Generation(1)) in pairing.of_primary
    assert PeerJoined(LINK, "p", Generation(1)) in pairing.of_backup


def test_the_log_goes_on_from_the_handover() -> None:
    pairing = Pairing()
    pairing.give(1)
    pairing.run(60, log=b"before")
    pairing.hand_over()
    pairing.run(70, log=b"behind")
    assert [e for e in pairing.of_backup if isinstance(e, FeedLog)] == [
        FeedLog(LogPosition(26), b"behind")
    ]
    assert pairing.backup.run_limit == 70
    pairing.complete()
    pairing.follow(70, 32)
    assert pairing.primary.lockstep.executed == 70


def test_outputs_leave_at_once_up_to_the_commit_and_are_held_behind_it() -> None:
    pairing = Pairing()
    for stage, step in enumerate(STAGES):
        step(pairing)
        pairing.run(60 + stage, log=b"l", output=b"%d" % stage)
        assert pairing.released() == b"early012"[: 6 + stage]
    pairing.complete()
    pairing.cut = True
    pairing.run(80, log=b"l", output=b"held")
    assert pairing.released() == b"early012"
    assert pairing.primary.held_bytes == 4
    ack = Ack(InstructionCount(80), LogPosition(24), InstructionCount(62))
    pairing.primary.receive(LINK, Send(LINK, ack).data, at(0))
    pairing.settle()
    assert pairing.released() == b"early012held"


def test_what_left_before_the_commit_is_marked_before_it() -> None:
    """Nobody waited for a mark then; but who goes live behind the commit must come as far."""
    pace = {"mark_interval_ns": Nanoseconds(10**9), "mark_count_max": InstructionCount(10**6)}
    rig = solo(replace(SETTINGS, **pace))  # type: ignore[arg-type]  # by name, in a test
    rig.attach()
    rig.run(50, log=b"l" * 20)
    pairing = Pairing(rig)
    pairing.give(1)
    pairing.hand_over()
    pairing.run(70, log=b"input")
    pairing.primary.input_consumed(CONSOLE, StreamOffset(1), InstructionCount(70))
    assert pairing.backup.run_limit == 50
    pairing.complete()
    assert pairing.backup.state is BackupState.FOLLOWING
    assert pairing.backup.run_limit == 70
    assert pairing.backup.mark.position == pairing.primary.position
    told = [type(m) for m in pairing.sent(pairing.of_primary) if isinstance(m, Mark | Commit)]
    assert told == [Mark, Commit]


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_up_to_the_commit_a_loss_is_nobodys_business(stage: int) -> None:
    pairing = Pairing()
    reach(pairing, stage)
    pairing.lose_each_other()
    assert pairing.primary.state is PrimaryState.SOLO
    assert ProtectionFailed(LossCause.CLOSED, "") in pairing.of_primary
    assert AskStore not in kinds(pairing.of_primary[-3:])
    assert PeerLost not in kinds(pairing.of_primary)
    assert pairing.backup.state is BackupState.HALTED
    assert AskStore not in kinds(pairing.of_backup)
    (halt,) = (event for event in pairing.of_backup if isinstance(event, Halt))
    assert halt.cause is HaltCause.UNPROTECTED
    pairing.run(90, log=b"l", output=b" on")
    assert pairing.released() == b"early on"


def test_a_backup_that_is_complete_may_not_go_live_before_it_is_told() -> None:
    pairing = Pairing()
    reach(pairing, 2)
    pairing.cut = True
    pairing.complete()
    assert pairing.backup.state is BackupState.READY
    pairing.lose_each_other()
    assert pairing.backup.state is BackupState.HALTED
    assert AskStore not in kinds(pairing.of_backup)


def test_behind_the_commit_both_ask_the_store() -> None:
    pairing = paired()
    pairing.lose_each_other()
    assert AskStore(Generation(1), "p") in pairing.of_primary
    assert AskStore(Generation(1), "n") in pairing.of_backup
    assert pairing.primary.state is PrimaryState.ARBITRATING


def test_a_commit_that_does_not_arrive_is_arbitrated_for_by_the_primary_alone() -> None:
    pairing = Pairing()
    reach(pairing, 2)
    complete = Complete(InstructionCount(50), DIGEST)
    pairing.primary.receive(LINK, Send(LINK, complete).data, at(0))
    pairing.lose_each_other()
    assert AskStore(Generation(1), "p") in pairing.of_primary
    assert AskStore not in kinds(pairing.of_backup)


def test_output_that_was_perhaps_not_seen_is_shown_again_by_the_new_primary() -> None:
    pairing = Pairing()
    confirmed = Received(CONSOLE, StreamOffset(2))
    pairing.primary.receive(TERMINAL, Send(TERMINAL, confirmed).data, at(0))
    reach(pairing, 2)
    assert [m for m in pairing.sent(pairing.of_primary) if isinstance(m, Kept)] == [
        Kept(CONSOLE, StreamOffset(2), b"rly")
    ]
    pairing.complete()
    pairing.run(60, log=b"l", output=b"late")
    pairing.follow(60, 21, output=b"late")
    pairing.lose_each_other()
    pairing.backup.store_answered(Won(Generation(2)), at(0))
    assert GoLive in {type(event) for event in iter(pairing.backup.next_event, None)}
    heir = pairing.backup.promote()
    heir.console_connected(TERMINAL, at(0))
    heir.receive(TERMINAL, Send(TERMINAL, console_hello(have=2, generation=1)).data, at(0))
    messages = [event.message for event in iter(heir.next_event, None) if isinstance(event, Send)]
    shown = [(m.offset, m.data) for m in messages if isinstance(m, Output)]
    assert shown == [(2, b"rlylate")]


def test_at_most_so_many_pieces_are_on_their_way() -> None:
    pairing = Pairing()
    assert pairing.primary.state_room == SETTINGS.state_pieces_max
    pairing.cut = True
    pairing.give(SETTINGS.state_pieces_max)
    assert pairing.primary.state_room == 0
    pairing.primary.receive(LINK, Send(LINK, Taken(5)).data, at(0))
    assert pairing.primary.state_room == 5


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (0, Taken(1)),
        (1, Taken(4)),
        (1, Taken(0)),
        (1, Ack(InstructionCount(50), LogPosition(20), InstructionCount(50))),
        (1, Complete(InstructionCount(50), DIGEST)),
        (2, Complete(InstructionCount(49), DIGEST)),
        (2, Complete(InstructionCount(50), b"e" * 16)),
        (2, State(b"x")),
    ],
)
def test_what_a_new_backup_must_not_say(stage: int, message: Message) -> None:
    pairing = Pairing()
    reach(pairing, stage)
    pairing.primary.receive(LINK, Send(LINK, message).data, at(0))
    pairing.settle()
    assert pairing.primary.state is PrimaryState.SOLO
    (failed,) = (event for event in pairing.of_primary if isinstance(event, ProtectionFailed))
    assert failed.cause is LossCause.BROKE_PROTOCOL


EARLY = ((CONSOLE, StreamOffset(5)),)
NOTHING = ((CONSOLE, StreamOffset(0)),)
HANDOVER = Handover(InstructionCount(50), LogPosition(20), EARLY, NOTHING)


@pytest.mark.parametrize(
    "messages",
    [
        [Commit(Generation(1))],
        [Kept(CONSOLE, StreamOffset(0), b"")],
        [Kept(CONSOLE, StreamOffset(0), b"ab"), Kept(CONSOLE, StreamOffset(3), b"d")],
        [Kept(CONSOLE, StreamOffset(0), b"ab"), HANDOVER],
        [Handover(InstructionCount(50), LogPosition(20), (), ())],
        [HANDOVER, State(b"x")],
        [HANDOVER, HANDOVER],
        [HANDOVER, Kept(CONSOLE, StreamOffset(5), b"x")],
    ],
)
def test_what_a_primary_must_not_say(messages: list[Message]) -> None:
    pairing = Pairing()
    pairing.cut = True
    for message in messages:
        pairing.backup.receive(LINK, Send(LINK, message).data, at(0))
    pairing.settle()
    assert pairing.backup.state is BackupState.HALTED
    (halt,) = (event for event in pairing.of_backup if isinstance(event, Halt))
    assert halt.cause is HaltCause.UNPROTECTED


def test_a_backup_that_cannot_make_the_machine_is_dropped() -> None:
    pairing = Pairing()
    pairing.give(1)
    pairing.backup.diverged(InstructionCount(0), "transfer: damaged")
    pairing.settle()
    assert pairing.primary.state is PrimaryState.SOLO
    assert ProtectionFailed(LossCause.DIVERGED, "at instruction 0: transfer: damaged") in (
        pairing.of_primary
    )


@pytest.mark.parametrize("stage", [1, 2])
def test_a_backup_that_does_not_move_is_dropped(stage: int) -> None:
    pairing = Pairing()
    pairing.cut = stage == 1  # what it was sent is stuck somewhere
    reach(pairing, stage)
    pairing.cut = True
    for time in range(0, SETTINGS.stall_timeout_ns + 100, 100):
        pairing.primary.receive(LINK, Send(LINK, BEAT).data, at(time))
        pairing.primary.tick(at(time))
    pairing.settle()
    (failed,) = (event for event in pairing.of_primary if isinstance(event, ProtectionFailed))
    assert failed.cause is LossCause.STALLED
    assert pairing.primary.state is PrimaryState.SOLO


def test_a_primary_that_waits_for_its_first_backup_may_send_it_its_state() -> None:
    rig = booted()
    assert rig.protocol.state is PrimaryState.AWAITING
    pairing = Pairing(rig)
    assert pairing.primary.state is PrimaryState.PROTECTING
    assert pairing.primary.runnable
    pairing.give(1)
    pairing.run(30, log=b"log", output=b"out")
    assert pairing.released() == b"out"
    pairing.hand_over()
    pairing.complete()
    assert pairing.primary.state is PrimaryState.PAIRED
    assert pairing.backup.state is BackupState.FOLLOWING
    pairing.run(60, log=b"more", output=b"held")
    pairing.lose_each_other()
    assert pairing.backup.state is BackupState.CATCHING_UP
    assert AskStore(Generation(1), "p") in pairing.of_primary


def test_a_first_backup_that_is_lost_on_the_way_leaves_the_primary_alone() -> None:
    pairing = Pairing(booted())
    pairing.give(1)
    pairing.lose_each_other()
    assert pairing.primary.state is PrimaryState.SOLO
    assert pairing.backup.state is BackupState.HALTED
    assert AskStore not in kinds(pairing.of_primary)


def test_one_new_backup_at_a_time() -> None:
    pairing = Pairing()
    other = BackupProtocol(identity("m"), SETTINGS, needs_state=True)
    link = Link(8)
    pairing.primary.peer_connected(link, at(0))
    other.peer_connected(link, at(0))
    hello = other.next_event()
    assert isinstance(hello, Send)
    pairing.primary.receive(link, hello.data, at(0))
    pairing.settle()
    assert pairing.primary.state is PrimaryState.PROTECTING
    (no,) = (e for e in pairing.of_primary if isinstance(e, Close) and e.link == link)
    assert "no backup can join while this primary is protecting" in no.why


def test_the_guests_end_ends_a_transfer() -> None:
    pairing = Pairing()
    pairing.give(1)
    pairing.primary.exited(InstructionCount(60), 0, DIGEST, at(0))
    pairing.settle()
    assert any(isinstance(m, Goodbye) for m in pairing.sent(pairing.of_primary))
    assert pairing.backup.state is BackupState.ENDED
    assert Ended in kinds(pairing.of_backup)
    assert pairing.primary.state is PrimaryState.SOLO


def test_a_backup_that_takes_what_comes_learns_what_it_is() -> None:
    pairing = Pairing(image=HASH_UNKNOWN, config=HASH_UNKNOWN, run=RUN_UNKNOWN)
    reach(pairing, 2)
    pairing.complete()
    assert pairing.backup.state is BackupState.FOLLOWING
    pairing.lose_each_other()
    pairing.backup.store_answered(Won(Generation(2)), at(0))
    assert pairing.backup.promote().console.run == RUN


def test_another_image_is_refused_all_the_same() -> None:
    pairing = Pairing(image=b"j" * 32)
    assert pairing.primary.state is PrimaryState.SOLO
    assert pairing.backup.state is BackupState.HALTED
