"""The store is asked beside the loop: what it says comes by a descriptor, errors too."""

import select
import threading
from functools import partial

import pytest

from ftvm.errors import StateError
from ftvm.replication.arbitration import Lost, Outcome, Unreachable, Won
from ftvm.runtime.store_asker import StoreAsker
from ftvm.units import Generation


class SlowStore:
    """Answers when it is let."""

    def __init__(self, *answers: Outcome | Exception) -> None:
        self._answers = list(answers)
        self.let = threading.Semaphore(0)
        self.asked: list[tuple[Generation, str]] = []

    def advance(self, expected: Generation, owner: str) -> Outcome:
        self.let.acquire()
        self.asked.append((expected, owner))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def readable(asker: StoreAsker[Outcome], timeout_s: float | None) -> bool:
    return bool(select.select([asker.descriptor], [], [], timeout_s)[0])


def test_asking_does_not_wait_for_the_store() -> None:
    answers = [Unreachable("gone"), Won(Generation(2)), Lost(Generation(3), "c")]
    store = SlowStore(*answers)
    asker: StoreAsker[Outcome] = StoreAsker()
    for answer in answers:
        asker.ask(partial(store.advance, Generation(1), "b"))
        assert not readable(asker, 0)
        store.let.release()
        assert readable(asker, None)
        assert asker.answer() == answer
        assert not readable(asker, 0)
    assert store.asked == [(1, "b")] * 3


@pytest.mark.parametrize("error", [StateError("garbage"), ZeroDivisionError("a bug")])
def test_what_the_store_raises_is_raised_in_the_loop(error: Exception) -> None:
    store = SlowStore(error, Won(Generation(1)))
    asker: StoreAsker[Outcome] = StoreAsker()
    store.let.release(2)
    asker.ask(partial(store.advance, Generation(0), "a"))
    assert readable(asker, None)
    with pytest.raises(type(error), match=str(error)):
        asker.answer()
    asker.ask(partial(store.advance, Generation(0), "a"))
    assert readable(asker, None)
    assert asker.answer() == Won(Generation(1))


def test_two_answers_at_once_are_two() -> None:
    store = SlowStore(Unreachable("1"), Unreachable("2"))
    asker: StoreAsker[Outcome] = StoreAsker()
    asker.ask(partial(store.advance, Generation(0), "a"))
    asker.ask(partial(store.advance, Generation(0), "a"))
    store.let.release(2)
    while len(store.asked) < 2:
        pass
    assert readable(asker, None)
    assert asker.answer() == Unreachable("1")
    assert readable(asker, None)
    assert asker.answer() == Unreachable("2")
