"""What leaves a primary and when: the output rule, the console, the bounds, the end."""

from dataclasses import replace

import pytest
from primary_rig import BACKUP, OTHER, SETTINGS, TERMINAL, Primary, at, console_hello, paired, solo

from ftvm.replication.events import (
    Close,
    Ended,
    ExitDue,
    InputArrived,
    LossCause,
    OutputReleased,
    PeerLost,
)
from ftvm.replication.messages import (
    CONSOLE,
    RUN_UNKNOWN,
    Channel,
    Consumed,
    Entries,
    Exited,
    Goodbye,
    Input,
    Mark,
    Output,
    Reason,
    Received,
    Released,
)
from ftvm.replication.primary import Wait
from ftvm.replication.states import PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition, StreamOffset

# --- output rule --------------------------------------------------------------------


def test_output_waits_for_an_acknowledged_mark_at_or_past_it() -> None:
    primary = paired()
    primary.run(10, log=b"aaa")
    primary.run(20, log=b"bb", output=b"out")
    primary.run(30)
    assert primary.protocol.held_bytes == 3
    primary.acknowledge(10, 3)
    assert primary.released() == b""
    primary.acknowledge(20, 5)
    (released,) = primary.of(OutputReleased)
    assert (released.offset, released.data, released.count) == (0, b"out", 20)
    assert (released.generation, released.position) == (1, 5)
    assert released.acknowledged == Mark(InstructionCount(20), LogPosition(5))


def test_guest_runs_on_while_output_is_held() -> None:
    primary = paired()
    primary.run(10, output=b"out")
    assert primary.protocol.runnable
    assert primary.protocol.run_limit == 1_000


def test_mark_at_the_same_count_but_before_the_cause_does_not_release() -> None:
    primary = paired()
    primary.run(10)
    primary.run(10, log=b"event", output=b"echo")
    primary.acknowledge(10, 0)
    assert primary.released() == b""
    primary.acknowledge(10, 5)
    assert primary.released() == b"echo"


def test_log_is_sent_before_the_mark_that_speaks_of_it() -> None:
    primary = paired()
    primary.run(10, log=b"aaa")
    primary.run(20, log=b"bb")
    assert primary.sent(BACKUP) == [
        Entries(LogPosition(3), b"bb"),
        Mark(InstructionCount(20), LogPosition(5)),
    ]


def test_nothing_new_is_not_marked_again() -> None:
    primary = paired()
    primary.run(10)
    primary.run(10)
    assert primary.sent(BACKUP) == []


def test_primary_alone_releases_at_once() -> None:
    primary = solo()
    primary.run(10, output=b"out")
    (released,) = primary.of(OutputReleased)
    assert released.acknowledged is None


def test_machine_cannot_go_back() -> None:
    primary = paired()
    primary.run(10)
    with pytest.raises(ValueError, match="at instruction 9 after 10"):
        primary.run(9)


# --- console ------------------------------------------------------------------------


def test_console_gets_released_output_and_backup_hears_what_arrived() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"out")
    assert Released(CONSOLE, StreamOffset(0), True) in primary.sent(BACKUP)
    assert primary.sent(TERMINAL) == []
    primary.acknowledge(10, 0)
    assert primary.sent(TERMINAL) == [Output(Generation(1), CONSOLE, StreamOffset(0), b"out")]
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(2)))
    assert primary.sent(BACKUP) == []  # nobody waits for it
    primary.run(20, output=b"more")
    assert primary.sent(BACKUP)[-1] == Released(CONSOLE, StreamOffset(2), True)


def test_backup_hears_what_arrived_with_a_heartbeat_if_nothing_else_happens() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"out")
    primary.tick(0)
    primary.acknowledge(10, 0)
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(3)), time=1)
    primary.tick(99)
    assert primary.sent(BACKUP) == []
    primary.tick(100)
    assert Released(CONSOLE, StreamOffset(3), True) in primary.sent(BACKUP)


def test_console_that_comes_back_gets_what_it_lacks() -> None:
    primary = solo()
    primary.attach()
    primary.run(10, output=b"abcdef")
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(2)))
    primary.protocol.closed(TERMINAL)
    primary.attach(OTHER, console_hello(have=3))
    assert Output(Generation(1), CONSOLE, StreamOffset(3), b"def") in primary.sent(OTHER)


