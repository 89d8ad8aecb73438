"""`ftvm` at a terminal: every key is the guest's, and the terminal comes back as it was."""

import signal
import sys
import termios
from collections.abc import Callable, Iterator

import pytest
from ftvm_command import COMMAND, FtvmCommand
from pseudo_terminal import PseudoTerminal

Open = Callable[..., PseudoTerminal]


@pytest.fixture
def terminal(ftvm: FtvmCommand) -> Iterator[Open]:
    opened = []

    def start(*arguments: str, **environment: str) -> PseudoTerminal:
        opened.append(
            PseudoTerminal([*COMMAND, *arguments], ftvm.home, {**ftvm.environment, **environment})
        )
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def counter(terminal: Open) -> PseudoTerminal:
    """A counter that waits for keys."""
    one = terminal("run", "guest:counter")
    one.see("Ctrl-A x leaves")
    one.see("counter: ready\r\n")
    assert one.is_raw()
    return one


def test_keys_go_to_the_guest_one_by_one_and_are_not_echoed(counter: PseudoTerminal) -> None:
    counter.type(b"i")
    counter.see("1\r\n")
    counter.type(b"ir")
    counter.see("2\r\n2\r\n")
    counter.type(b"q")
    assert counter.end() == 0
    assert counter.is_as_before()
    assert b"i" not in counter.screen


def test_control_keys_are_the_guests_too(counter: PseudoTerminal) -> None:
    counter.type(b"\x03\x1a\x1c\x04\x13\x11i")
    counter.see("1\r\n")
    counter.type(b"q")
    assert counter.end() == 0


def test_ctrl_a_x_leaves(counter: PseudoTerminal) -> None:
    counter.type(b"ii\x01")
    counter.see("2\r\n")
    counter.type(b"x")
    counter.see("the guest was stopped at instruction ")
    assert counter.end() == 0
    assert counter.is_as_before()


def test_ctrl_a_h_helps_and_twice_is_one_for_the_guest(counter: PseudoTerminal) -> None:
    counter.type(b"\x01h")
    counter.see("Ctrl-A x leaves")
    counter.see("Ctrl-A Ctrl-A")
    counter.type(b"\x01\x01\x01zi")  # an unknown escape is for nobody
    counter.see("1\r\n")
    counter.type(b"q")
    assert counter.end() == 0


def test_a_failover_is_one_line_and_the_session_goes_on(terminal: Open) -> None:
    one = terminal("run", "guest:counter", "--crash", "primary@output:17")
    one.see("ready")
    one.type(b"i")  # its answer is held back, and may come before or after
    one.see("primary a killed by SIGKILL; backup live at instruction ")
    assert one.is_raw()
    one.type(b"iq")
    one.see("2\r\n")
    assert one.end() == 0
    assert one.is_as_before()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 131)],
    ids=["SIGINT", "SIGTERM", "SIGQUIT"],
)
def test_the_terminal_is_restored_after_a_signal(
    counter: PseudoTerminal, number: signal.Signals, status: int
) -> None:
    counter.signal(number)
    counter.see(f"{number.name}: the guest was stopped")
    assert counter.end() == status
    assert counter.is_as_before()


def test_the_terminal_is_restored_when_the_guest_is_lost(terminal: Open) -> None:
    crashes = ("--crash", "primary@output:17", "--crash", "primary@output:19")
    one = terminal("run", "guest:counter", *crashes)
    one.see("ready")
    one.type(b"iii")
    one.see("the guest is lost: ")
    assert one.end() == 121
    assert one.is_as_before()


def test_after_a_stop_the_terminal_is_raw_again(counter: PseudoTerminal) -> None:
    """As a shell does it: it sets the terminal its own way before `fg`."""
    counter.signal(signal.SIGSTOP)
    termios.tcsetattr(counter.theirs, termios.TCSANOW, counter.before)
    counter.signal(signal.SIGCONT)
    while not counter.is_raw():
        pass
    counter.type(b"iq")
    counter.see("1\r\n")
    assert counter.end() == 0
    assert counter.is_as_before()


def test_colour_is_for_terminals_that_want_it(terminal: Open) -> None:
    for environment, coloured in (
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ):
        one = terminal("run", "guest:nobody", **environment)
        assert one.end() == 2
        while b"nobody" not in one.screen:
            one.see("ftvm")
        assert (b"\x1b[" in one.screen) == coloured, environment


def test_the_demo_on_a_terminal(terminal: Open) -> None:
    one = terminal("demo", "--seed", "7")
    one.see("increments")
    one.see("\x1b[")
    one.see("PASS")
    assert one.end() == 0
    assert one.is_as_before()


LONG_WORK = """
from ftvm.ui import progress
progress._PATIENCE_S = 0
with progress.ProgressBar("replaying", 10) as bar:
    bar.at(5)
print("done")
"""


def test_what_takes_long_shows_how_far_it_is_on_a_terminal_only(ftvm: FtvmCommand) -> None:
    one = PseudoTerminal([sys.executable, "-P", "-c", LONG_WORK], ftvm.home, ftvm.environment)
    one.see("replaying")
    one.see("50%")
    one.see("done")
    assert one.end() == 0
    one.close()
    done = ftvm.python(LONG_WORK)
    assert (done.out, done.err) == (b"done\n", "")
