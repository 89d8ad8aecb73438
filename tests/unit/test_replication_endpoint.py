"""The console endpoint: exactly once both ways, one primary at a time, contradictions told."""

from typing import TypeVar

import pytest

from ftvm.replication.endpoint import CONFIRM_BYTES, ConsoleEndpoint
from ftvm.replication.events import (
    Attached,
    Close,
    Contradiction,
    ContradictionKind,
    Dismissed,
    Event,
    GuestExited,
    Link,
    OutputAccepted,
    Send,
)
from ftvm.replication.framing import encode
from ftvm.replication.messages import (
    CONSOLE,
    RUN_UNKNOWN,
    ConsoleHello,
    Consumed,
    Exited,
    Fenced,
    Goodbye,
    Input,
    Message,
    Output,
    Reason,
    Received,
    Role,
)
from ftvm.replication.settings import Settings
from ftvm.units import Generation, InstructionCount, Nanoseconds, StreamOffset

RUN = b"r" * 16
A, B, C = Link(1), Link(2), Link(3)
E_ = TypeVar("E_", bound=Event)


def hello(
    node: str, generation: int, *, role: Role = Role.PRIMARY, wants: int = 0, run: bytes = RUN
) -> ConsoleHello:
    offsets = ((CONSOLE, StreamOffset(wants)),)
    return ConsoleHello(role, node, run, Generation(generation), offsets)


def output(generation: int, offset: int, data: bytes) -> Output:
    return Output(Generation(generation), CONSOLE, StreamOffset(offset), data)


def keys(offset: int, data: bytes) -> Input:
    return Input(CONSOLE, StreamOffset(offset), data)


NOW = Nanoseconds(0)


class Terminal:
    """An endpoint with short words for what happens to it."""

    def __init__(self, run: bytes = RUN) -> None:
        self.endpoint = ConsoleEndpoint("t", run, input_bytes_max=100, tail_bytes_max=20)
        self.events: list[Event] = []
        for link in (A, B):
            self.endpoint.connected(link, NOW)
        self.look()

    def look(self) -> list[Event]:
        self.events = []
        while (event := self.endpoint.next_event()) is not None:
            self.events.append(event)
        return self.events

    def of(self, kind: type[E_]) -> list[E_]:
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self, link: Link) -> list[Message]:
        return [event.message for event in self.of(Send) if event.link == link]

    def hear(self, link: Link, *messages: Message) -> None:
        self.endpoint.receive(link, b"".join(map(encode, messages)), NOW)
        self.look()

    def type(self, data: bytes) -> None:
        self.endpoint.write(data)
        self.look()

    def tick(self, now: int) -> None:
        self.endpoint.tick(Nanoseconds(now))
        self.look()

    def seen(self) -> bytes:
        return b"".join(event.data for event in self.of(OutputAccepted))

    def contradiction(self) -> ContradictionKind:
        (found,) = self.of(Contradiction)
        return found.kind


@pytest.fixture
def attached() -> Terminal:
    """Attached to node a of generation 1, with node b in waiting."""
    terminal = Terminal()
    terminal.hear(B, hello("b", 1, role=Role.BACKUP))
    terminal.hear(A, hello("a", 1))
    assert terminal.of(Attached) == [Attached(A, "a", Generation(1))]
    return terminal


# --- output -------------------------------------------------------------------------


def test_output_is_accepted_in_order_and_confirmed_with_the_next_input(
    attached: Terminal,
) -> None:
    attached.hear(A, output(1, 0, b"abc"), output(1, 3, b"de"))
    assert attached.seen() == b"abcde"
    assert attached.sent(A) == []
    attached.type(b"x")
    assert attached.sent(A) == [Received(CONSOLE, StreamOffset(5)), keys(0, b"x")]
    attached.type(b"y")
    assert attached.sent(A) == [keys(1, b"y")]


def test_output_is_confirmed_with_a_heartbeat_if_nobody_types(attached: Terminal) -> None:
    attached.tick(0)
    attached.hear(A, output(1, 0, b"abc"))
    attached.tick(Settings().heartbeat_interval_ns - 1)
    assert attached.sent(A) == []
    attached.tick(Settings().heartbeat_interval_ns)
    assert attached.sent(A)[0] == Received(CONSOLE, StreamOffset(3))


def test_much_output_is_confirmed_at_once(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, bytes(CONFIRM_BYTES)))
    assert attached.sent(A) == [Received(CONSOLE, StreamOffset(CONFIRM_BYTES))]


def test_what_comes_twice_is_seen_once(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, b"abc"))
    attached.hear(B, hello("b", 2), output(2, 1, b"bcde"), output(2, 3, b"de"))
    assert attached.seen() == b"de"
    assert attached.endpoint.received() == 5


def test_confirmation_never_names_more_than_was_sent(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, b"abcdef"))
    attached.hear(B, hello("b", 2))
    attached.tick(0)
    confirmed = [message for message in attached.sent(B) if isinstance(message, Received)]
    assert confirmed == []
    attached.hear(B, output(2, 0, b"abc"))
    attached.type(b"x")
    assert attached.sent(B)[0] == Received(CONSOLE, StreamOffset(3))


