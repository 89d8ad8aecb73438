"""`ftvm export`: what a trace viewer is given of a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pair_session import Session, judge_counter, run_spec
from recorded_run import boot, record

from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.cli import main

Event = dict[str, Any]
WAY = ["channel: marks sent", "channel: acknowledgements", "outputs let out"]


@pytest.fixture
def pair(guest_images: Path, tmp_path: Path) -> Path:
    """The recording of a pair's primary."""
    spec = replace(run_spec(guest_images, "counter"), record=tmp_path / "r")
    output = bytearray()
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        judge_counter(Session(supervisor, output))
    return tmp_path / "r.a"


def of(events: list[Event], phase: str, name: str | None = None) -> list[Event]:
    return [e for e in events if e["ph"] == phase and name in (None, e["name"])]


def test_a_pair_is_shown_with_what_let_its_outputs_out(pair: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    assert main(["export", str(pair), "-o", str(trace)]) == 0
    events = json.loads(trace.read_bytes())["traceEvents"]
    tracks = {event["args"]["name"]: event["tid"] for event in of(events, "M", "thread_name")}
    assert {"guest, as recorded by replica a", "backup", *WAY} <= tracks.keys()
    arrows: dict[int, list[Event]] = {}
    for event in events:
        if event["ph"] in "stf":
            arrows.setdefault(event["id"], []).append(event)
    whole = [way for way in arrows.values() if way[-1]["tid"] == tracks[WAY[-1]]]
    assert whole
    for way in arrows.values():
        assert "".join(event["ph"] for event in way) == "s" + "t" * (len(way) - 2) + "f"
        assert [event["ts"] for event in way] == sorted(event["ts"] for event in way)
    for way in whole:  # from a mark, by its acknowledgement, to what that let out
        assert [event["tid"] for event in way[:3]] == [tracks[name] for name in WAY]
    held, let_out = of(events, "b", "held"), of(events, "e", "held")
    assert len(held) == len(let_out) > 0
    starts = {event["id"]: event["ts"] for event in held}
    assert all(event["ts"] >= starts[event["id"]] for event in let_out)
    assert of(events, "i", "backup joined")
    assert len(of(events, "i", "input")) >= 5
    assert of(events, "C", "backup behind, instructions")


KEYS = {
    # Trace Event Format: what an event of each phase has, and no other.
    "M": {"ph", "pid", "name", "args"},
    "X": {"ph", "pid", "tid", "name", "ts", "dur", "args"},
    "i": {"ph", "pid", "tid", "name", "ts", "s", "args"},
    "C": {"ph", "pid", "name", "ts", "args"},
    "b": {"ph", "pid", "tid", "cat", "id", "name", "ts", "args"},
    "e": {"ph", "pid", "tid", "cat", "id", "name", "ts"},
    **{phase: {"ph", "pid", "tid", "cat", "id", "name", "ts", "bp"} for phase in "stf"},
}
METADATA = {
    "process_name": ("name", str),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}


def check(trace: dict[str, Any]) -> None:
    """Hold each event against the format."""
    assert trace.keys() == {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    named = {event["tid"] for event in of(events, "M", "thread_name")}
    begun: dict[tuple[str, int], Event] = {}
    for event in events:
        phase, at = event["ph"], event.get("ts", 0)
        is_of_thread = phase == "M" and event["name"] != "process_name"
        assert event.keys() == KEYS[phase] | ({"tid"} if is_of_thread else set()), event
        assert event["pid"] == 1
        assert event.get("tid", min(named)) in named
        assert isinstance(at, int | float)
        assert 0 <= at < float("inf")
        if phase == "M":
            key, kind = METADATA[event["name"]]
            assert event["args"].keys() == {key}
            assert isinstance(event["args"][key], kind)
        elif phase == "X":
            assert event["dur"] > 0
        elif phase == "i":
            assert event["s"] in "gpt"
        elif phase == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        elif phase == "b":
            assert begun.setdefault((event["cat"], event["id"]), event) is event
        elif phase == "e":
            start = begun.pop((event["cat"], event["id"]))
            assert (start["name"], start["tid"]) == (event["name"], event["tid"])
            assert start["ts"] <= at
        else:
            assert event["bp"] == "e"
    assert not begun


def test_every_event_has_what_the_format_asks_for(pair: Path, capfd: Any) -> None:
    assert main(["export", str(pair)]) == 0
    trace = json.loads(capfd.readouterr().out)
    check(trace)
    assert trace["otherData"]["node"] == "a"
    # Slices of a track lie in each other or beside each other, and arrows begin and end in one.
    slices: dict[int, list[tuple[int, int]]] = {}
    for event in of(trace["traceEvents"], "X"):
        begin = round(event["ts"] * 1000)
        slices.setdefault(event["tid"], []).append((begin, begin + round(event["dur"] * 1000)))
    for track in slices.values():
        around: list[int] = []
        for begin, end in sorted(track, key=lambda span: (span[0], -span[1])):
            while around and around[-1] <= begin:
                around.pop()
            assert not around or end <= around[-1]
            around.append(end)
    for event in trace["traceEvents"]:
        if event["ph"] in "stf":
            at = round(event["ts"] * 1000)
            assert any(begin <= at < end for begin, end in slices[event["tid"]])


def test_a_run_alone_and_torn_is_shown_as_far_as_it_goes(
    guest_images: Path, tmp_path: Path, capfd: Any
) -> None:
    data, _ = record(boot(guest_images, "ticker", "rate=1000 ticks=20"))
    (tmp_path / "r").write_bytes(data[:-30])
    assert main(["export", str(tmp_path / "r")]) == 0
    said = capfd.readouterr()
    assert "torn at byte" in said.err
    trace = json.loads(said.out)
    check(trace)
    events = trace["traceEvents"]
    assert of(events, "X", "runs")
    assert of(events, "X", "made")
    assert of(events, "i", "timer")
    assert not of(events, "s")


def test_no_place_for_a_trace_is_told(guest_images: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "r").write_bytes(record(boot(guest_images, "hello"))[0])
    assert main(["export", str(tmp_path / "r"), "-o", "no/such"]) == 2
    assert "cannot write the trace no/such: No such file" in capfd.readouterr().err
