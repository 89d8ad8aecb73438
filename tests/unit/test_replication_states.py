"""The tables of states say what the reasoning above them says."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from ftvm.replication.states import (
    ARBITER,
    BACKUP,
    ENDPOINT_LINK,
    PRIMARY,
    ArbiterState,
    Automaton,
    BackupState,
    BackupTrigger,
    LinkState,
    PrimaryState,
    PrimaryTrigger,
    Transitions,
)

TABLES: dict[str, tuple[Transitions[Any, Any], StrEnum]] = {
    "primary": (PRIMARY, PrimaryState.CLAIMING),
    "backup": (BACKUP, BackupState.JOINING),
    "arbiter": (ARBITER, ArbiterState.IDLE),
    "endpoint link": (ENDPOINT_LINK, LinkState.GREETING),
}


def reachable(table: Mapping[Any, Mapping[Any, Any]], start: Any) -> set[Any]:
    seen: set[Any] = set()
    waiting = [start]
    while waiting:
        state = waiting.pop()
        if state not in seen:
            seen.add(state)
            waiting += table[state].values()
    return seen


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_in_the_table_and_can_be_reached(name: str) -> None:
    table, start = TABLES[name]
    assert set(table) == set(type(start)) == reachable(table, start)


@pytest.mark.parametrize(
    ("table", "state"),
    [
        (PRIMARY, PrimaryState.HALTED),
        (PRIMARY, PrimaryState.ENDED),
        (BACKUP, BackupState.HALTED),
        (BACKUP, BackupState.ENDED),
        (BACKUP, BackupState.LIVE),
        (ARBITER, ArbiterState.REFUSED),
        (ENDPOINT_LINK, LinkState.FENCED),
    ],
)
def test_what_is_final_is_final(table: Mapping[Any, Mapping[Any, Any]], state: Any) -> None:
    assert table[state] == {}


def test_nobody_runs_alone_without_winning() -> None:
    ways_to_solo = {
        (state, trigger)
        for state, moves in PRIMARY.items()
        for trigger, target in moves.items()
        if target is PrimaryState.SOLO
    }
    # AWAITING holds the first generation and never had a backup; PROTECTING is as
    # alone as SOLO, because what it protects itself with may not go live.
    assert ways_to_solo == {
        (PrimaryState.PROTECTING, PrimaryTrigger.BACKUP_LOST),
        (PrimaryState.ARBITRATING, PrimaryTrigger.WON),
        (PrimaryState.AWAITING, PrimaryTrigger.RUN_ALONE),
    }
    ways_to_life = {
        (state, trigger)
        for state, moves in BACKUP.items()
        for trigger, target in moves.items()
        if target is BackupState.LIVE
    }
    assert ways_to_life == {(BackupState.ARBITRATING, BackupTrigger.WON)}


def test_a_pair_breaks_up_only_into_arbitration_or_an_end() -> None:
    assert set(PRIMARY[PrimaryState.PAIRED].values()) == {
        PrimaryState.ARBITRATING,
        PrimaryState.HALTED,
        PrimaryState.ENDED,
    }


def test_only_a_backup_that_was_told_so_may_go_live() -> None:
    may_go_live = {BackupState.FOLLOWING, BackupState.CATCHING_UP, BackupState.ARBITRATING}
    ways_in = {
        (state, trigger)
        for state, moves in BACKUP.items()
        for trigger, target in moves.items()
        if target in may_go_live and state not in may_go_live
    }
    assert ways_in == {
        (BackupState.JOINING, BackupTrigger.ACCEPTED),
        (BackupState.READY, BackupTrigger.COMMITTED),
    }


def test_impossible_trigger_is_a_bug_and_raises() -> None:
    automaton = Automaton(BACKUP, BackupState.JOINING)
    assert not automaton.allows(BackupTrigger.WON)
    with pytest.raises(RuntimeError, match=r"no transition for .*won.* in state .*joining"):
        automaton.fire(BackupTrigger.WON)
    assert automaton.state is BackupState.JOINING
