"""Crash points as they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftvm.errors import UsageError
from ftvm.runtime.crash import MEASURES, ROLES, CrashPoint, all_points, parse_crash_point
from ftvm.runtime.crash_steps import STEPS


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("primary@instruction:1000", CrashPoint("primary", "instruction", 1000)),
        ("primary@instruction:0", CrashPoint("primary", "instruction", 0)),
        ("primary@output:1", CrashPoint("primary", "output", 1)),
        ("backup@entry:17", CrashPoint("backup", "entry", 17)),
        ("primary@time:2s", CrashPoint("primary", "time", 2_000_000_000)),
        ("backup@time:500ms", CrashPoint("backup", "time", 500_000_000)),
        ("backup@time:0s", CrashPoint("backup", "time", 0)),
        ("primary@output-sent", CrashPoint("primary", "output-sent", 1)),
        ("backup@state:5", CrashPoint("backup", "state", 5)),
    ],
)
def test_crash_points(text: str, point: CrashPoint) -> None:
    assert parse_crash_point(text) == point


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not ROLE@WHEN"),
        ("primary", "is not ROLE@WHEN"),
        ("primary@output", "'' for a number"),
        ("output:3", "is not ROLE@WHEN"),
        ("Primary@output:3", "for 'Primary'"),
        ("@output:3", "for ''"),
        ("secondary@output:3", "give primary or backup"),
        ("primary@:3", "is not ROLE@WHEN"),
        ("primary@outputs:3", "no 'outputs'; ftvm run --crash list names the points"),
        ("backup@output-sent", "only a primary comes there"),
        ("primary@output-sent:", "'' for a number"),
        ("primary@output-sent:0", "never comes"),
        ("primary@output:", "'' for a number"),
        ("primary@output:-3", "'-3' for a number"),
        ("primary@output:3:4", "'3:4' for a number"),
        ("primary@output: 3", "for a number"),
        ("primary@output:\u0663", "for a number"),
        ("primary@output:1_000", "for a number"),
        ("primary@instruction:" + "9" * 5000, "for a number"),
        ("primary@output:0", "never comes"),
        ("primary@entry:0", "never comes"),
        ("primary@time:2", "give 2s or 500ms"),
        ("primary@time:2m", "give 2s or 500ms"),
        ("primary@time:1.5s", "give 2s or 500ms"),
        ("primary@time:s", "give 2s or 500ms"),
        ("primary@output:3\n", "for a number"),
    ],
)
def test_crash_points_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_crash_point(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"crash point {text!r}")
    assert "\n" not in str(caught.value)


WHENS = [f"{role}@{measure}" for role in ROLES for measure in MEASURES]
WHENS += [f"{step.role}@{step.name}" for step in STEPS]


@given(st.sampled_from(WHENS), st.integers(1, 10**9 - 1))
def test_text_of_a_crash_point_reads_back(when: str, number: int) -> None:
    unit = "ms" if when.endswith("@time") else ""
    point = parse_crash_point(f"{when}:{number}{unit}")
    assert parse_crash_point(str(point)) == point


def test_each_point_is_listed_once() -> None:
    listed = [written.partition(":")[0].removesuffix("[") for written, _ in all_points()]
    assert sorted(listed) == sorted(WHENS)


@given(st.text())
def test_any_text_is_a_crash_point_or_refused(text: str) -> None:
    try:
        point = parse_crash_point(text)
    except UsageError:
        return
    assert point.value >= 0
