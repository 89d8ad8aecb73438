"""The chain of digests, as both halves of a pair make it: each link compared."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ftvm.runtime.status import Check
from ftvm.units import Nanoseconds

LINKS_MAX = 10_000
"""Half an hour's at one each 100 ms and more."""

Verdict = Literal["equal", "differ", "single"]


@dataclass
class Link:
    """One digest, and who made it when."""

    number: int
    instruction: int
    digests: dict[str, str] = field(default_factory=dict)
    """By replica; in the order in which we heard of them."""
    times: dict[str, Nanoseconds] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Whether those who made it agree; single if there is one."""
        if len(self.digests) < 2:
            return "single"
        return "equal" if len(set(self.digests.values())) == 1 else "differ"

    @property
    def apart_ns(self) -> int:
        """How long after the first the last one had it."""
        return max(self.times.values()) - min(self.times.values())

    @property
    def digest(self) -> str:
        """The digest; that of the first if they differ."""
        return next(iter(self.digests.values()))


class Chain:
    """The newest links, by rising numbers."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self.equal = 0
        """How many were found equal."""
        self.differing: list[Link] = []
        """Those that were not equal, the newest last."""
        self._settled: deque[Link] = deque(maxlen=LINKS_MAX)

    def take(self, replica: str, checks: Iterable[Check], now: Nanoseconds) -> None:
        """Take what a replica says of its newest checks."""
        for check in checks:
            link = self._links.get(check.number)
            if link is None or link.instruction != check.instruction:
                # A link that died with its primary is made again elsewhere.
                link = Link(check.number, check.instruction)
                self._links[check.number] = link
            if replica not in link.digests:
                link.digests[replica] = check.digest
                link.times[replica] = Nanoseconds(now - check.age_ns)
                if len(link.digests) == 2:
                    self.equal += link.verdict == "equal"
                    if link.verdict == "differ":
                        self.differing = [*self.differing[-LINKS_MAX:], link]
                    self._settled.append(link)
        while len(self._links) > LINKS_MAX:
            del self._links[min(self._links)]

    def take_settled(self) -> list[Link]:
        """Return the links that have got a verdict since the last call."""
        settled = list(self._settled)
        self._settled.clear()
        return settled

    def numbers(self) -> list[int]:
        """The numbers of the links, rising."""
        return sorted(self._links)

    def link(self, number: int) -> Link | None:
        """Return a link that is still known."""
        return self._links.get(number)

    def newest(self, count: int, upto: int | None = None) -> list[Link]:
        """Return the newest `count` links, up to the number `upto`, by rising numbers."""
        numbers = [n for n in self.numbers() if upto is None or n <= upto]
        return [self._links[n] for n in numbers[-count:]] if count > 0 else []
