"""Crash points: who is to be killed, and at which moment of the run.

A crash point is written ``ROLE@KIND:VALUE``, for example::

    primary@instruction:1000000   when that many instructions are done
    primary@output:3              when the third byte of console output is made
    backup@entry:17               when the 17th log entry is made, or taken over
    primary@time:2s               2 s after the guest began to run, also 500ms
    backup@state:5                when the fifth piece of the guest's state is sent, or taken

Outputs, log entries and pieces are counted from 1, so number 0 never comes and
is refused; instruction 0 is the machine before its first instruction. The first
point of a role is for the first replica in it, the second for the next, and so on.
"""

import os
import re
import signal
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ftvm.errors import UsageError

Role = Literal["primary", "backup"]
Kind = Literal["instruction", "output", "entry", "time", "state"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_NS_OF_UNIT = {"ms": 1_000_000, "s": 1_000_000_000}
# 18 digits: every number that fits in 64 bits with room to spare, at once.
_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_TIME = re.compile(r"([0-9]{1,9})(ms|s)", re.ASCII)


@dataclass(frozen=True)
class CrashPoint:
    """Kill `role` at `value`: an instruction count, a number of an output, log entry
    or piece of state (from 1), or host time since the guest began to run in ns, as `kind` says.
    """

    role: Role
    kind: Kind
    value: int

    def __str__(self) -> str:
        """The text that `parse_crash_point` reads back as an equal crash point."""
        if self.kind != "time":
            return f"{self.role}@{self.kind}:{self.value}"
        return f"{self.role}@time:{self.value // _NS_OF_UNIT['ms']}ms"


def die() -> None:
    """Be killed, as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def parse_crash_point(text: str) -> CrashPoint:
    """Read a crash point; raises UsageError, which says what is wrong with it."""
    role_text, at, when = text.partition("@")
    kind_text, colon, value_text = when.partition(":")
    if not (at and colon):
        raise UsageError(f"crash point {text!r} is not ROLE@KIND:VALUE: give primary@output:3, say")
    role = next((role for role in ROLES if role == role_text), None)
    if role is None:
        raise UsageError(f"crash point {text!r} is for {role_text!r}: give primary or backup")
    kind = next((kind for kind in KINDS if kind == kind_text), None)
    if kind is None:
        raise UsageError(
            f"crash point {text!r} is at {kind_text!r}: give instruction, output, entry, time"
            " or state"
        )
    return CrashPoint(role, kind, _parse_value(text, kind, value_text))


def _parse_value(text: str, kind: Kind, value_text: str) -> int:
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
