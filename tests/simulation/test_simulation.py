"""Replication under faults: whatever fails, the console sees one uninterrupted run.

`pytest tests/simulation --long` simulates 10,000 schedules instead of 500;
`pytest tests/simulation --seed N -s` replays one and tells its story.
"""

import pytest
from simulator.faults import BACKUP, PRIMARY, Crash, CrashAtStep, InTransfer
from simulator.planted import PLANTED
from simulator.world import Verdict, World

CHUNK = 50
CHUNKS = 10
CHUNKS_LONG = 200
SEEDS_PLANTED = 1_000
QUIET_SEED = 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        seed = metafunc.config.getoption("--seed")
        if seed is not None:
            chunks = [range(seed, seed + 1)]
        else:
            count = CHUNKS_LONG if metafunc.config.getoption("--long") else CHUNKS
            chunks = [range(n * CHUNK, (n + 1) * CHUNK) for n in range(count)]
        metafunc.parametrize("seeds", chunks, ids=[f"{c.start}-{c.stop - 1}" for c in chunks])


def story_of(seed: int) -> str:
    lines: list[str] = []
    World(seed, tell=lines.append).run()
    return "\n".join(lines)


def complaint(verdict: Verdict) -> str:
    return (
        f"seed {verdict.seed}: {'; '.join(verdict.violations)}\n"
        f"replay it with: pytest tests/simulation/test_simulation.py --seed {verdict.seed} -s"
    )


def test_console_sees_one_uninterrupted_run(seeds: range, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--seed") is not None:
        print("\n" + story_of(seeds.start))
    for seed in seeds:
        verdict = World(seed).run()
        assert not verdict.violations, complaint(verdict)


def test_schedules_are_worth_running() -> None:
    verdicts = [World(seed).run() for seed in range(200)]
    assert sum(verdict.failovers for verdict in verdicts) > 20
    assert sum(verdict.failovers > 1 for verdict in verdicts) > 5
    assert sum(verdict.protections for verdict in verdicts) > 50
    assert sum(verdict.finished for verdict in verdicts) > 150
    assert sum(verdict.lost for verdict in verdicts) < 40


def test_seed_replays_exactly() -> None:
    assert story_of(17) == story_of(17)


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bug_is_found(bug: str) -> None:
    found = (seed for seed in range(SEEDS_PLANTED) if World(seed, PLANTED[bug]).run().violations)
    assert next(found, None) is not None


def steps_of(node: int) -> int:
    world = World(QUIET_SEED, faults=())
    assert world.run().finished
    return world.nodes[node].events_done


@pytest.mark.parametrize("silently", [False, True], ids=["kill", "power loss"])
@pytest.mark.parametrize("node", [0, 1], ids=["primary", "backup"])
def test_crash_at_every_step(node: int, silently: bool) -> None:
    steps = steps_of(node)
    assert steps > 50
    finished = 0
    for step in range(1, steps + 1):
        world = World(QUIET_SEED, faults=(CrashAtStep(0, 0, node, silently, step),))
        verdict = world.run()
        assert not verdict.violations, f"crash at step {step}: {verdict.violations}"
        finished += verdict.finished
    # Only a crash before the pair was formed may lose the guest.
    assert finished >= steps - 12


FAILS_OVER_NS = 30_000_000
"""When the first primary dies in the runs below, so that a new backup is needed."""


def transfer(of_primary: bool, step: int, silently: bool = False) -> World:
    doomed = PRIMARY if of_primary else BACKUP
    faults = (
        Crash(FAILS_OVER_NS, 0, 0, False),
        InTransfer(0, 0, of_primary, "", step, Crash(0, 0, doomed, silently)),
    )
    world = World(QUIET_SEED, faults=faults)
    world.quits_at = 4 * FAILS_OVER_NS
    return world


@pytest.mark.parametrize("silently", [False, True], ids=["kill", "power loss"])
@pytest.mark.parametrize("of_primary", [True, False], ids=["primary", "backup"])
def test_crash_at_every_step_of_a_transfer(of_primary: bool, silently: bool) -> None:
    undisturbed = transfer(of_primary, 0)
    assert undisturbed.run().protections == 1
    steps = undisturbed.nodes[1 if of_primary else 2].events_done
    assert steps > 50
    finished = []
    for step in range(1, steps + 1):
        verdict = transfer(of_primary, step, silently).run()
        assert not verdict.violations, f"crash at step {step}: {verdict.violations}"
        finished.append(verdict.finished)
    if of_primary:  # lost up to the COMMIT, and never behind it
        assert finished == sorted(finished)
        assert not finished[0]
        assert finished[-1]
    else:  # a new backup is never missed
        assert all(finished)