def test_same_place_with_other_bytes_is_a_contradiction(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, b"abc"))
    attached.hear(B, hello("b", 2), output(2, 1, b"bXd"))
    assert attached.contradiction() is ContradictionKind.OUTPUT_DIFFERS
    assert attached.seen() == b""


def test_missing_output_is_a_contradiction(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, b"abc"), output(1, 4, b"e"))
    assert attached.contradiction() is ContradictionKind.OUTPUT_LOST
    assert [close.link for close in attached.of(Close)] == [A]


def test_repetition_older_than_the_tail_is_dropped_unseen(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, bytes(range(65, 91))))
    attached.hear(B, hello("b", 2), output(2, 0, b"??????" + bytes(range(71, 93))))
    assert attached.of(Contradiction) == []
    assert attached.seen() == b"[\\"


# --- who is primary -------------------------------------------------------------------


def test_newer_generation_takes_over_and_the_old_is_fenced(attached: Terminal) -> None:
    attached.hear(B, hello("b", 2))
    assert attached.of(Attached) == [Attached(B, "b", Generation(2))]
    assert attached.sent(A) == [Fenced(Generation(2))]
    assert [close.link for close in attached.of(Close)] == [A]
    attached.hear(A, output(1, 0, b"late"))
    assert attached.events == []


def test_primary_of_the_past_is_fenced_when_it_comes_back(attached: Terminal) -> None:
    attached.hear(B, hello("b", 2))
    attached.endpoint.connected(C, NOW)
    attached.look()
    attached.hear(C, hello("a", 1), output(1, 0, b"late"))
    assert attached.sent(C) == [Fenced(Generation(2))]
    assert attached.seen() == b""
    assert attached.endpoint.attached == B


def test_greeting_tells_the_highest_generation_and_what_is_there(attached: Terminal) -> None:
    attached.hear(A, output(1, 0, b"abc"))
    attached.endpoint.connected(C, NOW)
    attached.look()
    offsets = ((CONSOLE, StreamOffset(3)),)
    assert attached.sent(C) == [ConsoleHello(Role.ENDPOINT, "t", RUN, Generation(1), offsets)]


def test_two_primaries_of_one_generation_are_a_contradiction(attached: Terminal) -> None:
    attached.hear(B, hello("b", 1))
    assert attached.contradiction() is ContradictionKind.TWO_PRIMARIES
    assert attached.endpoint.attached == A


def test_same_primary_in_a_newer_generation_keeps_its_connection(attached: Terminal) -> None:
    attached.hear(A, hello("a", 2), output(2, 0, b"x"))
    assert attached.of(Close) == []
    assert attached.seen() == b"x"


def test_same_primary_on_a_newer_connection_replaces_the_old(attached: Terminal) -> None:
    attached.endpoint.connected(C, NOW)
    attached.hear(C, hello("a", 1))
    assert attached.endpoint.attached == C
    assert [close.link for close in attached.of(Close)] == [A]
    assert attached.sent(A) == [], "nobody is fenced off"


def test_output_of_another_generation_than_greeted_is_not_taken(attached: Terminal) -> None:
    attached.hear(A, output(2, 0, b"x"))
    assert attached.seen() == b""
    assert [close.link for close in attached.of(Close)] == [A]


@pytest.mark.parametrize(
    "message", [output(1, 0, b"x"), Consumed(CONSOLE, StreamOffset(0))], ids=["output", "consumed"]
)
def test_backup_is_not_listened_to(attached: Terminal, message: Message) -> None:
    attached.hear(B, message)
    assert [close.link for close in attached.of(Close)] == [B]
    assert attached.seen() == b""


def test_backup_greets_again_when_it_has_joined() -> None:
    terminal = Terminal()
    terminal.hear(B, hello("b", 0, role=Role.BACKUP, run=RUN_UNKNOWN))
    terminal.hear(B, hello("b", 1, role=Role.BACKUP))
    assert terminal.of(Close) == []


@pytest.mark.parametrize(
    "wrong",
    [hello("a", 0), hello("a", 1, role=Role.ENDPOINT), hello("a", 1, run=b"x" * 16)],
    ids=["no generation", "not a node", "other run"],
)
def test_node_that_greets_wrongly_is_dropped(wrong: Message) -> None:
    terminal = Terminal()
    terminal.hear(A, wrong)
    assert [close.link for close in terminal.of(Close)] == [A]
    assert terminal.endpoint.attached is None


def test_console_that_was_replaced_is_told_not_to_come_back(attached: Terminal) -> None:
    attached.hear(A, Goodbye(Reason.REPLACED, 0, "console u took over"))
    assert attached.of(Dismissed) == [Dismissed("console u took over")]


def test_node_that_leaves_is_left(attached: Terminal) -> None:
    attached.hear(A, Goodbye(Reason.USER_ACTION, 0, "enough"))
    assert attached.of(Close) == [Close(A, "enough")]
    assert attached.endpoint.attached is None


