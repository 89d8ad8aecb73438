"""How a primary is paced by its backup, what that costs, and that nothing piles up."""

from dataclasses import replace
from itertools import pairwise

import pytest
from primary_rig import BACKUP, SETTINGS, Primary, at, backup_hello, identity

from ftvm.replication.arbitration import Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Close, Link, LossCause, PeerLost, Send
from ftvm.replication.flow import EASE, Flow, Wait
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.lockstep import FORESIGHT, NO_LAG, Lag, Lockstep
from ftvm.replication.messages import Ack, Entries, Hello, Mark, Message, Role
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Settings, settings_for
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds

KINDS = ("instructions", "time", "catching up")
BOUND_NS = 6_400
"""Of the lag in time; an instruction is executed each ns below."""


def lag(count: int, ns: int, catch_up_ns: int = 0) -> Lag:
    return Lag(InstructionCount(count), at(ns), at(catch_up_ns))


def paired(**bounds: object) -> Primary:
    """A primary with a backup, under other bounds than usual."""
    primary = Primary()
    settings = replace(
        SETTINGS,
        lag_ns_max=Nanoseconds(BOUND_NS),
        lag_count_max=InstructionCount(1_000_000),
        heartbeats_missed_max=10**9,
        stall_timeout_ns=Nanoseconds(10**15),
    )
    settings = replace(settings, **bounds)  # type: ignore[arg-type]
    primary.protocol = PrimaryProtocol(identity("p"), settings)
    primary.protocol.start()
    primary.protocol.store_answered(Won(Generation(1)), at(0))
    primary.join(backup_hello())
    return primary


# --- how fast ---------------------------------------------------------------------------


def test_a_backup_that_keeps_up_costs_nothing() -> None:
    flow = Flow(SETTINGS)
    assert flow.share(NO_LAG) == 1
    assert flow.share(lag(int(SETTINGS.lag_count_max * EASE), 0)) == 1
    assert flow.rest(2_000, NO_LAG) == 0
    assert flow.totals.slowed == 0


