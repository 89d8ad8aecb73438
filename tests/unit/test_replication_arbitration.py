"""One replica's question to the store: asked until answered, and then final."""

import pytest

from ftvm.replication.arbitration import Arbiter, Lost, Unreachable, Won
from ftvm.replication.events import AskStore
from ftvm.replication.states import ArbiterState
from ftvm.units import Generation, Nanoseconds

RETRY = Nanoseconds(200)


def at(time: int) -> Nanoseconds:
    return Nanoseconds(time)


@pytest.fixture
def arbiter() -> Arbiter:
    return Arbiter("me", Generation(3), RETRY)


def test_win_moves_the_generation_by_one(arbiter: Arbiter) -> None:
    assert arbiter.claim() == AskStore(Generation(3), "me")
    arbiter.answered(Won(Generation(4)), at(0))
    assert arbiter.generation == 4
    assert arbiter.state is ArbiterState.IDLE


def test_winner_can_claim_again_after_the_next_breakup(arbiter: Arbiter) -> None:
    arbiter.claim()
    arbiter.answered(Won(Generation(4)), at(0))
    assert arbiter.claim() == AskStore(Generation(4), "me")


def test_loss_is_final(arbiter: Arbiter) -> None:
    arbiter.claim()
    arbiter.answered(Lost(Generation(4), "other"), at(0))
    assert arbiter.state is ArbiterState.REFUSED
    assert arbiter.generation == 3
    with pytest.raises(RuntimeError):
        arbiter.claim()


def test_unreachable_store_is_asked_the_same_again_after_a_while(arbiter: Arbiter) -> None:
    question = arbiter.claim()
    arbiter.answered(Unreachable("timeout"), at(1_000))
    assert arbiter.deadline() == 1_200
    assert arbiter.tick(at(1_199)) is None
    assert arbiter.tick(at(1_200)) == question
    assert arbiter.deadline() is None
    assert arbiter.tick(at(5_000)) is None, "one question at a time"


def test_store_that_comes_back_lets_one_go_on(arbiter: Arbiter) -> None:
    arbiter.claim()
    for time in (0, 300, 600):
        arbiter.answered(Unreachable("timeout"), at(time))
        assert arbiter.tick(at(time + RETRY)) is not None
    arbiter.answered(Won(Generation(4)), at(900))
    assert arbiter.generation == 4


def test_store_that_gives_another_generation_is_not_believed(arbiter: Arbiter) -> None:
    arbiter.claim()
    with pytest.raises(ValueError, match="won 7 where 4 was asked"):
        arbiter.answered(Won(Generation(7)), at(0))
