"""What a pair was, second by second: one column of the screen for each."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from ftvm.units import Nanoseconds

PairState = Literal[
    "starting", "protected", "protecting", "alone", "deciding", "unknown", "ended", "lost"
]
Mark = Literal["", "protected", "loss", "failover", "divergence"]

COLUMN_NS = 1_000_000_000
_COLUMNS_MAX = 1000
_WORST: tuple[PairState, ...] = (
    "protected", "ended", "starting", "protecting", "alone", "unknown", "deciding", "lost"
)  # fmt: skip
_WEIGHTIEST: tuple[Mark, ...] = ("", "protected", "loss", "failover", "divergence")


@dataclass
class Column:
    """One second: the worst that was, the weightiest that happened, the most lag."""

    state: PairState
    mark: Mark = ""
    lag_ns: int | None = None


class Timeline:
    """The newest seconds."""

    def __init__(self, began: Nanoseconds) -> None:
        self._began = began
        self._first = 0
        self._columns: deque[Column] = deque()

    def note(self, state: PairState, lag_ns: int | None, now: Nanoseconds) -> None:
        """Note how the pair is now."""
        column = self._column(state, now)
        column.state = max(column.state, state, key=_WORST.index)
        if lag_ns is not None:
            column.lag_ns = max(column.lag_ns or 0, lag_ns)

    def mark(self, mark: Mark, state: PairState, now: Nanoseconds) -> None:
        """Note that something happened."""
        column = self._column(state, now)
        column.mark = max(column.mark, mark, key=_WEIGHTIEST.index)

    def newest(self, count: int) -> list[Column]:
        """Return the newest columns, the last of them that of now."""
        return list(self._columns)[-count:]

    def _column(self, state: PairState, now: Nanoseconds) -> Column:
        number = (now - self._began) // COLUMN_NS
        while self._first + len(self._columns) <= number:
            before = self._columns[-1].state if self._columns else state
            last = self._first + len(self._columns) == number
            self._columns.append(Column(state if last else before))
        while len(self._columns) > _COLUMNS_MAX:
            self._columns.popleft()
            self._first += 1
        return self._columns[-1]
