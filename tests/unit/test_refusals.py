"""A flood of strangers fills no log, and none of them is forgotten."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ftvm.runtime.refusals import LINE_INTERVAL_NS, LINES_AT_ONCE_MAX, RefusalLog
from ftvm.units import Nanoseconds

BEGIN = 5_000 * LINE_INTERVAL_NS


def test_a_line_for_each_of_a_few() -> None:
    log = RefusalLog()
    lines = [log.admit(f"stranger {i}", Nanoseconds(BEGIN)) for i in range(LINES_AT_ONCE_MAX)]
    assert lines == [f"stranger {i}" for i in range(LINES_AT_ONCE_MAX)]


def test_a_flood_is_counted() -> None:
    log = RefusalLog()
    lines = [log.admit("stranger", Nanoseconds(BEGIN)) for _ in range(1000)]
    assert sum(line is not None for line in lines) == LINES_AT_ONCE_MAX
    later = log.admit("the last", Nanoseconds(BEGIN + LINE_INTERVAL_NS))
    assert later == f"the last (and {1000 - LINES_AT_ONCE_MAX} more before it)"
    assert log.admit("again", Nanoseconds(BEGIN + LINE_INTERVAL_NS)) is None


@given(st.lists(st.integers(0, 3 * LINE_INTERVAL_NS), max_size=200))
def test_rate_is_bounded_and_all_are_counted(gaps_ns: list[int]) -> None:
    log, now, counted, lines = RefusalLog(), BEGIN, 0, 0
    for gap_ns in [*gaps_ns, 10 * LINE_INTERVAL_NS]:
        now += gap_ns
        if (line := log.admit("stranger", Nanoseconds(now))) is not None:
            lines += 1
            more = re.search(r"and (\d+) more", line)
            counted += 1 + (int(more[1]) if more else 0)
    assert counted == len(gaps_ns) + 1
    assert lines <= LINES_AT_ONCE_MAX + (now - BEGIN) // LINE_INTERVAL_NS + 1
