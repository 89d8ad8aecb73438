"""What is told of strangers: a line for each, but never more than a log can bear."""

from ftvm.units import Nanoseconds

LINES_AT_ONCE_MAX = 8
LINE_INTERVAL_NS = Nanoseconds(1_000_000_000)
"""A line more may be told after each, beyond the first few."""


class RefusalLog:
    """Lets lines through at a bounded rate, and counts those it does not."""

    def __init__(self) -> None:
        self._allowed = LINES_AT_ONCE_MAX
        self._since = Nanoseconds(0)
        """When the allowance last grew."""
        self._suppressed = 0

    def admit(self, text: str, now: Nanoseconds) -> str | None:
        """Return the line to tell, or None if it is only counted and told with a later one."""
        grown = (now - self._since) // LINE_INTERVAL_NS
        self._since = Nanoseconds(self._since + grown * LINE_INTERVAL_NS)
        self._allowed = min(self._allowed + grown, LINES_AT_ONCE_MAX)
        if self._allowed == 0:
            self._suppressed += 1
            return None
        self._allowed -= 1
        told, self._suppressed = self._suppressed, 0
        return f"{text} (and {told} more before it)" if told else text
