"""`ftvm bench`: what it measures, in a tiny size, and what it says of two sessions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ftvm_command import FtvmCommand

from ftvm.bench.plan import TINY
from ftvm.bench.session import Document, describe_host
from ftvm.bench.suite import choose_items, choose_rivals, measure

PNG, SVG = b"\x89PNG\r\n", b"<?xml"


@pytest.fixture
def session(ftvm: FtvmCommand) -> dict[str, Any]:
    """A session's file that says what a test wants it to."""
    host = {"cpu": "a CPU", "cpus": 2, "memory_mb": 64, "system": "Linux", "versions": {}}
    return {
        "format": 1,
        "host": host,
        "command": "ftvm bench",
        "size": "full",
        "begun": "2026-01-01T00:00:00+00:00",
        "load_before": 0.0,
        "measurements": [
            speed("QEMU", [100.0, 101.0, 99.0]),
            speed("counted", [200.0, 202.0, 198.0]),
        ],
    }


def speed(rival: str, samples: list[float]) -> dict[str, Any]:
    return {
        "section": "speed",
        "row": "sieve",
        "column": rival,
        "unit": "rounds/s",
        "better": "more",
        "samples": samples,
    }


def put(ftvm: FtvmCommand, name: str, session: dict[str, Any]) -> str:
    (ftvm.home / name).write_text(json.dumps(session))
    return name


SOME = ("sieve", "matrix", "strings", "demand")
OTHERS = ("failover", "idle", "interrupts")


def test_a_tiny_session_measures_everything(
    ftvm: FtvmCommand, request: pytest.FixtureRequest
) -> None:
    """All of it in the long mode, and whenever a change is checked, as a command of its own."""
    chosen = () if request.config.getoption("--long") else (*SOME, *OTHERS)
    done = ftvm("bench", *chosen, "--tiny", "-o", "figures.json", "--plots", "plots")
    assert (done.status, done.err) == (0, "")
    told = json.loads((ftvm.home / "figures.json").read_text())
    assert told["host"]["cpu"]
    assert told["host"]["versions"].keys() >= {"ftvm", "Python", "unicorn"}
    assert not told["failed"]
    measured = {(m["section"], m["row"], m["column"]): m for m in told["measurements"]}
    assert all(m["samples"] for m in measured.values())
    rivals = {column for section, _, column in measured if section == "speed"}
    expected = {"stock", "stock+hook", "uncounted", "counted", "record", "replay", "pair"}
    expected |= {"two alone"}
    if shutil.which("qemu-system-i386"):
        expected |= {"QEMU", "QEMU icount", "QEMU record", "QEMU replay"}
    else:
        assert "qemu-system-i386 is not installed" in done.out.decode()
    assert rivals == expected
    listed = ftvm("bench", "--list").out.decode().split("\n")
    everything = {line.split("  ")[0] for line in listed if "/" in line}
    works = {name.removeprefix("speed/") for name in everything if name.startswith("speed/")}
    assert everything >= {"ft/transfer", "ft/channel", "scaling/delay", "costs/single"}
    works = set(SOME) if chosen else works - {"Linux"}
    assert {row for section, row, _ in measured if section == "speed"} == works
    sections = {section for section, _, _ in measured}
    assert sections >= {
        *("speed", "start-up", "failover", "idle session, 100 Hz", "scaling: interrupts")
    }
    if not chosen:
        assert sections >= {
            *("log of a pair", "output commit", "protecting again", "channel"),
            *("single costs", "scaling: memory"),
            *("scaling: output", "scaling: lag bound", "scaling: channel delay"),
        }
    assert measured["failover", "total", "p99"]["samples"][0] > 0
    text = done.out.decode()
    assert "says nothing of speed" in text
    assert all(work in text for work in works)
    for name in ("speed", "scaling"):
        assert (ftvm.home / "plots" / f"{name}.png").read_bytes().startswith(PNG)
        assert (ftvm.home / "plots" / f"{name}.svg").read_bytes().startswith(SVG)


