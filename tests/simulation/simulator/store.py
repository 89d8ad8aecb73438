"""The test-and-set store of the simulation, and its failures."""

from collections.abc import Callable
from random import Random

from ftvm.replication.arbitration import Lost, Outcome, Unreachable, Won
from ftvm.units import Generation

from .network import MILLISECOND, Clock


class MemoryStore:
    """One generation and its owner, in memory."""

    def __init__(self) -> None:
        self.generation = Generation(0)
        self.owner = ""

    def advance(self, expected: Generation, owner: str) -> Outcome:
        if self.generation == expected:
            self.generation, self.owner = Generation(expected + 1), owner
            return Won(self.generation)
        if (self.generation, self.owner) == (expected + 1, owner):
            return Won(self.generation)
        return Lost(self.generation, self.owner)


class ObligingStore(MemoryStore):
    """Says yes to everybody: as good as none."""

    def advance(self, expected: Generation, owner: str) -> Outcome:
        self.generation, self.owner = Generation(expected + 1), owner
        return Won(self.generation)


class DistantStore:
    """A store some milliseconds away, and not always within reach."""

    def __init__(self, clock: Clock, random: Random, memory: MemoryStore) -> None:
        self.clock, self.random, self.memory = clock, random, memory
        self.cut_off: set[str] = set()
        self.answers_lost = 0

    def ask(
        self, host: str, expected: Generation, owner: str, tell: Callable[[Outcome], None]
    ) -> None:
        timeout = 15 * MILLISECOND

        def arrive() -> None:
            if host in self.cut_off:
                self.clock.after(timeout, lambda: tell(Unreachable("store cut off")))
                return
            outcome = self.memory.advance(expected, owner)
            if self.answers_lost:
                self.answers_lost -= 1
                self.clock.after(timeout, lambda: tell(Unreachable("no answer")))
            else:
                self.clock.after(self._delay(), lambda: tell(outcome))

        self.clock.after(self._delay(), arrive)

    def _delay(self) -> int:
        return int(self.random.uniform(0.1, 3) * MILLISECOND)
