"""What a forked child has of its parent, and what it has not."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ftvm.runtime.forked import STDIN, STDOUT, ForkedProcess


def told_by(main: Callable[[], int], passed: tuple[int, ...] = ()) -> tuple[str, int]:
    """What a child says before it ends, and how it ends."""
    child = ForkedProcess("a child", main, passed)
    with open(child.stdout, encoding="utf-8", closefd=False) as stdout:
        said = stdout.read()
    return said, child.wait()


def say(text: str) -> int:
    os.write(STDOUT, text.encode())
    return 0


def test_it_has_standard_streams_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    given, kept = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    try:

        def descriptors() -> int:
            listing = os.open("/proc/self/fd", os.O_RDONLY)
            return say(" ".join(sorted(set(os.listdir(listing)) - {str(listing)}, key=int)))

        said, status = told_by(descriptors, (given,))
    finally:
        os.close(given)
        os.close(kept)
    numbers = {int(number) for number in said.split()}
    assert {0, 1, 2, given} <= numbers
    assert kept not in numbers
    assert len(numbers) <= 5  # and the one that the list itself was read from
    assert status == 0


def test_it_hears_its_parent_and_sees_it_leave() -> None:
    def echo() -> int:
        while data := os.read(STDIN, 100):
            os.write(STDOUT, data.upper())
        return 7

    child = ForkedProcess("echo", echo, ())
    os.write(child.stdin, b"word")
    assert os.read(child.stdout, 100) == b"WORD"
    os.close(child.stdin)
    child.stdin = os.open(os.devnull, os.O_WRONLY)
    assert child.wait() == 7


def test_signals_are_as_at_a_programs_start() -> None:
    former = signal.signal(signal.SIGTERM, lambda *_: None)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert told_by(say_handlers) == ("SIG_DFL SIG_IGN", 0)
    finally:
        signal.signal(signal.SIGTERM, former)
        signal.signal(signal.SIGHUP, ignored)


def say_handlers() -> int:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    return say(" ".join(signal.Handlers(handler).name for handler in handlers))


def test_it_is_a_group_of_its_own_with_a_name() -> None:
    said, _ = told_by(lambda: say(f"{os.getpgid(0) == os.getpid()} {comm()}"))
    assert said == "True a child"


def comm() -> str:
    return Path("/proc/self/comm").read_text(encoding="ascii").strip()


def test_its_death_by_a_signal_is_told() -> None:
    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert told_by(die) == ("", -signal.SIGKILL)


def test_an_error_ends_the_child_and_not_more(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise RuntimeError("this is the child's")

    assert told_by(fail) == ("", 1)
    assert "this is the child's" in capfd.readouterr().err
