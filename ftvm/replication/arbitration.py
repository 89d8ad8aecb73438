"""Who may run alone: the test-and-set on the generation, and how one replica asks for it."""

from dataclasses import dataclass
from typing import Protocol

from ftvm.replication.events import AskStore
from ftvm.replication.states import ARBITER, ArbiterState, ArbiterTrigger, Automaton
from ftvm.units import Generation, Nanoseconds


@dataclass(frozen=True)
class Won:
    """The store now holds `generation` in the asker's name."""

    generation: Generation


@dataclass(frozen=True)
class Lost:
    """The store holds another generation than expected, in another's name."""

    generation: Generation
    owner: str


@dataclass(frozen=True)
class Unreachable:
    """The store gave no answer; the question may or may not have taken effect."""

    detail: str


Outcome = Won | Lost | Unreachable


class TestAndSet(Protocol):
    """One run's generation in a store that both replicas can reach; 0 before the first win."""

    def advance(self, expected: Generation, owner: str) -> Outcome:
        """Move the generation from `expected` to `expected + 1` for `owner`, atomically.

        Owner names are unique, so the question may be asked again after no
        answer came: whoever asks for what the store already holds in his name
        has won. In full:

        - the store holds `expected`: it now holds `expected + 1` by `owner`; Won.
        - the store holds `expected + 1` by `owner`: Won.
        - the store holds anything else: unchanged; Lost with what it holds.
        - the store cannot be asked: Unreachable.
        """


class Arbiter:
    """One replica's claim to the next generation, asked until the store answers."""

    def __init__(self, owner: str, held: Generation, retry_interval_ns: Nanoseconds) -> None:
        """Ask in the name of `owner`, who knows of generation `held` (0 at boot)."""
        self._owner = owner
        self._automaton = Automaton(ARBITER, ArbiterState.IDLE)
        self._retry_interval_ns = retry_interval_ns
        self._retry_at: Nanoseconds | None = None
        self.generation = held

    @property
    def state(self) -> ArbiterState:
        """Where the question stands."""
        return self._automaton.state

    def claim(self) -> AskStore:
        """Begin to ask for the generation after the one known."""
        self._automaton.fire(ArbiterTrigger.CLAIM)
        return self._question()

    def answered(self, outcome: Outcome, now: Nanoseconds) -> None:
        """Take the store's answer; `state` is IDLE after a win, REFUSED after a loss."""
        match outcome:
            case Won(generation):
                if generation != self.generation + 1:
                    raise ValueError(f"won {generation} where {self.generation + 1} was asked")
                self._automaton.fire(ArbiterTrigger.WON)
                self.generation = generation
            case Lost():
                self._automaton.fire(ArbiterTrigger.LOST)
            case Unreachable():
                self._automaton.fire(ArbiterTrigger.UNREACHABLE)
                self._retry_at = Nanoseconds(now + self._retry_interval_ns)

    def deadline(self) -> Nanoseconds | None:
        """When `tick` has something to do."""
        return self._retry_at

    def tick(self, now: Nanoseconds) -> AskStore | None:
        """Return the question again if its time has come."""
        if self._retry_at is None or now < self._retry_at:
            return None
        self._retry_at = None
        self._automaton.fire(ArbiterTrigger.RETRY)
        return self._question()

    def _question(self) -> AskStore:
        return AskStore(self.generation, self._owner)
