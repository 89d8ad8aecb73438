"""The first instruction where two runs differ is found, whatever they differ in."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded_run import boot, open_run, plant, record

from ftvm.errors import DivergenceError
from ftvm.log.comparison import Comparison
from ftvm.log.run_entries import RunEntries
from ftvm.log.run_format import Flip
from ftvm.log.run_replay import RunReplay
from ftvm.log.state_difference import compare_machines
from ftvm.units import PAGE_BYTES, InstructionCount

GUESTS = {
    "primes": "size=300000 rounds=2",
    "sort": "size=100000 rounds=2",
    "storm": "ops=20000 nondet",
    "smc": "",
    "faults": "",
}
PLANTS, PLANTS_LONG = 6, 100


def lasts(data: bytes) -> bool:
    """Whether the recorded machine is different at a digest or at its end."""
    replay = RunReplay(open_run(data))
    try:
        while not replay.over:
            replay.run()
    except DivergenceError:
        return True
    return False


@pytest.fixture(scope="module")
def runs(guest_images: Path) -> dict[str, tuple[bytes, list[int]]]:
    """Runs, and the pages of memory that their machines use."""
    made = {}
    for guest, append in GUESTS.items():
        machine = boot(guest_images, guest, append)
        data, _ = record(machine)
        machine.cpu.hash_memory()
        made[guest] = data, machine.cpu.used_pages()
    return made


def plants(
    runs: dict[str, tuple[bytes, list[int]]], seed: int, wanted: int
) -> Iterator[tuple[bytes, bytes, Flip]]:
    """Runs with a flip at a random place that makes a lasting difference."""
    draw = random.Random(seed)
    while wanted:
        data, pages = runs[draw.choice(sorted(runs))]
        count = draw.randrange(1, open_run(data).end_count)
        address = draw.choice(pages) * PAGE_BYTES + draw.randrange(PAGE_BYTES)
        flip = Flip(count, address, draw.randrange(8))
        planted = plant(data, flip)
        if lasts(planted):
            wanted -= 1
            yield data, planted, flip


def test_a_planted_flip_is_found_at_its_instruction_and_address(
    runs: dict[str, tuple[bytes, list[int]]], request: pytest.FixtureRequest
) -> None:
    number = PLANTS_LONG if request.config.getoption("--long") else PLANTS
    for data, planted, flip in plants(runs, 1, number):
        comparison = Comparison(open_run(data), open_run(planted))
        parting = comparison.find()
        assert (parting.equal, parting.different) == (flip.count - 1, flip.count), flip
        straight, bent = comparison.stand_at(InstructionCount(flip.count))
        found = compare_machines(straight.machine, bent.machine, 10)
        assert [(at, a ^ b) for at, a, b in found.memory] == [(flip.address, 1 << flip.bit)], flip
        assert not [register for register in found.registers if register.differs]
        assert found.devices == ()


def test_a_run_is_equal_to_itself(runs: dict[str, tuple[bytes, list[int]]]) -> None:
    data, _ = runs["storm"]
    parting = Comparison(open_run(data), open_run(data)).find()
    assert parting.different is None
    assert parting.equal == open_run(data).end_count
    assert parting.failures == (None, None)


def test_two_runs_part_where_they_were_given_different_things(guest_images: Path) -> None:
    one, other = (record(boot(guest_images, "entropy", "n=3"))[0] for _ in range(2))
    parting = Comparison(open_run(one), open_run(other)).find()
    pairs = zip(RunEntries(open_run(one)), RunEntries(open_run(other)), strict=False)
    first = next(a for a, b in pairs if a != b)
    assert parting.equal == first.count
    assert parting.different == first.count + 1


def test_another_image_is_different_from_the_beginning(guest_images: Path) -> None:
    one, other = (record(boot(guest_images, guest))[0] for guest in ("hello", "faults"))
    parting = Comparison(open_run(one), open_run(other)).find()
    assert (parting.equal, parting.different) == (0, 0)


def test_a_run_that_ends_early_is_equal_up_to_there(
    runs: dict[str, tuple[bytes, list[int]]],
) -> None:
    data, _ = runs["smc"]
    torn = data[: len(data) * 2 // 3]
    parting = Comparison(open_run(data), open_run(torn)).find()
    assert parting.different is None
    assert parting.equal == open_run(torn).end_count > 0
