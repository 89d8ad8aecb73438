"""When a primary tells its backup where it stands: seldom, and at once if somebody waits."""

from dataclasses import replace

import pytest
from primary_rig import BACKUP, SETTINGS, Primary, at, identity

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Link, Send
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.lockstep import IDLE_INTERVALS
from ftvm.replication.messages import Ack, Entries, Goodbye, Mark, Role
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds

INTERVAL_NS = 100
COUNT = 1_000


def marking() -> Primary:
    settings = replace(
        SETTINGS,
        mark_interval_ns=Nanoseconds(INTERVAL_NS),
        mark_count_max=InstructionCount(COUNT),
        lag_count_max=InstructionCount(10 * COUNT),
        log_unacknowledged_bytes_max=800,
        heartbeat_interval_ns=Nanoseconds(10**9),
    )
    primary = Primary(settings)
    primary.win()
    primary.join()
    primary.tick(0)  # the first heartbeat
    return primary


def marks(primary: Primary) -> list[Mark]:
    return [message for message in primary.sent(BACKUP) if isinstance(message, Mark)]


@pytest.mark.parametrize(("count", "intervals"), [(20, IDLE_INTERVALS), (COUNT // 2, 1)])
def test_what_nobody_waits_for_goes_out_after_an_interval(count: int, intervals: int) -> None:
    """A longer one for a guest that all but sleeps."""
    primary = marking()
    primary.run(10, log=b"some", time=20)
    primary.run(count, log=b"more", time=40)
    assert primary.sent(BACKUP) == []
    assert primary.protocol.deadline() == intervals * INTERVAL_NS
    primary.tick(intervals * INTERVAL_NS)
    entries, mark = primary.sent(BACKUP)
    assert isinstance(entries, Entries)
    assert entries.data == b"somemore"
    assert mark == Mark(InstructionCount(count), primary.protocol.position)


def test_a_guest_that_does_nothing_sends_nothing() -> None:
    primary = marking()
    for time in range(0, 10 * INTERVAL_NS, INTERVAL_NS):
        primary.tick(time)
        assert marks(primary) == []


def test_output_is_marked_at_once_and_only_once() -> None:
    primary = marking()
    primary.run(10, output=b"hello", time=1)
    assert [mark.count for mark in marks(primary)] == [10]
    primary.run(20, time=2)
    assert marks(primary) == []


def test_many_instructions_and_much_log_are_marked_before_the_interval() -> None:
    primary = marking()
    primary.run(COUNT, time=1)
    assert [mark.count for mark in marks(primary)] == [COUNT]
    primary.run(COUNT + 1, log=bytes(100), time=2)
    assert [mark.count for mark in marks(primary)] == [COUNT + 1]


def test_who_leaves_says_first_where_he_stands() -> None:
    primary = marking()
    primary.run(10, log=b"some", time=1)
    primary.protocol.stop()
    primary.look()
    assert [type(message) for message in primary.sent(BACKUP)] == [Entries, Mark, Goodbye]


def test_a_mark_that_is_soon_reached_is_acknowledged_there() -> None:
    backup = BackupProtocol(identity("b"), SETTINGS)
    backup.peer_connected(Link(1), at(0))
    hello = greeting(
        identity("p"), Role.PRIMARY, Generation(1), InstructionCount(0), LogPosition(0)
    )
    near = Mark(SETTINGS.near_count, LogPosition(0))
    backup.receive(Link(1), encode(hello) + encode(near), at(0))
    assert acknowledgements(backup) == []
    backup.executed(near.count, near.position, at(0))
    assert acknowledgements(backup) == [Ack(near.count, near.position, near.count)]


def following() -> BackupProtocol:
    backup = BackupProtocol(identity("b"), SETTINGS)
    backup.peer_connected(Link(1), at(0))
    hello = greeting(
        identity("p"), Role.PRIMARY, Generation(1), InstructionCount(0), LogPosition(0)
    )
    backup.receive(Link(1), encode(hello), at(0))
    backup.tick(at(0))  # the first heartbeat
    acknowledgements(backup)
    return backup


def awaited(count: int) -> bytes:
    return encode(Mark(InstructionCount(count), LogPosition(0), awaited=True))


def test_a_mark_that_is_awaited_is_acknowledged_first_and_told_to_be_executed_soon() -> None:
    backup = following()
    backup.receive(Link(1), awaited(SETTINGS.near_count), at(0))
    assert [(ack.count, ack.executed) for ack in acknowledgements(backup)] == [
        (SETTINGS.near_count, 0)
    ]
    backup.executed(SETTINGS.near_count, LogPosition(0), at(0))
    backup.tick(at(SETTINGS.word_delay_ns - 1))
    assert acknowledgements(backup) == []
    assert backup.deadline() == SETTINGS.word_delay_ns
    backup.tick(at(SETTINGS.word_delay_ns))
    assert [ack.executed for ack in acknowledgements(backup)] == [SETTINGS.near_count]
    backup.tick(at(2 * SETTINGS.word_delay_ns))
    assert acknowledgements(backup) == []


def test_the_next_acknowledgement_tells_what_was_executed_before() -> None:
    backup = following()
    backup.receive(Link(1), awaited(1), at(0))
    backup.executed(InstructionCount(1), LogPosition(0), at(0))
    backup.receive(Link(1), awaited(2), at(1))
    assert [(ack.count, ack.executed) for ack in acknowledgements(backup)] == [(1, 0), (2, 1)]
    backup.tick(at(SETTINGS.word_delay_ns))
    assert acknowledgements(backup) == []


def test_only_what_output_waits_for_is_awaited() -> None:
    primary = marking()
    primary.run(10, output=b"x", time=1)
    assert [mark.awaited for mark in marks(primary)] == [True]
    primary.run(COUNT + 10, time=2)
    assert [mark.awaited for mark in marks(primary)] == [False]


def test_log_may_go_ahead_of_its_mark() -> None:
    primary = marking()
    primary.protocol.log_produced(b"some")
    primary.protocol.forward_log()
    primary.protocol.forward_log()
    primary.run(10, log=b"more", output=b"x", time=1)
    entries, more, mark = primary.sent(BACKUP)
    assert entries == Entries(LogPosition(0), b"some")
    assert more == Entries(LogPosition(4), b"more")
    assert mark == Mark(InstructionCount(10), LogPosition(8), awaited=True)


def test_a_backup_with_log_ahead_of_its_mark_waits_for_that() -> None:
    backup = following()
    backup.receive(Link(1), encode(Entries(LogPosition(0), b"some")), at(0))
    assert backup.awaits_peer
    assert not backup.runnable
    backup.receive(Link(1), encode(Mark(InstructionCount(1), LogPosition(4))), at(0))
    assert not backup.awaits_peer


def acknowledgements(backup: BackupProtocol) -> list[Ack]:
    acks = []
    while (event := backup.next_event()) is not None:
        if isinstance(event, Send) and isinstance(event.message, Ack):
            acks.append(event.message)
    return acks
