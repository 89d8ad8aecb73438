"""The test-and-set store of the simulation, and its failures."""

from collections.abc import Callable
from random import Random

from ftvm.replication.arbitration import Lost, Outcome, Unreachable, Won
from ftvm.simulation.network import MILLISECOND, Clock
from ftvm.units import Generation


class MemoryStore:
    """One generation and its owner, in memory."""

    def __init__(self) -> None:
        self.generation = Generation(0)
        self.owner = ""

    def advance(self, expected: Generation, owner: str) -> Outcome:
        """Test and set, as ftvm.replication.arbitration.TestAndSet says."""
        if self.generation == expected:
            self.generation, self.owner = Generation(expected + 1), owner
            return Won(self.generation)
        if (self.generation, self.owner) == (expected + 1, owner):
            return Won(self.generation)
        return Lost(self.generation, self.owner)


class DistantStore:
    """A store some milliseconds away, which may crash, and is not always within reach."""

    def __init__(self, clock: Clock, random: Random, memory: MemoryStore) -> None:
        self.clock, self.random, self.memory = clock, random, memory
        self.cut_off: set[str] = set()
        self.answers_lost = 0
        self.up = True
        self._life = 0

    def ask(
        self, host: str, expected: Generation, owner: str, tell: Callable[[Outcome], None]
    ) -> None:
        """Ask for `host`; the answer comes in time, or that there was none."""
        life = self._life

        def arrive() -> None:
            if host in self.cut_off or not self.up:
                self._fail("store cut off" if self.up else "store down", tell)
                return
            outcome = self.memory.advance(expected, owner)
            if self.answers_lost:
                self.answers_lost -= 1
                self._fail("no answer", tell)
            else:
                self.clock.after(self._delay(), lambda: answer(outcome))

        def answer(outcome: Outcome) -> None:
            if life == self._life:
                tell(outcome)
            else:
                self._fail("store crashed", tell)

        self.clock.after(self._delay(), arrive)

    def crash(self, span_ns: float) -> None:
        """Die with all answers that are on their way; what was set is set, and is there later."""
        self._life += 1
        self.up = False
        self.clock.after(span_ns, self._begin_again)

    def _begin_again(self) -> None:
        self.up = True

    def _fail(self, why: str, tell: Callable[[Outcome], None]) -> None:
        self.clock.after(15 * MILLISECOND, lambda: tell(Unreachable(why)))

    def _delay(self) -> int:
        return int(self.random.uniform(0.1, 3) * MILLISECOND)
