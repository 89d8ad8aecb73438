"""`ftvm simulate`: one schedule's story, what many came to, and a bug that is found."""

import json

import pytest
from ftvm_command import FtvmCommand

PLANT = """
import sys
from ftvm.replication.arbitration import Won
from ftvm.simulation.store import MemoryStore
from ftvm.ui.cli import main

def oblige(self, expected, owner):
    self.generation, self.owner = expected + 1, owner
    return Won(self.generation)

MemoryStore.advance = oblige
sys.exit(main({arguments}))
"""


def test_a_seed_tells_its_story_and_the_same_each_time(ftvm: FtvmCommand) -> None:
    done = ftvm("simulate", "--seed", "3")
    lines = done.out.decode().splitlines()
    assert (done.status, done.err) == (0, "")
    assert lines[0].startswith("schedule 3 ")
    assert lines[-1] == "holds"
    for word in ("asks the store for generation 1", "is a pair with", "types ", "sees ", "fault"):
        assert any(word in line for line in lines), word
    assert ftvm("simulate", "--seed", "3").out == done.out


def test_verbose_tells_every_message(ftvm: FtvmCommand) -> None:
    short, long = ftvm("simulate", "--seed", "0"), ftvm("simulate", "--seed", "0", "--verbose")
    assert b"Ack(" in long.out
    assert b"Ack(" not in short.out
    assert set(short.out.splitlines()) <= set(long.out.splitlines())


def test_a_story_as_json(ftvm: FtvmCommand) -> None:
    told = json.loads(ftvm("simulate", "--seed", "0", "--json").out)
    assert told["holds"] is True
    assert told["seed"] == 0
    assert told["violations"] == []
    assert [set(moment) for moment in told["story"]] == [{"at_ns", "who", "what", "detail"}] * len(
        told["story"]
    )
    times = [moment["at_ns"] for moment in told["story"]]
    assert times == sorted(times)


def test_many_schedules_are_counted(ftvm: FtvmCommand) -> None:
    done = ftvm("simulate", "--from", "5", "--schedules", "12")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(b"12 schedules from seed 5, ")
    assert done.out.endswith(b"all hold\n")
    told = json.loads(ftvm("simulate", "--from", "5", "--schedules", "12", "--json").out)
    assert (told["holds"], told["first"], told["schedules"]) == (True, 5, 12)
    assert told["finished"] + told["lost"] == 12


def test_a_store_that_says_yes_to_everybody_is_found(ftvm: FtvmCommand) -> None:
    done = ftvm.python(PLANT.format(arguments=["simulate", "--schedules", "60"]))
    assert done.status == 1
    first = done.out.decode().splitlines()[0].split(":")[0].removeprefix("seed ")
    assert done.out.decode().splitlines()[-1].endswith(f"ftvm simulate --seed {first}")
    alone = ftvm.python(PLANT.format(arguments=["simulate", "--seed", first]))
    assert alone.status == 1
    assert b"violated: " in alone.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--seed", "-1"], "argument --seed: '-1' is not a whole number from 0 on"),
        (["--seed", "x"], "'x' is not a whole number"),
        (["--schedules", "0"], "--schedules 0: give a number of 1 or more"),
        (["--seed", "1", "--schedules", "2"], "leave out --schedules and --from"),
        (["--verbose"], "give --seed N too"),
    ],
)
def test_wrong_options(ftvm: FtvmCommand, arguments: list[str], complaint: str) -> None:
    done = ftvm("simulate", *arguments)
    assert (done.status, done.out, len(done.lines)) == (2, b"", 1)
    assert complaint in done.err
