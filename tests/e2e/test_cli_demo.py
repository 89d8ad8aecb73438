"""`ftvm demo`: the judgement holds, and is not one that always holds."""

import json
import re

import msgspec
import pytest
from ftvm_command import FtvmCommand

from ftvm.runtime.report import RunReport
from ftvm.ui.demo_drive import INCREMENTS, Course, Plan
from ftvm.ui.demo_judge import expected_output, judge

NUMBERS = [str(number) for number in range(1, INCREMENTS + 1)]


def test_the_demo_passes_and_looks_right_in_a_pipe(ftvm: FtvmCommand) -> None:
    done = ftvm("demo", "--seed", "7")
    assert (done.status, done.err) == (0, "")
    text = done.out.decode()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    told = [
        "seed 7", "guest:counter on primary a", "SIGKILL to primary a", "backup b is live",
        "leaves with 0", "failover", "detect", "drain", "arbitrate", "go live", "attach",
        "log", "entries", "bytes", "held", "exactly once", "contradicted", "digests", "PASS",
    ]  # fmt: skip
    places = [text.find(word) for word in told]
    assert -1 not in places
    assert places[:5] == sorted(places[:5])
    assert re.search(r"live at instruction [\d,]+\n", text)
    assert "FAIL" not in text


def test_the_demo_for_machines(ftvm: FtvmCommand) -> None:
    done = ftvm("demo", "--json")
    assert done.status == 0
    verdict = json.loads(done.out)
    assert verdict["holds"] is True
    assert all(check["holds"] for check in verdict["checks"])
    assert 0 < verdict["killed_after_answers"] < verdict["increments"]
    report = msgspec.convert(verdict["report"], RunReport)
    (death,) = report.deaths
    assert (death.pid, death.status) == (verdict["killed_pid"], "killed by SIGKILL")
    (failover,) = report.failovers
    assert failover.digests > 0
    assert 0 < failover.instruction < report.instructions
    assert verdict["back_ns"] > 0
    assert [moment["name"] for moment in verdict["moments"]] == [
        "start", "ready", "kill", "live", "end",
    ]  # fmt: skip


def test_a_seed_chooses_the_same_moment_again() -> None:
    assert Plan.from_seed(7) == Plan.from_seed(7)
    moments = {(Plan.from_seed(seed).replies, Plan.from_seed(seed).delay_us) for seed in range(99)}
    assert len(moments) > 90


@pytest.fixture
def course(ftvm: FtvmCommand) -> Course:
    """A run that was well."""
    verdict = json.loads(ftvm("demo", "--json").out)
    return Course(
        Plan.from_seed(verdict["seed"]),
        output=bytearray(expected_output()),
        killed_node=verdict["killed_node"],
        killed_pid=verdict["killed_pid"],
        report=msgspec.convert(verdict["report"], RunReport),
    )


def failed(course: Course) -> set[str]:
    return {check.name for check in judge(course).checks if not check.holds}


def test_the_judgement_finds_what_is_wrong(course: Course) -> None:
    assert judge(course).holds
    good, report = bytes(course.output), course.report
    assert report is not None
    increments = "every increment applied exactly once"
    console = "no output lost, doubled or contradicted"
    for output in (
        good.replace(b"\n300\n", b"\n"),
        good.replace(b"\n300\n", b"\n300\n300\n"),
        good.replace(b"\n300\n301\n", b"\n301\n300\n"),
        good.replace(b"\n300\n", b"\n30\n"),
        good[: good.index(b"\n300\n") + 1],
        good + b"1\n",
    ):
        course.output = bytearray(output)
        assert {increments, console} <= failed(course)
    course.output = bytearray(good.replace(b"ready", b"reedy"))
    assert failed(course) == {console}
    course.output = bytearray(good)

    for change, name in (
        ({"contradictions": ["output differs"]}, console),
        ({"divergences": ["at instruction 7"]}, "the replicas were equal up to the failover"),
        ({"end": "halt"}, "the guest left by itself"),
        ({"exit_status": 3}, "the guest left by itself"),
        ({"deaths": []}, "the primary was killed, the backup took over"),
        ({"failovers": []}, "the primary was killed, the backup took over"),
    ):
        course.report = msgspec.structs.replace(report, **change)
        assert name in failed(course)
        assert not judge(course).holds
    unchecked = [msgspec.structs.replace(f, digests=0) for f in report.failovers]
    course.report = msgspec.structs.replace(report, failovers=unchecked)
    assert failed(course) == {"the replicas were equal up to the failover"}
    course.report = report
    course.failure = "the guest is lost"
    assert not judge(course).holds
