"""Replication under faults: whatever fails, the console sees one uninterrupted run.

`pytest tests/simulation --long` simulates 10,000 schedules instead of 500;
`ftvm simulate --seed N` has one again and tells its story.
"""

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from planted import PLANTED, PLANTED_IN_THE_MACHINE

from ftvm.machine.machine import Machine
from ftvm.simulation.faults import (
    BACKUP,
    CONSOLE,
    PRIMARY,
    Crash,
    CrashAtStep,
    Fault,
    InTransfer,
    Partition,
)
from ftvm.simulation.machine import machine_kind
from ftvm.simulation.oracle import Verdict
from ftvm.simulation.story import Story
from ftvm.simulation.world import Build, World, simulate

CHUNK = 50
CHUNKS = 10
CHUNKS_LONG = 200
SEEDS_PLANTED = 200
QUIET_SEED = 4
SOUND = Build()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        count = CHUNKS_LONG if metafunc.config.getoption("--long") else CHUNKS
        chunks = [range(n * CHUNK, (n + 1) * CHUNK) for n in range(count)]
        metafunc.parametrize("seeds", chunks, ids=[f"{c.start}-{c.stop - 1}" for c in chunks])


@pytest.fixture(scope="session")
def build(guest_images: Path) -> Build:
    """The protocol as it is; part of the schedules have the real machine."""
    return Build(machine=machine_kind((guest_images / "dice.elf").read_bytes()))


def story_of(seed: int, build: Build) -> Story:
    story = Story()
    World(seed, build, story).run()
    return story


def complaint(verdict: Verdict) -> str:
    return (
        f"seed {verdict.seed}: {'; '.join(verdict.violations)}\n"
        f"its story: ftvm simulate --seed {verdict.seed}"
    )


def test_console_sees_one_uninterrupted_run(seeds: range, build: Build) -> None:
    for seed in seeds:
        verdict = simulate(seed, build)
        assert not verdict.violations, complaint(verdict)


def test_nothing_of_a_run_is_kept(build: Build) -> None:
    machine = next(seed for seed in range(100) if World(seed, build).is_machine)
    simulate(machine, build)
    assert not [one for one in gc.get_objects() if isinstance(one, Machine)]


def test_schedules_are_worth_running(build: Build) -> None:
    verdicts = [simulate(seed, build) for seed in range(200)]
    machines = [verdict for verdict in verdicts if verdict.is_machine]
    assert len(machines) > 25
    assert sum(verdict.failovers for verdict in machines) > 10
    assert sum(verdict.protections for verdict in machines) > 10
    assert sum(verdict.failovers for verdict in verdicts) > 20
    assert sum(verdict.failovers > 1 for verdict in verdicts) > 5
    assert sum(verdict.protections for verdict in verdicts) > 50
    assert sum(verdict.finished for verdict in verdicts) > 150
    assert sum(verdict.lost for verdict in verdicts) < 50


@pytest.mark.parametrize("rates", [(0.3, 0.4), (2.5, 3.5), (0.5, 2.0)], ids=str)
def test_clocks_agree_in_nothing_and_need_not(rates: tuple[float, float], build: Build) -> None:
    for seed in range(12):
        verdict = World(seed, build, clock_rates=rates).run()
        assert not verdict.violations, complaint(verdict)


def test_clocks_that_differ_lose_nobody_who_is_there(build: Build) -> None:
    for seed in range(12):
        world = World(seed, build, faults=(), clock_rates=(0.8, 1.25))
        verdict = world.run()
        assert verdict.finished, complaint(verdict)
        assert verdict.failovers == 0
        assert world.store.memory.generation == 1


def test_seed_replays_exactly(build: Build) -> None:
    machine = next(seed for seed in range(100) if World(seed, build).is_machine)
    for seed in (17, machine):
        story = list(story_of(seed, build).moments(details=True))
        assert len(story) > 100
        assert story == list(story_of(seed, build).moments(details=True))


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


def transfer(faults: Sequence[Fault], seed: int = QUIET_SEED, build: Build = SOUND) -> World:
    """A run with one transfer, or more if a fault breaks that."""
    world = World(seed, build, faults=(Crash(FAILS_OVER_NS, 0, 0, False), *faults))
    world.quits_at = 4 * FAILS_OVER_NS
    return world


def steps_of_transfer(of_primary: bool) -> range:
    undisturbed = transfer(())
    assert undisturbed.run().protections == 1
    steps = undisturbed.nodes[1 if of_primary else 2].events_done
    assert steps > 50
    return range(1, steps + 1)


@pytest.mark.parametrize("silently", [False, True], ids=["kill", "power loss"])
@pytest.mark.parametrize("of_primary", [True, False], ids=["primary", "backup"])
def test_crash_at_every_step_of_a_transfer(of_primary: bool, silently: bool) -> None:
    doomed = PRIMARY if of_primary else BACKUP
    finished = []
    for step in steps_of_transfer(of_primary):
        crash = InTransfer(0, 0, of_primary, "", step, Crash(0, 0, doomed, silently))
        verdict = transfer((crash,)).run()
        assert not verdict.violations, f"crash at step {step}: {verdict.violations}"
        finished.append(verdict.finished)
    if of_primary:  # lost up to the COMMIT, and never behind it
        assert finished == sorted(finished)
        assert not finished[0]
        assert finished[-1]
    else:  # a new backup is never missed
        assert all(finished)


AWHILE_NS = 2.0 * FAILS_OVER_NS
PROVOKED: dict[str, tuple[Fault, ...]] = {
    # The primary dies, and nobody has seen what it put out since the transfer began.
    "forget kept output": (
        InTransfer(
            0, 0, True, "send-state", 1, Partition(0, AWHILE_NS, frozenset({(PRIMARY, CONSOLE)}))
        ),
        InTransfer(0, 0, True, "send-mark", 4, Crash(0, 0, PRIMARY, False)),
    ),
}
"""What brings to light bugs that a campaign seldom finds."""


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bug_is_found(bug: str) -> None:
    worlds = (
        transfer(PROVOKED[bug], seed, PLANTED[bug])
        if bug in PROVOKED
        else World(seed, PLANTED[bug], campaigns=1)
        for seed in range(SEEDS_PLANTED)
    )
    assert any(world.run().violations for world in worlds)


@pytest.mark.parametrize("bug", PLANTED_IN_THE_MACHINE)
def test_bug_planted_in_the_machine_is_found(bug: str, build: Build) -> None:
    assert build.machine is not None
    planted = replace(build, machine=PLANTED_IN_THE_MACHINE[bug](build.machine.plan))
    worlds = (World(seed, planted, campaigns=1) for seed in range(SEEDS_PLANTED))
    assert any(world.run().violations for world in worlds if world.is_machine)


@pytest.mark.parametrize("faults", PROVOKED.values(), ids=PROVOKED)
def test_what_brings_them_to_light_does_no_harm(faults: tuple[Fault, ...]) -> None:
    for seed in range(20):
        verdict = transfer(faults, seed).run()
        assert not verdict.violations, complaint(verdict)