def test_new_console_begins_with_the_oldest_output_kept() -> None:
    primary = solo()
    primary.run(10, output=b"x" * 40)
    primary.run(20, output=b"y" * 40)
    primary.attach(hello=console_hello(have=None, run=RUN_UNKNOWN))
    (output,) = [m for m in primary.sent(TERMINAL) if isinstance(m, Output)]
    assert (output.offset, output.data) == (30, b"x" * 10 + b"y" * 40)


def test_other_console_takes_over_and_the_first_is_told() -> None:
    primary = solo()
    primary.attach()
    primary.attach(OTHER, console_hello("second"))
    (goodbye,) = primary.sent(TERMINAL)
    assert isinstance(goodbye, Goodbye)
    assert goodbye.reason is Reason.REPLACED
    assert [close.link for close in primary.of(Close)] == [TERMINAL]


def test_console_of_another_run_is_dropped() -> None:
    primary = solo()
    primary.attach(hello=console_hello(run=b"x" * 16))
    assert [close.link for close in primary.of(Close)] == [TERMINAL]


def test_input_is_delivered_once_and_forgotten_when_safe() -> None:
    primary = paired()
    primary.attach()
    primary.hear(TERMINAL, Input(CONSOLE, StreamOffset(0), b"ab"))
    assert primary.of(InputArrived) == [InputArrived(CONSOLE, StreamOffset(0), b"ab")]
    primary.hear(TERMINAL, Input(CONSOLE, StreamOffset(0), b"abc"))
    assert primary.of(InputArrived) == [InputArrived(CONSOLE, StreamOffset(2), b"c")]
    primary.protocol.log_produced(b"input")
    primary.protocol.input_consumed(CONSOLE, StreamOffset(3), InstructionCount(0))
    primary.run(10)
    assert primary.sent(TERMINAL) == []
    primary.acknowledge(10, 5)
    assert primary.sent(TERMINAL) == [Consumed(CONSOLE, StreamOffset(3))]


def test_guest_waits_for_a_console_that_does_not_read() -> None:
    primary = solo()
    primary.attach()
    primary.run(10, output=b"x" * 50)
    assert primary.protocol.wait is Wait.OUTPUT_FULL
    assert primary.protocol.run_limit == 10
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(1)))
    assert primary.protocol.runnable


def test_guest_does_not_wait_for_a_console_that_left() -> None:
    primary = solo()
    primary.attach()
    primary.run(10, output=b"x" * 50)
    primary.hear(TERMINAL, Goodbye(Reason.USER_ACTION, 0, ""))
    assert primary.protocol.runnable


def test_confirming_all_that_was_sent_is_right() -> None:
    primary = solo()
    primary.attach()
    primary.run(10, output=b"out")
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(3)))
    assert primary.of(Close) == []
    assert primary.protocol.console.outputs[CONSOLE].confirmed == 3


def test_what_a_console_greets_with_is_confirmed_too() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"abcdef")
    primary.acknowledge(10, 0)
    primary.protocol.closed(TERMINAL)
    primary.attach(OTHER, console_hello(have=3))
    primary.run(20, output=b"more")
    assert primary.sent(BACKUP)[-1] == Released(CONSOLE, StreamOffset(3), True)


def test_console_that_was_dropped_is_not_heard() -> None:
    primary = solo()
    primary.attach()
    primary.attach(OTHER, console_hello("second"))
    primary.hear(TERMINAL, Input(CONSOLE, StreamOffset(0), b"x"))
    assert primary.events == []


def test_confirming_output_of_no_channel_ends_the_connection_only() -> None:
    primary = paired()
    primary.attach()
    primary.hear(TERMINAL, Received(Channel(7), StreamOffset(0)))
    assert [close.link for close in primary.of(Close)] == [TERMINAL]
    assert primary.protocol.state is PrimaryState.PAIRED


def test_confirming_what_was_never_sent_ends_the_connection_only() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"out")
    primary.hear(TERMINAL, Received(CONSOLE, StreamOffset(3)))
    assert [close.link for close in primary.of(Close)] == [TERMINAL]
    assert primary.protocol.state is PrimaryState.PAIRED


# --- flow ---------------------------------------------------------------------------


def test_full_log_stops_the_guest_until_acknowledged() -> None:
    primary = paired()
    primary.run(10, log=b"x" * 100)
    assert primary.protocol.wait is Wait.LOG_FULL
    assert primary.protocol.run_limit == 10
    primary.acknowledge(10, 100)
    assert primary.protocol.runnable


