"""`ftvm inspect`: what it tells of a run is what is in it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from recorded_run import CONFIG, boot, open_run, plant, record

from ftvm.log.run_format import Flip
from ftvm.ui.cli import main


@dataclass
class Told:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


Inspect = Callable[..., Told]


@pytest.fixture(scope="module")
def recorded(guest_images: Path) -> bytes:
    return record(boot(guest_images, "entropy", "n=3"))[0]


@pytest.fixture
def inspect(
    tmp_path: Path,
    recorded: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Inspect:
    monkeypatch.chdir(tmp_path)
    Path("r").write_bytes(recorded)

    def carry_out(*arguments: str) -> Told:
        status = main(["inspect", "r", *arguments])
        said = capfd.readouterr()
        return Told(status, said.out, said.err)

    return carry_out


def test_the_summary_has_the_totals(inspect: Inspect, recorded: bytes) -> None:
    reader = open_run(recorded)
    told = inspect("--json")
    summary = json.loads(told.out)
    assert (told.status, told.err) == (0, "")
    assert summary["end"] == reader.end_count
    assert (summary["how"], summary["exit_status"], summary["flaw"]) == ("exit", 0, None)
    assert summary["memory_bytes"] == CONFIG.memory_bytes
    assert summary["entries"]["random"] == 6
    assert summary["entries"]["tsc"] > 0
    text = inspect()
    assert text.status == 0
    assert f"from instruction 0 to {reader.end_count:,} in " in text.out
    assert "random 6" in text.out
    assert all(len(line) < 120 for line in text.lines)


def test_each_entry_has_the_instruction_that_it_came_to(inspect: Inspect) -> None:
    entries = inspect("--entries", "--code", "--json").objects
    codes = {"tsc": ("rdtsc", "rdtscp"), "random": ("rdrand", "rdseed"), "clock": ("in ", "out ")}
    for kind, expected in codes.items():
        of_kind = [entry for entry in entries if entry["kind"] == kind]
        assert of_kind
        assert all(str(entry["code"]).startswith(expected) for entry in of_kind)
    listed = inspect("--entries", "--code").lines
    assert len(listed) == len(entries)
    assert all(str(e["code"]) in line for e, line in zip(entries, listed, strict=True))


def test_filters_choose_entries(inspect: Inspect) -> None:
    entries = inspect("--entries", "--json").objects
    counts = [int(str(entry["instruction"])) for entry in entries]
    begin, until = counts[len(counts) // 3], counts[2 * len(counts) // 3]
    chosen = inspect(
        *("--entries", "--json", "--kind", "tsc,random"),
        *("--from", str(begin), "--until", str(until)),
    ).objects
    assert chosen == [
        entry
        for entry, count in zip(entries, counts, strict=True)
        if begin <= count <= until and entry["kind"] in ("tsc", "random")
    ]
    assert chosen


def test_a_torn_run_is_told_as_far_as_it_goes(inspect: Inspect, recorded: bytes) -> None:
    Path("r").write_bytes(recorded[:-10])
    told = inspect()
    assert told.status == 0
    assert "end         missing" in told.out
    assert "torn at byte" in told.err
    assert json.loads(inspect("--json").out)["flaw"].startswith("torn at byte")


def test_a_damaged_run_is_told_and_has_another_status(inspect: Inspect, recorded: bytes) -> None:
    end = open_run(recorded).end
    assert end is not None
    changed = bytearray(recorded)
    changed[-len(recorded) // 8] ^= 4
    Path("r").write_bytes(changed)
    told = inspect()
    assert told.status == 2
    assert "damaged at byte" in told.err


def test_planted_flips_are_told(inspect: Inspect, recorded: bytes) -> None:
    Path("r").write_bytes(plant(recorded, Flip(77, 0x5000, 6)))
    assert "planted at instruction 77: 0x5000, bit 6" in inspect().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--kind", "tsc"), "--kind is for entries"),
        (("--code",), "--code is for entries"),
        (("--entries", "--kind", "keys"), "no entries of kind 'keys': there are tsc, random"),
        (("--entries", "--until", "x"), "not a number of instructions"),
    ],
)
def test_bad_input_is_one_line(inspect: Inspect, arguments: tuple[str, ...], says: str) -> None:
    told = inspect(*arguments)
    assert (told.status, told.out) == (2, "")
    assert says in told.err
    assert told.err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(ftvm: FtvmCommand, recorded: bytes) -> None:
    (ftvm.home / "r").write_bytes(recorded)
    inspected = ftvm("inspect", "r", "--entries", tail="| head -1")
    assert inspected.err == ""
    assert len(inspected.out.splitlines()) == 1
