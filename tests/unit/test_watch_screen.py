"""The screen without a terminal: what its lines say, and what its keys do."""

import pytest
from watched_pair import SECOND, Pair, alone, dead, sighting, well

from ftvm.runtime.status import Transfer
from ftvm.ui.watch.deeds import Deed
from ftvm.ui.watch.frame import draw
from ftvm.ui.watch.screen import Screen
from ftvm.units import Nanoseconds

SIZES = [(80, 24), (100, 30), (120, 40), (160, 50), (240, 70)]


class User:
    """Looks at a screen and presses keys."""

    def __init__(self, pair: Pair, *, owned: bool = True) -> None:
        self.pair = pair
        pair.model.owned = owned
        self.done: list[str] = []
        self.typed = b""
        self.screen = Screen(pair.model, self._do, self._type)

    def _do(self, deed: Deed) -> str:
        self.done.append(deed.key)
        return f"{deed.words} was done"

    def _type(self, data: bytes) -> None:
        self.typed += data

    def press(self, keys: str) -> None:
        self.screen.take(keys.encode())

    def look(self, width: int = 80, height: int = 24) -> list[str]:
        frame = draw(self.pair.model, self.screen.view, self.screen.grid, width, height)
        return [line.plain for line in frame.lines]

    def sees(self, text: str, width: int = 80, height: int = 24) -> bool:
        return any(text in line for line in self.look(width, height))