def test_backup_too_far_behind_stops_the_guest_until_it_executes() -> None:
    primary = paired()
    primary.run(1_000)
    primary.acknowledge(1_000, 0)
    assert primary.protocol.wait is Wait.LAG
    primary.acknowledge(1_000, 0, executed=400)
    assert primary.protocol.run_limit == 1_400


@pytest.mark.parametrize(
    "ack",
    [(20, 0, 0), (10, 1, 0), (5, 0, 0), (10, 0, 11)],
    ids=["count of no mark", "position of no mark", "between marks", "past the mark"],
)
def test_impossible_acknowledgement_loses_the_backup(ack: tuple[int, int, int]) -> None:
    primary = paired()
    primary.run(10)
    primary.acknowledge(*ack)
    (lost,) = primary.of(PeerLost)
    assert lost.cause is LossCause.BROKE_PROTOCOL


# --- the end ------------------------------------------------------------------------


def end(primary: Primary, count: int, status: int) -> None:
    primary.protocol.exited(InstructionCount(count), status, b"digest", at(0))
    primary.look()


def test_exit_obeys_the_output_rule_and_is_confirmed_before_the_backup_may_go() -> None:
    primary = paired()
    primary.attach()
    primary.run(10, output=b"bye")
    end(primary, 12, 3)
    assert primary.protocol.wait is Wait.OVER
    assert primary.sent(TERMINAL) == []
    primary.acknowledge(12, 0)
    assert primary.sent(TERMINAL) == [
        Output(Generation(1), CONSOLE, StreamOffset(0), b"bye"),
        Exited(Generation(1), 3, InstructionCount(12), b"digest"),
    ]
    assert primary.of(Ended) == []
    primary.hear(TERMINAL, Goodbye(Reason.GUEST_ENDED, 3, ""))
    assert primary.sent(BACKUP) == [
        Exited(Generation(1), 3, InstructionCount(12), b"digest"),
        Goodbye(Reason.GUEST_ENDED, 3, ""),
    ]
    assert primary.events[-1] == Ended(Reason.GUEST_ENDED, 3)


def test_exit_by_an_event_at_a_marked_count_waits_for_the_event() -> None:
    primary = paired()
    primary.attach()
    primary.run(10)
    primary.protocol.log_produced(b"event")
    end(primary, 10, 3)
    primary.acknowledge(10, 0)
    assert primary.sent(TERMINAL) == []
    primary.acknowledge(10, 5)
    assert primary.sent(TERMINAL) == [Exited(Generation(1), 3, InstructionCount(10), b"digest")]


def test_a_held_exit_is_told_when_its_caller_is_ready() -> None:
    primary = paired(replace(SETTINGS, holds_exit=True))
    primary.attach()
    end(primary, 12, 3)
    assert primary.of(ExitDue) == []
    primary.acknowledge(12, 0)
    assert primary.of(ExitDue) == [ExitDue()]
    assert primary.sent(TERMINAL) == []
    primary.acknowledge(12, 0)
    assert primary.of(ExitDue) == []
    primary.protocol.exit_ready()
    primary.look()
    assert primary.sent(TERMINAL) == [Exited(Generation(1), 3, InstructionCount(12), b"digest")]


def test_exit_is_told_to_a_console_that_comes_late() -> None:
    primary = paired()
    primary.attach()
    primary.protocol.closed(TERMINAL)
    end(primary, 12, 3)
    primary.acknowledge(12, 0)
    assert primary.of(Ended) == []
    primary.attach(OTHER)
    assert Exited(Generation(1), 3, InstructionCount(12), b"digest") in primary.sent(OTHER)


def test_exit_without_any_console_ends_at_once() -> None:
    primary = solo()
    end(primary, 12, 3)
    assert primary.events[-1] == Ended(Reason.GUEST_ENDED, 3)


def test_user_stops_both() -> None:
    primary = paired()
    primary.attach()
    primary.protocol.stop("enough")
    primary.look()
    assert primary.sent(TERMINAL) == [Goodbye(Reason.USER_ACTION, 0, "enough")]
    assert primary.sent(BACKUP) == [Goodbye(Reason.USER_ACTION, 0, "enough")]
    assert primary.events[-1] == Ended(Reason.USER_ACTION, 0)
    primary.protocol.stop("again")
    assert primary.look() == []
