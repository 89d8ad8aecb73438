"""The text screen instead of the serial console, and typing on the keyboard."""

from collections.abc import Iterator

import pytest
from etcd_server import free_port
from ftvm_command import COMMAND, FtvmCommand
from hosts import Cluster
from layouts import assert_equal_elsewhere
from port_program import COM1, program, say
from pseudo_terminal import PseudoTerminal

from ftvm.ui.keys import scan_codes
from ftvm.ui.text_screen import CHARACTERS

# Show each scan code as a character, white on blue; Q ends with status 7.
ECHO = bytes.fromhex(
    "bf00800b00"  # mov edi, 0xb8000
    "e464 a801 74fa"  # wait for a byte at the keyboard controller
    "e460 3c10 7406"  # in al, 0x60; cmp al, Q; je to the end
    "b41f 66ab ebee"  # mov ah, 0x1f; stosw; jmp to the wait
    "b007 e6f4"  # mov al, 7; out 0xf4, al
)
TYPED = b"hello, World\n"
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def shown(typed: bytes) -> bytes:
    """What the screen has after this was typed, in a pipe: its first line."""
    return "".join(CHARACTERS[code] for code in scan_codes(typed)).rstrip().encode() + b"\n"


@pytest.fixture
def echo(ftvm: FtvmCommand) -> FtvmCommand:
    (ftvm.home / "echo").write_bytes(program(say(COM1, b"serial\n"), ECHO))
    return ftvm


@pytest.mark.parametrize(
    "options",
    [("--solo",), ("--crash", "primary@instruction:20000"), ("--crash", "primary@entry:8")],
    ids=" ".join,
)
def test_the_last_screen_is_printed_in_a_pipe(echo: FtvmCommand, options: tuple[str, ...]) -> None:
    done = echo("run", "echo", "--screen", *options, typed=TYPED + b"q")
    assert (done.status, done.out.decode()) == (7, shown(TYPED).decode())


def test_a_recording_shows_the_same_screen(echo: FtvmCommand) -> None:
    done = echo("record", "echo", "-o", "run", "--screen", typed=TYPED + b"q")
    assert (done.status, done.out) == (7, shown(TYPED))
    again = echo("replay", "run", "--screen")
    assert (again.status, again.out) == (0, shown(TYPED)), again.err
    assert echo("replay", "run").out == b"serial\n"
    assert_equal_elsewhere(echo, "run")
    part = echo("replay", "run", "--screen", "--until", "10")
    assert (part.status, part.out) == (0, b"")


def test_a_recording_has_its_screen_even_if_nobody_watched(echo: FtvmCommand) -> None:
    done = echo("record", "echo", "-o", "run", "--eof-exit", typed=TYPED)
    assert (done.status, done.out) == (0, b"serial\n")
    again = echo("replay", "run", "--screen")
    assert (again.status, again.out) == (0, b"")


def test_a_json_verdict_has_no_screen(echo: FtvmCommand) -> None:
    done = echo("replay", "nowhere", "--screen", "--json")
    assert (done.status, done.lines) == (2, ["ftvm: --json prints no screen: leave --screen out"])


@pytest.fixture
def terminal(echo: FtvmCommand) -> Iterator[PseudoTerminal]:
    """A terminal where the guest's screen is drawn."""
    command = [*COMMAND, "run", "echo", "--screen"]
    one = PseudoTerminal(command, echo.home, echo.environment)
    one.see(ENTER)
    yield one
    one.close()


def test_the_screen_is_drawn_at_a_terminal_and_what_is_typed(terminal: PseudoTerminal) -> None:
    assert terminal.is_raw()
    terminal.see("\x1b[1;1H")
    terminal.type(b"hello")
    terminal.see("\x1b[0;97;44m" + shown(b"hello").decode().rstrip())
    terminal.type(b"q")
    assert terminal.end() == 7
    drawn, _, left = terminal.screen.decode().partition(LEAVE)
    assert left.splitlines()[0] == shown(b"hello").decode().rstrip()
    assert "serial" not in drawn
    assert terminal.is_as_before()


def test_ctrl_a_x_leaves_the_screen_and_says_what_was_to_be_said(terminal: PseudoTerminal) -> None:
    terminal.type(b"hi")
    terminal.see(shown(b"hi").decode().rstrip())
    terminal.type(b"\x01h\x01x")
    assert terminal.end() == 0
    left = terminal.screen.decode().partition(LEAVE)[2]
    assert left.splitlines()[0] == shown(b"hi").decode().rstrip()
    assert "Ctrl-A x leaves" in left
    assert terminal.is_as_before()


def test_a_console_shows_the_screen_of_a_guest_elsewhere(
    cluster: Cluster, echo: FtvmCommand
) -> None:
    place, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    cluster.serve(place, echo.home / "echo")
    cluster.join(other, place)
    hosts = f"{place},{other}"
    done = echo("console", hosts, "--screen", typed=TYPED + b"q")
    assert (done.status, done.out) == (7, shown(TYPED))