@pytest.fixture
def user() -> User:
    pair = Pair()
    pair.step(*well(), times=25)
    return User(pair)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_that_matters_is_on_the_screen_at_every_size(
    user: User, width: int, height: int
) -> None:
    user.screen.grid.feed(b"counter: ready\n1\n")
    for text in (
        *("PROTECTED", "generation", "a  PRIMARY", "b  BACKUP", "running", "following"),
        *("1,734,567,890", "200.0 MIPS", "behind", "4,321 ins.", "2.1 ms", "held output"),
        *("k kill  s pause", "K kill  S pause  f flip", "p protect again", "c cut the link"),
        *("? help", "q quit", "counter: ready", "  25     500,000,000", "pid 4097"),
    ):
        assert user.sees(text, width, height), text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_transfer_is_followed(user: User, width: int, height: int) -> None:
    sent = Transfer(pages=1_101, left_pages=1 << 18, bytes=1_101 << 12, elapsed_ns=SECOND // 10)
    starting = {"transfer": sent, "protection": "starting"}
    primary = sighting("a", "primary", state="protecting", **starting)
    backup = sighting("c", "backup", state="receiving", **starting)
    user.pair.step(dead("b", "backup"), primary, backup, times=3)
    assert user.sees("A new backup is being made: 0 % of 1,028 MiB, 43 MiB/s. The guest runs on.")
    for text in ("PROTECTING", "sends the machine", "is sent the machine", "received", "0 %"):
        assert user.sees(text, width, height), text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_numbers_stay_where_they_are(user: User, width: int, height: int) -> None:
    def column_of(text: str) -> set[int]:
        return {line.index(text) + len(text) for line in user.look(width, height) if text in line}

    before = column_of("200.0 MIPS")
    pair = user.pair
    pair.step(*well(instructions=9), times=25)
    assert column_of("200.0 MIPS") == before


def test_a_small_terminal_is_told_what_is_missing(user: User) -> None:
    assert user.look(79, 24)[:2] == [
        "The screen needs 80x24".ljust(79),
        "and has 79x24.".ljust(79),
    ]
    assert user.look(5, 2) == ["The …", "and …"]


# --- keys ---


@pytest.mark.parametrize("key", "kKsScf")
def test_keys_do_their_deeds_and_say_so(user: User, key: str) -> None:
    user.press(key)
    assert user.done == [key]
    assert user.sees("was done")


def test_what_cannot_be_done_says_why(user: User) -> None:
    user.press("p")
    assert user.sees("p: there is a backup.")
    user.press("r")
    assert user.sees("r: nobody is paused.")
    user.pair.step(dead("a", "primary"), alone("b", 2))
    for key in "KScf":
        user.press(key)
        assert user.sees(f"{key}: there is no backup: p starts one.")
    assert user.done == []


def test_elsewhere_nothing_can_be_done(user: User) -> None:
    user.pair.model.owned = False
    for key in "kKsSrcfp":
        user.press(key)
        assert user.sees(f"{key}: these processes are on other hosts")
    assert user.done == []
    user.press("q")
    assert user.screen.wants_to_leave


def test_what_loses_the_guest_is_asked_back_for(user: User) -> None:
    user.pair.step(dead("a", "primary"), alone("b", 2))
    user.press("k")
    assert user.sees("dies with its primary: k again does it")
    user.press("?")
    user.press(" ")
    user.press("k")
    assert user.done == []
    user.press("k")
    assert user.done == ["k"]


def test_quitting_is_asked_back_for_while_the_guest_runs(user: User) -> None:
    user.press("q")
    assert not user.screen.wants_to_leave
    assert user.sees("q again stops the guest and leaves.")
    user.press("q")
    assert user.screen.wants_to_leave


def test_quitting_is_free_when_the_guest_has_ended(user: User) -> None:
    user.pair.model.ended("exit, status 0", Nanoseconds(0))
    assert user.sees("The guest has ended: exit, status 0. q leaves.")
    user.press("q")
    assert user.screen.wants_to_leave


def test_keys_go_to_the_guest_and_come_back(user: User) -> None:
    user.press("\tkKq\x1b[A\x03")
    assert user.typed == b"kKq\x1b[A\x03"
    assert user.sees("typing: keys go to the guest")
    user.press("more\x01k")
    assert user.typed.endswith(b"more")
    assert user.done == ["k"]


def test_two_escapes_are_one_for_the_guest(user: User) -> None:
    user.press("\tx\x01\x01y")
    assert user.typed == b"x\x01y"
    user.press("\x01")
    user.press("k\x01")
    assert user.typed == b"x\x01y"


def test_the_cursor_is_the_guests_while_somebody_types(user: User) -> None:
    user.screen.grid.feed(b"login: ")
    frame = draw(user.pair.model, user.screen.view, user.screen.grid, 80, 24)
    assert frame.cursor is None
    user.press("\t")
    frame = draw(user.pair.model, user.screen.view, user.screen.grid, 80, 24)
    assert frame.cursor is not None
    row, column = frame.cursor
    assert frame.lines[row].plain.startswith("login: ")
    assert column == len("login: ")


def test_control_c_interrupts(user: User) -> None:
    user.press("\x03")
    assert user.screen.interrupted


def test_the_history_of_the_checks_can_be_stepped_through(user: User) -> None:
    user.press("\x1b[A")
    assert user.sees("check 25:")
    user.press("\x1b[A\x1b[A")
    assert user.sees("check 23:")
    assert user.sees("= equal, 2.1 ms apart")
    assert user.sees("b at 0:02, 2.1 ms later", 120, 40)
    user.pair.step(*well(), times=50)
    assert user.sees("   23     460,000,000")
    user.press("\x1b[H")
    assert user.sees("check 1:")
    user.press("\x1b[B")
    assert user.sees("check 2:")
    user.press("\x1b")
    assert user.sees("─ events ─")
    assert user.sees("   75   1,500,000,000")


def test_a_check_that_differs_shows_both_digests(user: User) -> None:
    user.pair.differs = True
    user.pair.step(*well())
    user.press("\x1b[A")
    assert user.sees("≠ NOT EQUAL, 2.1 ms apart")
    digests = [line.split()[-1] for line in user.look() if len(line.split()[-1:]) == 1]
    first = next(d for d in digests if len(d) == 32)
    assert user.sees(f" b {first[::-1]}")


def test_help_names_every_key_and_any_key_ends_it(user: User) -> None:
    user.press("?")
    for text in ("SIGKILL", "SIGSTOP", "cut the link, or mend it", "type to the guest", "quit"):
        assert user.sees(text)
    user.press("k")
    assert user.done == []
    assert not user.sees("SIGKILL")


# --- what the foot of the screen advises ---


def test_who_reads_only_the_advice_gets_through_two_failovers(user: User) -> None:
    assert user.sees("k kills the primary")
    user.pair.step(dead("a", "primary"), alone("b", 2))
    assert user.sees("NOT PROTECTED: the guest runs on b alone. p starts a new backup.")
    new = sighting("c", "backup", state="receiving")
    sending = sighting("b", "primary", state="protecting", protection="starting", generation=2)
    user.pair.step(dead("a", "primary"), sending, new)
    assert user.sees("A new backup is being made")
    b, c = sighting("b", "primary", generation=2), sighting("c", "backup", generation=2)
    user.pair.step(dead("a", "primary"), b, c)
    assert user.sees("k kills the primary")


def test_a_cut_and_a_pause_are_explained(user: User) -> None:
    a, _ = well()
    user.pair.step(a, sighting("b", "backup", cut=True))
    assert user.sees("The link is cut: output waits. c mends it")
    assert user.sees("mend the link")
    user.pair.step(sighting("a", "primary", paused=True), sighting("b", "backup"))
    assert user.sees("The primary is paused: r resumes it")
    assert user.sees("r resume")


def test_a_lost_guest_is_told(user: User) -> None:
    user.pair.model.end, user.pair.model.is_lost = "The guest is lost.", True
    user.pair.step(dead("a", "primary"), dead("b", "backup"))
    assert user.sees("LOST")
    assert user.sees("The guest is lost: nobody is left to run it. q leaves.")


def test_a_check_that_differed_is_seen_until_there_is_a_new_backup(user: User) -> None:
    user.pair.differs = True
    user.pair.step(*well())
    user.pair.differs = False
    user.pair.step(alone("a", 2), times=30)
    assert user.sees("   26     520,000,000")
    assert user.sees("≠")
    user.pair.step(sighting("a", "primary"), sighting("c", "backup"))
    assert not user.sees("≠")
