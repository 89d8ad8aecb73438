"""`ftvm run --watch` and `ftvm watch` in a real terminal, driven by what the screen says."""

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_server import free_port
from ftvm_command import COMMAND, FtvmCommand
from hosts import Cluster
from tmux_terminal import HAS_TMUX, TmuxTerminal

pytestmark = pytest.mark.skipif(not HAS_TMUX, reason="tmux is not installed")

FTVM = shlex.join(COMMAND)
ALONE = "NOT PROTECTED: the guest runs on"
_COLOURS = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7])[;m]")


@pytest.fixture
def terminal(ftvm: FtvmCommand) -> Iterator[TmuxTerminal]:
    terminal = TmuxTerminal(ftvm.home, ftvm.environment)
    yield terminal
    terminal.close()


def start(terminal: TmuxTerminal, guest: str = "guest:counter", more: str = "") -> None:
    terminal.run(f"{FTVM} run {guest} --watch {more}; echo left with $?")
    terminal.see("  PROTECTED  ", "either of the two may die")


def generation(terminal: TmuxTerminal) -> int:
    (found,) = re.findall(r"generation +(\d+)", "\n".join(terminal.lines))
    return int(found)


def advised(terminal: TmuxTerminal) -> str:
    """The key that the advice names for what is to be done next."""
    (found,) = re.findall(r"(?:alone\.|die\.) (\w) ", terminal.lines[-2])
    return str(found)


def test_the_primary_is_killed_twice_by_who_does_what_the_screen_says(
    terminal: TmuxTerminal, tmp_path: Path
) -> None:
    before = terminal.settings(tmp_path / "before")
    start(terminal)
    terminal.press("Tab")
    terminal.see("typing: keys go to the guest")
    terminal.type("iii")
    terminal.see("\n1\n2\n3\n")
    terminal.press("C-a")
    for number in (2, 3):
        terminal.see("k kills the primary")
        assert advised(terminal) == "k"
        terminal.press(advised(terminal))
        terminal.see(ALONE)
        assert generation(terminal) == number
        assert advised(terminal) == "p"
        terminal.press(advised(terminal))
        terminal.see("  PROTECTED  ", "protected again: backup")
    terminal.press("Tab")
    terminal.type("ii")
    terminal.see("\n3\n4\n5\n")
    terminal.type("q")
    terminal.see("The guest has ended: exit, status 0", "q leaves")
    terminal.press("C-a", "q")
    terminal.see("left with 0", "the guest has ended")
    assert not terminal.is_alternate
    assert terminal.ask("cursor_flag") == "1"
    assert terminal.settings(tmp_path / "after") == before


def test_a_bit_is_flipped_found_and_shown(terminal: TmuxTerminal) -> None:
    terminal.resize(200, 50)  # all that is told of it stays in sight
    start(terminal)
    terminal.press("f")
    terminal.see("flipped in backup b", "≠", ALONE)
    terminal.see("they part at instruction")  # found by doing it again
    assert advised(terminal) == "p"
    terminal.press("q", "q")
    terminal.see("left with 0")
    assert not terminal.is_alternate


def test_a_cut_link_stops_the_guest_and_a_mended_one_lets_it_go_on(terminal: TmuxTerminal) -> None:
    start(terminal, more="--failure-timeout 60s")
    terminal.press("c")
    terminal.see("The link is cut", "mend the link", "waits: lag")
    terminal.press("Tab")
    terminal.type("i")
    terminal.see("typing: keys go to the guest")
    terminal.press("C-a")
    terminal.see("mend the link")
    assert not terminal.sees("ready\n1\n")
    terminal.press("c")
    terminal.see("ready\n1\n", "  PROTECTED  ")
    terminal.press("C-c")
    terminal.see("left with 130")


def test_the_screen_follows_its_terminal(terminal: TmuxTerminal) -> None:
    start(terminal)
    for width, height in ((120, 40), (60, 20), (80, 24)):
        terminal.resize(width, height)
        if width < 80:
            terminal.see("The screen needs 80x24", f"and has {width}x{height}")
        else:
            terminal.see("? help   q quit", f"last {width - 23} s")
            assert max(map(len, terminal.lines)) <= width
            assert _COLOURS.search(terminal.coloured)
    terminal.press("q", "q")
    terminal.see("left with 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_as_before(
    terminal: TmuxTerminal, tmp_path: Path, number: signal.Signals
) -> None:
    before = terminal.settings(tmp_path / "before")
    start(terminal)
    assert terminal.is_alternate
    terminal.signal(number)
    terminal.see(f"left with {128 + number}", f"{number.name}: the guest was stopped")
    assert not terminal.is_alternate
    assert terminal.settings(tmp_path / "after") == before


def test_an_error_of_ours_leaves_the_terminal_as_it_was(
    terminal: TmuxTerminal, tmp_path: Path
) -> None:
    before = terminal.settings(tmp_path / "before")
    program = (
        "from ftvm.ui.watch.display import Display\nwith Display():\n raise ValueError('a bug')"
    )
    terminal.run(f"{COMMAND[0]} -c {shlex.quote(program)}")
    terminal.see("ValueError: a bug")
    assert not terminal.is_alternate
    assert terminal.settings(tmp_path / "after") == before


def test_without_colour_there_is_none(terminal: TmuxTerminal) -> None:
    terminal.run(f"NO_COLOR=1 {FTVM} run guest:counter --watch; echo left with $?")
    terminal.see("  PROTECTED  ", "either of the two may die")
    assert not _COLOURS.search(terminal.coloured)
    terminal.press("q", "q")
    terminal.see("left with 0")


def test_hosts_are_watched_and_their_console_is_taken_when_somebody_types(
    terminal: TmuxTerminal, tmp_path: Path, guest_images: Path
) -> None:
    cluster = Cluster(tmp_path, str(tmp_path / "store"))
    try:
        one, two = (f"127.0.0.1:{free_port()}" for _ in range(2))
        first = cluster.serve(one, guest_images / "counter.elf")
        cluster.join(two, one)
        terminal.run(f"{FTVM} watch {one},{two}; echo left with $?")
        terminal.see("  PROTECTED  ", f"{one}  PRIMARY", f"{two}  BACKUP")
        terminal.press("k")
        terminal.see("these processes are on other hosts")
        assert cluster.status(one)[0]["console"] == ""
        terminal.press("Tab")
        terminal.type("ii")
        terminal.see("\n1\n2\n")
        first.kill()
        terminal.see("NOT PROTECTED", f"{two}  PRIMARY", "AWAY")
        terminal.type("i")
        terminal.see("\n1\n2\n3\n")
        terminal.type("q")
        terminal.see("The guest has ended: exit, status 0")
        terminal.press("q")
        terminal.see("left with 0")
    finally:
        cluster.close()
