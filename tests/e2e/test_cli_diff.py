"""`ftvm diff`: where two runs part, as a shell sees it, and of real replicas."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from pair_session import MEMORY_BYTES, TICK, run_spec
from recorded_run import boot, open_run, plant, record
from replica_memory import corrupt_guest_memory

from ftvm.log.run_format import Flip
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.cli import main
from ftvm.ui.diff_report import print_report
from ftvm.ui.difference import Difference

Diff = Callable[..., tuple[int, str, str]]
FLIP = Flip(1_000_000, 0x7F0010, 5)


@pytest.fixture(scope="module")
def recorded(guest_images: Path) -> bytes:
    return record(boot(guest_images, "primes", "size=100000 rounds=1"))[0]


@pytest.fixture
def diff(
    tmp_path: Path,
    recorded: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Diff:
    monkeypatch.chdir(tmp_path)
    Path("one").write_bytes(recorded)
    Path("other").write_bytes(plant(recorded, FLIP))

    def carry_out(*arguments: str) -> tuple[int, str, str]:
        status = main(["diff", *arguments])
        said = capfd.readouterr()
        return status, said.out, said.err

    return carry_out


def test_a_flip_is_shown_with_its_instruction_and_bytes(diff: Diff) -> None:
    status, out, err = diff("one", "other")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    where = "part at instruction 1,000,000: equal before, different behind"
    assert lines[0] == f"one and other {where}"
    assert lines[1] == "other has a flip planted here: 0x7f0010, bit 5"
    executed = lines.index("executed")
    assert [line[:4] for line in lines[executed + 1 : executed + 6]] == ["    "] * 4 + ["  > "]
    assert "  007f0010    00          20   bit 5" in lines
    assert not [line for line in lines if line.startswith("* ")]  # no register differs
    assert max(map(len, lines)) <= 80, max(lines, key=len)


def test_what_is_found_is_json_too(diff: Diff) -> None:
    status, out, _ = diff("one", "other", "--json")
    found = json.loads(out)
    assert status == 1
    assert (found["verdict"], found["equal"], found["different"]) == ("different", 999999, 1000000)
    assert found["memory"] == [[0x7F0010, 0, 32]]
    assert len(found["before"]) == 4


def test_registers_that_differ_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    registers = [("eax", 1, 1), ("ecx", 0x10, 0x11), ("cr2", 5, 6), ("cr3", 7, 7)]
    difference = Difference("different", ("x", "y"), [], 4, 5, registers=registers)
    print_report(difference)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["eax", "00000001", "00000001"] in lines
    assert ["*", "ecx", "00000010", "00000011"] in lines
    assert ["*", "cr2", "00000005", "00000006"] in lines
    assert not [line for line in lines if "cr3" in line]
    assert ["memory", "is", "equal"] in lines


def test_runs_part_at_what_they_were_given(diff: Diff, guest_images: Path) -> None:
    for name in ("x", "y"):
        Path(name).write_bytes(record(boot(guest_images, "entropy", "n=2"))[0])
    status, out, _ = diff("x", "y")
    assert status == 1
    given = out.split("came in\n")[1].splitlines()
    assert [line.split()[:2] for line in given[:2]] == [["x", "clock"], ["y", "clock"]]


def test_equal_runs_are_told_so(diff: Diff, recorded: bytes) -> None:
    status, out, err = diff("one", "one")
    count = open_run(recorded).end_count
    assert (status, out, err) == (0, f"one and one are equal: {count:,} instructions\n", "")


def test_a_torn_run_is_equal_as_far_as_it_goes(diff: Diff, recorded: bytes) -> None:
    Path("torn").write_bytes(recorded[:-1])
    status, out, _ = diff("one", "torn")
    assert status == 0
    Path("torn").write_bytes(recorded[:4000])
    status, out, err = diff("one", "torn")
    assert (status, out) == (2, "")
    assert "torn at byte" in err


def test_a_flip_in_a_pair_is_traced_back(ftvm: FtvmCommand) -> None:
    flip = "backup@instruction:3000000:0x3f00000:7"
    run = ftvm("run", "guest:primes", "--append", "rounds=1", "--record", "r", "--flip", flip)
    assert run.status == 122
    found = json.loads(ftvm("diff", "r", "r.b", "--json").out)
    assert (found["equal"], found["different"]) == (2_999_999, 3_000_000)
    assert found["memory"] == [[0x3F00000, 0, 128]]


def test_memory_that_was_changed_from_outside_is_told(
    guest_images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = run_spec(guest_images, "counter", record=tmp_path / "r")
    output = bytearray()
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        supervisor.write(b"ii")
        while not output.endswith(b"2\n"):
            supervisor.poll(TICK)
        backup = supervisor.replica("backup")
        assert backup is not None
        corrupt_guest_memory(backup.pid, b"counter: ", MEMORY_BYTES)
        while backup.alive:
            supervisor.write(b"x")
            supervisor.poll(TICK)
        supervisor.write(b"q")
        while not supervisor.finished:
            supervisor.poll(TICK)
    assert main(["diff", str(tmp_path / "r.a"), str(tmp_path / "r.b")]) == 1
    said = capfd.readouterr().out
    assert "r.b does not make it differ" in said
    assert "its memory was changed from outside" in said
    assert "bit 0" in said