# --- input --------------------------------------------------------------------------


def test_input_goes_to_the_primary_and_is_kept_until_it_is_safe(attached: Terminal) -> None:
    attached.type(b"abc")
    assert attached.sent(A) == [keys(0, b"abc")]
    assert attached.endpoint.room() == 97
    attached.hear(A, Consumed(CONSOLE, StreamOffset(2)))
    assert attached.endpoint.room() == 99
    assert attached.endpoint.forgotten() == 2


def test_input_typed_while_nobody_is_there_is_sent_later() -> None:
    terminal = Terminal()
    terminal.type(b"abc")
    assert terminal.events == []
    terminal.hear(A, hello("a", 1))
    assert terminal.sent(A) == [keys(0, b"abc")]


def test_new_primary_gets_what_it_has_not_consumed(attached: Terminal) -> None:
    attached.type(b"abcdef")
    attached.hear(A, Consumed(CONSOLE, StreamOffset(2)))
    attached.hear(B, hello("b", 2, wants=4))
    assert attached.sent(B) == [keys(4, b"ef")]
    attached.type(b"g")
    assert attached.sent(B) == [keys(6, b"g")]


@pytest.mark.parametrize("wants", [1, 7], ids=["forgotten", "never typed"])
def test_input_that_cannot_be_had_is_a_contradiction(attached: Terminal, wants: int) -> None:
    attached.type(b"abcdef")
    attached.hear(A, Consumed(CONSOLE, StreamOffset(2)))
    attached.hear(B, hello("b", 2, wants=wants))
    assert attached.contradiction() is ContradictionKind.INPUT_LOST


def test_more_input_than_there_is_room_for_is_the_callers_fault(attached: Terminal) -> None:
    with pytest.raises(ValueError, match="101 bytes"):
        attached.type(b"x" * 101)
    attached.type(b"x" * 100)
    assert attached.endpoint.room() == 0


def test_endpoint_new_to_a_run_begins_where_it_finds_it() -> None:
    terminal = Terminal(run=RUN_UNKNOWN)
    terminal.type(b"ab")
    terminal.hear(A, hello("a", 3, wants=40), output(3, 500, b"xyz"))
    assert terminal.sent(A)[0] == keys(40, b"ab")
    assert terminal.seen() == b"xyz"
    terminal.hear(B, hello("b", 4, wants=41), output(4, 501, b"yz!"))
    assert terminal.sent(B)[0] == keys(41, b"b")
    assert terminal.seen() == b"!"


# --- the end ------------------------------------------------------------------------


def exited(generation: int, status: int) -> Exited:
    return Exited(Generation(generation), status, InstructionCount(9), b"digest")


def test_exit_is_told_once_and_confirmed_every_time(attached: Terminal) -> None:
    attached.hear(A, exited(1, 3))
    assert attached.of(GuestExited) == [GuestExited(3, InstructionCount(9), b"digest")]
    assert attached.sent(A) == [Goodbye(Reason.GUEST_ENDED, 3, "")]
    attached.hear(B, hello("b", 2), exited(2, 3))
    assert attached.of(GuestExited) == []
    assert Goodbye(Reason.GUEST_ENDED, 3, "") in attached.sent(B)
    assert attached.endpoint.exited


def test_exit_that_differs_is_a_contradiction(attached: Terminal) -> None:
    attached.hear(A, exited(1, 3))
    attached.hear(B, hello("b", 2), exited(2, 4))
    assert attached.contradiction() is ContradictionKind.EXIT_DIFFERS


def test_leaving_is_told_so_that_the_guest_need_not_wait(attached: Terminal) -> None:
    attached.endpoint.leave()
    attached.look()
    assert attached.sent(A) == [Goodbye(Reason.USER_ACTION, 0, "console left")]
    assert attached.endpoint.attached is None


def test_input_of_a_console_that_is_gone_is_no_loss_to_the_next_one() -> None:
    """A new primary that never had it wants input from before where we began."""
    terminal = Terminal(RUN_UNKNOWN)
    terminal.hear(A, hello("a", 1, wants=10))
    terminal.endpoint.write(b"xyz")
    terminal.look()
    assert terminal.sent(A) == [keys(10, b"xyz")]
    terminal.hear(B, hello("b", 2, wants=7))
    assert terminal.of(Contradiction) == []
    assert keys(7, b"xyz") in terminal.sent(B)
    terminal.hear(B, Consumed(CONSOLE, StreamOffset(10)))
    assert terminal.endpoint.unsettled() == 0


def test_input_of_ours_that_was_safe_and_is_wanted_again_is_lost() -> None:
    terminal = Terminal(RUN_UNKNOWN)
    terminal.hear(A, hello("a", 1, wants=10))
    terminal.endpoint.write(b"xyz")
    terminal.hear(A, Consumed(CONSOLE, StreamOffset(12)))
    terminal.hear(B, hello("b", 2, wants=7))
    (contradiction,) = terminal.of(Contradiction)
    assert contradiction.kind is ContradictionKind.INPUT_LOST