def test_a_stock_engine_is_not_given_what_it_cannot_do(ftvm: FtvmCommand) -> None:
    done = ftvm("bench", "--tiny", "syscalls", "--rivals", "stock", "-o", "figures.json")
    assert done.status == 0
    told = json.loads((ftvm.home / "figures.json").read_text())
    assert [m["column"] for m in told["measurements"] if m["section"] == "speed"] == ["counted"]


def test_a_session_equals_itself(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    file = put(ftvm, "old.json", session)
    done = ftvm("bench", "--show", file, "--compare", file)
    assert done.status == 0
    assert "0 regressed, 0 improved" in done.out.decode()


def test_a_slower_machine_is_no_regression(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    old = put(ftvm, "old.json", session)
    for cell in session["measurements"]:
        cell["samples"] = [sample / 2 for sample in cell["samples"]]
    done = ftvm("bench", "--show", put(ftvm, "new.json", session), "--compare", old)
    assert done.status == 0


def test_a_slower_engine_is_one(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    old = put(ftvm, "old.json", session)
    session["measurements"][1]["samples"] = [150.0, 151.0, 149.0]
    done = ftvm("bench", "--show", put(ftvm, "new.json", session), "--compare", old)
    assert done.status == 1
    assert "regressed  speed / sieve / counted: 0.75 times as good" in done.out.decode()


def test_what_drowns_in_noise_is_none(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    old = put(ftvm, "old.json", session)
    session["measurements"][1]["samples"] = [150.0, 100.0, 200.0]
    done = ftvm("bench", "--show", put(ftvm, "new.json", session), "--compare", old)
    assert done.status == 0


def test_ctrl_c_keeps_what_there_is() -> None:
    document = Document(host=describe_host(), command="", size="tiny", begun="", load_before=0)

    def tell(_: int, what: str) -> None:
        if what.startswith("matrix, turn 1 of 1: record"):
            raise KeyboardInterrupt

    measure(document, choose_items(["sieve", "matrix"]), choose_rivals(["record"]), TINY, tell)
    assert document.interrupted
    measured = [(m.row, m.column) for m in document.section("speed")]
    assert measured == [("sieve", "counted"), ("sieve", "record"), ("matrix", "counted")]


def test_all_of_it_can_be_had_as_json(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    old = put(ftvm, "old.json", session)
    session["measurements"][1]["samples"] = [150.0, 151.0, 149.0]
    done = ftvm("bench", "--show", put(ftvm, "new.json", session), "--compare", old, "--json")
    assert (done.status, done.err) == (1, "")
    told = json.loads(done.out)
    assert told["measurements"][1]["samples"] == [150.0, 151.0, 149.0]
    (change,) = told["changes"]
    assert (change["name"], change["regressed"]) == ("speed / sieve / counted", True)
    listed = json.loads(ftvm("bench", "--list", "--json").out)
    assert "speed/sieve" in [item["name"] for item in listed]


def test_tiny_and_full_are_not_compared(ftvm: FtvmCommand, session: dict[str, Any]) -> None:
    old = put(ftvm, "old.json", session)
    session["size"] = "tiny"
    done = ftvm("bench", "--show", put(ftvm, "new.json", session), "--compare", old)
    assert done.status == 2
    assert done.lines == ["ftvm: old.json is of a full session, this is a tiny"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("bench", "sleeve"), "nothing to measure is called 'sleeve'"),
        (("bench", "--rivals", "VMware"), "no rival 'VMware'"),
        (("bench", "--compare", "none.json"), "none.json: No such file"),
        (("bench", "--show", "empty.json"), "empty.json: not what ftvm bench -o writes"),
        (("bench", "--show", "empty.json", "--tiny"), "--show measures nothing"),
        (("bench", "sieve", "-o", "no/where"), "cannot write the figures no/where"),
    ],
)
def test_bad_input_is_one_line(ftvm: FtvmCommand, arguments: tuple[str, ...], word: str) -> None:
    (ftvm.home / "empty.json").write_text("{}")
    done = ftvm(*arguments)
    assert done.status == 2
    (line,) = done.lines
    assert word in line
    assert sorted(path.name for path in Path(ftvm.home).iterdir()) == ["empty.json", "temporary"]