@pytest.mark.parametrize("what", KINDS)
def test_the_share_falls_smoothly_from_a_quarter_of_the_bound_to_nothing_at_it(what: str) -> None:
    flow = Flow(SETTINGS)
    bound = SETTINGS.lag_count_max if what == "instructions" else SETTINGS.lag_ns_max
    lags = [
        lag(*(bound * step // 100 if what == one else 0 for one in KINDS)) for step in range(120)
    ]
    shares = [flow.share(one) for one in lags]
    assert shares[:26] == [1.0] * 26
    assert all(earlier > later for earlier, later in pairwise(shares[25:101]))
    assert max(earlier - later for earlier, later in pairwise(shares)) < 0.02
    assert set(shares[100:]) == {0.0}


def acknowledged(lockstep: Lockstep, count: int, now: int) -> None:
    """The backup has executed to `count`, and has the newest mark."""
    newest = lockstep.marked
    lockstep.acknowledge(Ack(newest.count, newest.position, InstructionCount(count)), at(now))


def marked(lockstep: Lockstep, count: int, now: int) -> None:
    lockstep.reached(InstructionCount(count), at(now))
    lockstep.mark(Mark(InstructionCount(count), LogPosition(0)), at(now))


def test_a_backup_that_waits_for_marks_is_not_taken_for_a_slow_one() -> None:
    settings = replace(SETTINGS, lag_ns_max=Nanoseconds(64))  # so that each ns is told apart
    lockstep = Lockstep(settings, InstructionCount(0), LogPosition(0), at(0))
    marked(lockstep, 1_000, 0)
    marked(lockstep, 2_000, 0)
    marked(lockstep, 2_010, 50)
    acknowledged(lockstep, 1_000, 100)
    acknowledged(lockstep, 2_000, 200)  # which were there at 100: 10 a ns
    assert lockstep.lag(InstructionCount(3_000), at(200)).catch_up_ns == 100
    marked(lockstep, 4_000, 5_000)  # the guest slept, and so had the backup nothing to do
    marked(lockstep, 5_000, 5_050)
    acknowledged(lockstep, 4_000, 5_200)
    assert lockstep.lag(InstructionCount(5_000), at(5_200)).catch_up_ns == 100


def test_what_took_us_little_time_will_not_take_a_backup_for_ever() -> None:
    settings = replace(SETTINGS, lag_ns_max=Nanoseconds(64))
    lockstep = Lockstep(settings, InstructionCount(0), LogPosition(0), at(0))
    marked(lockstep, 10, 0)
    marked(lockstep, 20, 0)
    marked(lockstep, 30, 900)
    acknowledged(lockstep, 10, 1_000)
    acknowledged(lockstep, 20, 2_000)  # ten instructions in 1,000 ns
    lockstep.reached(InstructionCount(1_000_000), at(2_010))
    assert lockstep.lag(InstructionCount(1_000_000), at(2_010)).ns == 1_110
    assert lockstep.lag(InstructionCount(1_000_000), at(2_010)).catch_up_ns == FORESIGHT * 1_110


def test_a_guest_rests_so_long_that_it_runs_its_share() -> None:
    flow = Flow(SETTINGS)
    half = lag(0, int(SETTINGS.lag_ns_max * (EASE + (1 - EASE) / 2)))
    assert flow.rest(2_000_000, half) == pytest.approx(2_000_000, rel=1e-3)
    assert flow.totals.slowed == pytest.approx(0.5, rel=1e-3)
    assert flow.totals.lag_ns_max == half.ns


@pytest.mark.parametrize("slowness", [1.5, 3, 10])
def test_a_slow_backup_brings_its_primary_to_its_own_pace(slowness: float) -> None:
    primary = paired()
    protocol = primary.protocol
    now, executed, slice_ns = 0, 0.0, 50
    rests = []
    for _ in range(5_000):
        assert protocol.runnable
        count = protocol.count + slice_ns
        now += slice_ns
        primary.run(count, time=now)
        rest = int(protocol.rest(slice_ns, at(now)))
        rests.append(rest)
        now += rest
        executed = min(executed + (slice_ns + rest) / slowness, count)
        primary.acknowledge(count, 0, int(executed), time=now)
    assert now / protocol.count == pytest.approx(slowness, rel=0.1)
    # Not by stopping and going: each rest of the second half is like the others.
    assert max(rests[2_500:]) < 3 * sum(rests[2_500:]) / 2_500 + slice_ns
    assert protocol.flow.totals.lag_ns_max < BOUND_NS
    assert protocol.flow.totals.stalls[Wait.LAG].times == 0


def test_a_backup_that_is_too_far_behind_in_time_stops_the_guest_until_it_moves() -> None:
    primary = paired()
    primary.run(100, time=10)
    primary.acknowledge(100, 0, 0, time=20)
    primary.tick(10 + BOUND_NS - 1)
    primary.run(200, time=10 + BOUND_NS - 1)
    assert primary.protocol.wait is None
    primary.tick(10 + BOUND_NS)
    primary.tick(10 + BOUND_NS)
    assert primary.protocol.wait is Wait.LAG
    primary.acknowledge(200, 0, 100, time=11 + BOUND_NS)
    primary.tick(11 + BOUND_NS)
    assert primary.protocol.wait is None
    stall = primary.protocol.flow.totals.stalls[Wait.LAG]
    assert (stall.times, stall.ns > 0) == (1, True)


def test_a_guest_that_sleeps_is_not_behind() -> None:
    primary = paired()
    primary.run(100, time=10)
    primary.acknowledge(100, 0, 100, time=20)
    primary.tick(200)
    primary.run(150, time=200)
    assert primary.protocol.lag == lag(50, 0)


# --- what piles up ------------------------------------------------------------------------


def bytes_sent(primary: Primary) -> int:
    return sum(len(encode(message)) for message in primary.sent(BACKUP))


def test_a_backup_that_takes_nothing_is_sent_a_bounded_amount() -> None:
    primary = paired()
    sent = count = 0
    for turn in range(5_000):
        if primary.protocol.runnable:
            count += 1
            primary.run(count, log=b"e" if turn % 100 == 0 else b"", time=turn // 10)
            sent += bytes_sent(primary)
    marks = SETTINGS.marks_unacknowledged_max
    assert sent < 40 * marks + 2 * SETTINGS.log_unacknowledged_bytes_max


def test_marks_that_were_not_sent_are_made_up_for_when_there_is_room() -> None:
    primary = paired(marks_unacknowledged_max=2)
    for count in (10, 20, 30, 40):
        primary.run(count, log=b"e")
    assert primary.sent(BACKUP) == []
    primary.acknowledge(20, 2, 20)
    entries, mark = primary.sent(BACKUP)
    assert entries == Entries(LogPosition(2), b"ee")
    assert mark == Mark(InstructionCount(40), LogPosition(4))
    primary.acknowledge(40, 4, 40)
    assert primary.sent(BACKUP) == []


def test_a_full_log_and_unread_output_are_counted_as_stalls() -> None:
    primary = paired()
    primary.run(10, log=bytes(SETTINGS.log_unacknowledged_bytes_max), time=100)
    assert primary.protocol.wait is Wait.LOG_FULL
    primary.tick(100)
    primary.acknowledge(10, SETTINGS.log_unacknowledged_bytes_max, 10, time=350)
    primary.tick(350)
    stall = primary.protocol.flow.totals.stalls[Wait.LOG_FULL]
    assert (stall.times, stall.ns) == (1, 250)


def following(settings: Settings, lag_ns: int = 0) -> BackupProtocol:
    backup = BackupProtocol(identity("b"), settings)
    backup.peer_connected(BACKUP, at(0))
    hello = greeting(
        identity("p"), Role.PRIMARY, Generation(1), InstructionCount(0), LogPosition(0),
        lag_ns=at(lag_ns),
    )  # fmt: skip
    give(backup, hello)
    return backup


def give(backup: BackupProtocol, *messages: Message, time: int = 0) -> list[object]:
    backup.receive(Link(BACKUP), b"".join(map(encode, messages)), at(time))
    events: list[object] = []
    while (event := backup.next_event()) is not None:
        events.append(event)
    return events


def test_log_without_a_mark_is_not_kept_without_end() -> None:
    backup = following(replace(SETTINGS, log_unmarked_bytes_max=100))
    assert give(backup, Entries(LogPosition(0), bytes(100))) == []
    events = give(backup, Entries(LogPosition(100), b"x"))
    lost = next(event for event in events if isinstance(event, PeerLost))
    assert (lost.cause, lost.detail) == (
        LossCause.BROKE_PROTOCOL,
        "101 bytes of log without a mark",
    )


def test_an_empty_log_stops_the_backup_and_is_counted() -> None:
    backup = following(SETTINGS)
    assert backup.wait is Wait.LOG_EMPTY
    backup.tick(at(0))
    give(backup, Mark(InstructionCount(50), LogPosition(0)), time=70)
    backup.tick(at(70))
    assert backup.wait is None
    backup.executed(InstructionCount(50), LogPosition(0), at(80))
    assert backup.wait is Wait.LOG_EMPTY
    give(backup, Mark(InstructionCount(60), LogPosition(0)), time=200)
    backup.tick(at(200))
    stall = backup.flow.totals.stalls[Wait.LOG_EMPTY]
    assert (stall.times, stall.ns) == (2, 190)


# --- what a user chooses --------------------------------------------------------------------


@pytest.mark.parametrize("timeout_ms", [100, 130, 2_000, 60_000])
def test_silence_is_as_long_as_chosen_with_enough_heartbeats_in_it(timeout_ms: int) -> None:
    settings = settings_for(Nanoseconds(timeout_ms * 1_000_000))
    assert settings.silence_max_ns == pytest.approx(timeout_ms * 1_000_000, rel=0.01)
    assert settings.heartbeats_missed_max >= 20
    assert settings.heartbeat_interval_ns <= 100_000_000


def test_defaults_are_what_nobody_chose() -> None:
    assert settings_for() == replace(Settings(), holds_exit=True)  # which nobody can choose


def test_a_slow_link_is_not_silence() -> None:
    """Half a message, again and again: somebody is there."""
    backup = following(SETTINGS)
    frame = encode(Entries(LogPosition(0), bytes(64)))
    for at_byte, byte in enumerate(frame):
        backup.receive(Link(BACKUP), bytes([byte]), at(100 * at_byte))
        backup.tick(at(100 * at_byte + 99))
    while (event := backup.next_event()) is not None:
        assert isinstance(event, Send), event
        assert not isinstance(event, Close)


@pytest.mark.parametrize("told_ns", [0, 40_000_000])
def test_a_pairs_lag_bound_goes_over_to_who_goes_live(told_ns: int) -> None:
    backup = following(settings_for(), told_ns)
    backup.closed(Link(BACKUP))
    backup.store_answered(Won(Generation(2)), at(0))
    give(backup)
    primary = backup.promote()
    primary.peer_connected(Link(9), at(0))
    primary.receive(Link(9), encode(backup_hello("c", generation=2)), at(0))
    events = iter(primary.next_event, None)
    sent = [event.message for event in events if isinstance(event, Send) and event.link == 9]
    (hello,) = [message for message in sent if isinstance(message, Hello)]
    assert hello.lag_ns == (told_ns or settings_for().lag_ns_max)
