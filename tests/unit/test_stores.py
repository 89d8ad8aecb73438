"""The test-and-set store: one winner for each generation, whoever races, dies or damages it."""

import errno
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from children import exit_status, run_in_child

from ftvm.errors import HostError, StateError, UsageError
from ftvm.replication import arbitration
from ftvm.replication.arbitration import Lost, Unreachable, Won
from ftvm.runtime import stores
from ftvm.runtime.stores import FileStore, Holder, StoreUnreachableError
from ftvm.units import Generation

RUN = bytes(range(16))
G0, G1, G2, G3 = map(Generation, range(4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> FileStore:
    return FileStore(path, RUN)


def test_boot_and_failovers(store: FileStore) -> None:
    assert store.advance(G0, "a") == Won(G1)
    assert store.current() == Holder(G1, "a")
    assert store.advance(G1, "b") == Won(G2)
    assert store.advance(G2, "c") == Won(G3)
    assert store.current() == Holder(G3, "c")


def test_loser_is_told_who_won(store: FileStore) -> None:
    store.advance(G0, "a")
    store.advance(G1, "b")
    assert store.advance(G1, "a") == Lost(G2, "b")


def test_who_asks_again_for_what_it_holds_has_won_it(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    restarted = FileStore(path, RUN)
    assert restarted.current() == Holder(G1, "a")
    assert restarted.advance(G0, "a") == Won(G1)
    assert restarted.current() == Holder(G1, "a")


def test_who_comes_back_after_the_next_failover_has_lost(store: FileStore) -> None:
    store.advance(G0, "a")
    store.advance(G1, "b")
    assert store.advance(G0, "a") == Lost(G2, "b")


def test_store_before_the_boot_has_no_holder(path: Path, store: FileStore) -> None:
    path.mkdir()
    assert store.current() == Holder(G0, "")


def test_more_than_a_million_generations(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    content = (path / "generation-000001").read_bytes()
    for number in (999_999, 1_000_000):
        text = content.replace(b"generation 1\n", b"generation %d\n" % number)
        (path / f"generation-{number:06d}").write_bytes(text)
    assert store.current() == Holder(Generation(1_000_000), "a")
    assert store.advance(Generation(1_000_000), "b") == Won(Generation(1_000_001))


def test_other_files_are_no_matter(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    names = ["pending-0", ".nfs0001", "generation-2", "generation-0000002", "generation-000002~"]
    for name in names:
        (path / name).write_text("anything")
    assert store.current() == Holder(G1, "a")


def test_nothing_is_left_but_generations(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    store.advance(G0, "b")
    store.advance(G1, "b")
    assert sorted(os.listdir(path)) == ["generation-000001", "generation-000002"]


# Many processes.


def test_one_of_many_processes_wins_each_generation(path: Path, store: FileStore) -> None:
    processes, generations = 8, 12
    for generation in range(generations):
        start_read, start_write = os.pipe()

        def race(index: int, start: int = start_read, wanted: int = generation) -> int:
            os.read(start, 1)
            replica: arbitration.TestAndSet = FileStore(path, RUN)
            outcome = replica.advance(Generation(wanted), f"process-{index}")
            return {Won: 1, Lost: 0, Unreachable: 2}[type(outcome)]

        children = []
        for index in range(processes):
            children.append(run_in_child(lambda index=index: race(index)))  # type: ignore[misc]
        os.write(start_write, b"." * processes)
        won = [exit_status(pid) for pid in children]
        os.close(start_read)
        os.close(start_write)
        assert sorted(won) == [0] * (processes - 1) + [1]
        assert store.current() == Holder(Generation(generation + 1), f"process-{won.index(1)}")


def advance_and_die_at_line(path: Path, line_number: int) -> int:
    """Advance as "dying", killed by SIGKILL before the n-th line executed in the store's code."""
    lines_left = line_number

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines_left
        if frame.f_code.co_filename != stores.__file__:
            return None
        if event == "line":
            lines_left -= 1
            if lines_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    FileStore(path, RUN).advance(G1, "dying")
    return 0


def test_killed_at_any_line_leaves_a_valid_store(tmp_path: Path) -> None:
    outcomes = set()
    line_number, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        line_number += 1
        path = tmp_path / str(line_number)
        store = FileStore(path, RUN)
        store.advance(G0, "first")
        status = exit_status(
            run_in_child(lambda path=path, n=line_number: advance_and_die_at_line(path, n))  # type: ignore[misc]
        )
        held = store.current()
        outcomes.add(held)
        survivor = store.advance(G1, "survivor")
        restarted = FileStore(path, RUN).advance(G1, "dying")
        if held == Holder(G1, "first"):
            assert (survivor, restarted) == (Won(G2), Lost(G2, "survivor"))
        else:
            assert (survivor, restarted) == (Lost(G2, "dying"), Won(G2))
    assert status == 0
    assert outcomes == {Holder(G1, "first"), Holder(G2, "dying")}


# What cannot be reached.


def assert_unreachable(store: FileStore, expected: Generation, *said: str) -> None:
    outcome = store.advance(expected, "b")
    assert isinstance(outcome, Unreachable)
    for part in said:
        assert part in outcome.detail
    assert "\n" not in outcome.detail


def test_missing_directory(path: Path, store: FileStore) -> None:
    said = os.strerror(errno.ENOENT)
    with pytest.raises(StoreUnreachableError, match=said) as caught:
        store.current()
    assert isinstance(caught.value, HostError)
    assert_unreachable(store, G1, str(path), said)


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    assert_unreachable(FileStore(tmp_path / "missing" / "store", RUN), G0, "missing/store")


def test_file_in_the_place_of_the_directory(path: Path, store: FileStore) -> None:
    path.write_text("a file")
    with pytest.raises(StoreUnreachableError, match=os.strerror(errno.ENOTDIR)):
        store.current()
    assert_unreachable(store, G0, str(path))


def test_store_that_was_emptied_gives_nothing_away(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    (path / "generation-000001").unlink()
    assert_unreachable(store, G1, "generation-000001")
    assert os.listdir(path) == []


@pytest.mark.parametrize("bytes_that_fit", [0, 10])
def test_full_disk(path: Path, store: FileStore, bytes_that_fit: int) -> None:
    store.advance(G0, "a")

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_that_fit, bytes_that_fit))
        outcome = FileStore(path, RUN).advance(G1, "b")
        return 7 if isinstance(outcome, Unreachable) else 0

    assert exit_status(run_in_child(work)) == 7
    assert os.listdir(path) == ["generation-000001"]
    assert store.advance(G1, "c") == Won(G2)


# What is refused.

GOOD = f"ftvm store 1\ngeneration 1\nrun {RUN.hex()}\nowner a\n".encode()


def test_content_is_as_documented(path: Path, store: FileStore) -> None:
    store.advance(G0, "a")
    assert (path / "generation-000001").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not written by this version"),
        (GOOD[:-1], "not written by this version"),
        (GOOD + b"\n", "not written by this version"),
        (GOOD.replace(b"store 1", b"store 2"), "not written by this version"),
        (b"\0" * len(GOOD), "not written by this version"),
        (b"x" * 100_000, "not written by this version"),
        (GOOD.replace(b"generation 1", b"generation 2"), "damaged"),
        (GOOD.replace(b"generation 1", b"generation 01"), "damaged"),
        (GOOD.replace(b"owner a", b"owner \xff"), "damaged"),
        (GOOD.replace(b"owner a", b"owner \x1b[2J"), "damaged"),
        (GOOD.replace(b"owner a", b"owner " + b"a" * 65), "damaged"),
        (GOOD.replace(RUN.hex().encode(), b"00" * 16), "belongs to the run 0000"),
    ],
)
def test_garbage_is_refused(path: Path, store: FileStore, content: bytes, said: str) -> None:
    path.mkdir()
    (path / "generation-000001").write_bytes(content)
    for refused in (store.current, lambda: store.advance(G1, "b")):
        with pytest.raises(StateError, match=said) as caught:
            refused()
        assert "give " in str(caught.value)
        assert "\n" not in str(caught.value)
    assert os.listdir(path) == ["generation-000001"]


@pytest.mark.parametrize("owner", ["", "two\nlines", "x" * 65, "\u00e9" * 33, "\ud800"])
def test_impossible_owner(path: Path, store: FileStore, owner: str) -> None:
    with pytest.raises(UsageError, match="printable name"):
        store.advance(G0, owner)
    assert not path.exists()


def test_impossible_run(path: Path) -> None:
    with pytest.raises(UsageError, match="run id"):
        FileStore(path, b"short")
