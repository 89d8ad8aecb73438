"""Staying awake for the other half: bounded, once for each word, and only where it is near."""

import os

import pytest

from ftvm.runtime.vigil import AWAKE_MAX_NS, NEAR_BEFORE, NEARBY_NS, Vigil
from ftvm.units import Nanoseconds


def at(ns: int) -> Nanoseconds:
    return Nanoseconds(ns)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def test_a_vigil_is_bounded_and_kept_once_for_each_word() -> None:
    vigil = Vigil()
    assert vigil.begin(at(100)) == 100 + AWAKE_MAX_NS
    assert vigil.begin(at(500)) == 500
    vigil.end(at(600))
    vigil.end(at(NEARBY_NS * 9))  # of nothing
    assert vigil.begin(at(1_000)) == 1_000 + AWAKE_MAX_NS


def test_a_word_that_came_late_is_slept_for_the_next_time() -> None:
    vigil = Vigil()
    vigil.begin(at(0))
    vigil.end(at(NEARBY_NS + 1))
    for _ in range(NEAR_BEFORE):
        assert not vigil.is_kept
        assert vigil.begin(at(10)) == 10
        vigil.end(at(10 + NEARBY_NS))
    assert vigil.is_kept
    assert vigil.begin(at(20)) == 20 + AWAKE_MAX_NS


def test_on_the_only_processor_nobody_stays_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert Vigil().begin(at(7)) == 7
