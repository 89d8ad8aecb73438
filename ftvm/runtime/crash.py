"""Crash points: who is to be killed, and at which moment of the run.

A crash point is written ``ROLE@MEASURE:VALUE`` or ``ROLE@STEP:K``, for example::

    primary@instruction:1000000   when that many instructions are done
    primary@output:3              when the third byte of console output is made
    backup@entry:17               when the 17th log entry is made, or taken over
    primary@time:2s               2 s after the guest began to run, also 500ms
    primary@output-sent           when output is sent to the console for the first time
    backup@state:5                when the fifth piece of the guest's state has come

Outputs, log entries and steps are counted from 1, so number 0 never comes and
is refused; instruction 0 is the machine before its first instruction. The first
point of a role is for the first replica in it, the second for the next, and so on.
"""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ftvm.errors import UsageError
from ftvm.runtime.crash_steps import STEPS, Step, find_step

Role = Literal["primary", "backup"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
MEASURES: Final = {
    "instruction": ("N", "N instructions are done; 0 is before the first"),
    "output": ("K", "the K-th byte of console output is made, nobody has seen it"),
    "entry": ("K", "the K-th log entry is made"),
    "time": ("2s", "the guest began to run so long ago; also 500ms"),
}
"""What a run can be measured by: the form of the number, and what is true at the crash."""

_NS_OF_UNIT = {"ms": 1_000_000, "s": 1_000_000_000}
# 18 digits: every number that fits in 64 bits with room to spare, at once.
_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_TIME = re.compile(r"([0-9]{1,9})(ms|s)", re.ASCII)


@dataclass(frozen=True)
class CrashPoint:
    """Kill `role` at `value`: an instruction count, a number of an output, of a log entry
    or of a step's coming (from 1), or host time since the guest began to run in ns, as `kind`
    says.
    """

    role: Role
    kind: str
    value: int

    @property
    def step(self) -> Step | None:
        """The step that `kind` names, if it is no measure."""
        return find_step(self.role, self.kind)

    def __str__(self) -> str:
        """The text that `parse_crash_point` reads back as an equal crash point."""
        if self.kind != "time":
            return f"{self.role}@{self.kind}:{self.value}"
        return f"{self.role}@time:{self.value // _NS_OF_UNIT['ms']}ms"


def die() -> None:
    """Be killed, as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def all_points() -> Iterator[tuple[str, str]]:
    """Yield how each crash point is written, and what is true when it comes."""
    for role in ROLES:
        for measure, (value, summary) in MEASURES.items():
            yield f"{role}@{measure}:{value}", summary
    for step in STEPS:
        yield f"{step.role}@{step.name}[:K]", step.summary


def parse_crash_point(text: str) -> CrashPoint:
    """Read a crash point; raises UsageError, which says what is wrong with it."""
    role_text, at, when = text.partition("@")
    kind, colon, value_text = when.partition(":")
    if not (at and kind):
        raise UsageError(f"crash point {text!r} is not ROLE@WHEN: give primary@output:3, say")
    role = next((role for role in ROLES if role == role_text), None)
    if role is None:
        raise UsageError(f"crash point {text!r} is for {role_text!r}: give primary or backup")
    if kind in MEASURES:
        return CrashPoint(role, kind, _parse_value(text, kind, value_text))
    if find_step(role, kind) is None:
        raise UsageError(f"crash point {text!r}: {_why_none(role, kind)}")
    return CrashPoint(role, kind, _parse_value(text, kind, value_text) if colon else 1)


def _why_none(role: Role, kind: str) -> str:
    others = [step.role for step in STEPS if step.name == kind]
    why = f"only a {others[0]} comes there" if others else f"there is no {kind!r}"
    return f"{why}; ftvm run --crash list names the points"


def _parse_value(text: str, kind: str, value_text: str) -> int:
    if kind == "time":
        match = _TIME.fullmatch(value_text)
        if match is None:
            raise UsageError(
                f"crash point {text!r} has the time {value_text!r}: give 2s or 500ms, say"
            )
        number, unit = match.groups()
        return int(number) * _NS_OF_UNIT[unit]
    if _COUNT.fullmatch(value_text) is None:
        raise UsageError(f"crash point {text!r} has {value_text!r} for a number: give 1000, say")
    value = int(value_text)
    if value == 0 and kind != "instruction":
        raise UsageError(f"crash point {text!r} never comes: {kind} is counted from 1")
    return value
