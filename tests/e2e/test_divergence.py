"""A pair finds out by itself where its replicas part, and goes on without the one that differs."""

import json
import random
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from etcd_server import free_port
from ftvm_command import FtvmCommand
from hosts import Cluster
from pair_session import Session, run_spec
from recorded_run import boot, open_run, record
from replica_memory import corrupt_guest_memory

from ftvm.log.run_format import Flip
from ftvm.runtime.crash import ROLES
from ftvm.runtime.flip import PlantedFlip
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.divergence import explain
from ftvm.units import PAGE_BYTES

FLIP = "@instruction:3000000:0x3f00000:7"
PLANTS, PLANTS_LONG = 2, 100
GUESTS = {"primes": "size=300000 rounds=2", "sort": "size=100000", "storm": "ops=20000 nondet"}


def told_of(home: Path) -> tuple[dict[str, Any], str]:
    """What the only divergence there is has left."""
    (directory,) = home.glob("ftvm-divergence-*")
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["backup.run", "primary.run", "report.json", "report.txt"]
    return json.loads((directory / "report.json").read_text()), (
        directory / "report.txt"
    ).read_text()


@pytest.mark.parametrize("role", ["backup", "primary"])
def test_a_flip_is_found_while_the_guest_goes_on(ftvm: FtvmCommand, role: str) -> None:
    append = ("--append", "rounds=20")
    done = ftvm("run", "guest:primes", *append, "--flip", role + FLIP)
    assert done.status == 122
    assert done.out == ftvm("run", "guest:primes", *append, "--solo").out
    found, report = told_of(ftvm.home)
    assert (found["equal"], found["different"]) == (2_999_999, 3_000_000)
    (changed,) = found["memory"]
    assert changed == ([0x3F00000, 0, 128] if role == "backup" else [0x3F00000, 128, 0])
    (line,) = [line for line in done.lines if "they part" in line]
    assert re.fullmatch(
        r"ftvm: they part at instruction 3,000,000, 0010[0-9a-f]{4} .+: "
        r"1 byte of memory, at 0x3f00000; see ftvm-divergence-[0-9a-f]{8}-\d+/report.txt",
        line,
    )
    assert "  > 0010" in report
    assert f"the {role} has a flip planted here: 0x3f00000, bit 7" in report
    assert max(map(len, report.splitlines())) <= 100
    assert sum("primary alone from" in line for line in done.lines) == 1
    # What was left can be compared again.
    (directory,) = ftvm.home.glob("ftvm-divergence-*")
    runs = [str(directory / name) for name in ("primary.run", "backup.run")]
    assert "ftvm diff primary.run backup.run" in report
    assert json.loads(ftvm("diff", *runs, "--json").out)["different"] == found["different"]


def test_where_one_may_not_write_the_reports_are_with_temporary_files(ftvm: FtvmCommand) -> None:
    gone = 'cd "$(mktemp -d)"; rmdir "$PWD";'
    process = ftvm.start("run", "guest:primes", "--flip", "backup" + FLIP, before=gone)
    _, err = process.communicate()
    assert process.returncode == 122
    assert f"see {ftvm.temporary}/ftvm-divergence-" in err.decode()
    for directory in ftvm.temporary.glob("ftvm-divergence-*"):
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()


def test_a_random_flip_is_found_at_its_instruction_and_address(
    guest_images: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    draw, found, tries = random.Random(5), 0, 0
    places = {}
    for guest, append in GUESTS.items():
        machine = boot(guest_images, guest, append)
        data, _ = record(machine)
        machine.cpu.hash_memory()
        places[guest] = open_run(data).end_count, machine.cpu.used_pages()
    while found < (PLANTS_LONG if request.config.getoption("--long") else PLANTS):
        tries += 1
        guest = draw.choice(sorted(GUESTS))
        end, pages = places[guest]
        address = draw.choice(pages) * PAGE_BYTES + draw.randrange(PAGE_BYTES)
        flip = Flip(draw.randrange(1, end), address, draw.randrange(8))
        spec = replace(
            run_spec(guest_images, guest, append=GUESTS[guest]),
            flips=(PlantedFlip(draw.choice(ROLES), flip),),
            evidence=tmp_path / str(tries),
        )
        (tmp_path / str(tries)).mkdir()
        output = bytearray()
        with Supervisor(spec, output.extend) as supervisor:
            supervisor.start()
            Session(supervisor, output).finish()
        if not supervisor.evidence:  # it was overwritten before anybody looked
            assert supervisor.report().replicas_equal
            continue
        found += 1
        line = explain(Path(supervisor.evidence[0]))
        told, _ = told_of(tmp_path / str(tries))
        assert (told["equal"], told["different"]) == (flip.count - 1, flip.count), (flip, line)
        assert [(at, a ^ b) for at, a, b in told["memory"]] == [(address, 1 << flip.bit)], flip


def test_a_host_that_differs_reports_and_is_replaced(
    cluster: Cluster, guest_images: Path, tmp_path: Path
) -> None:
    places = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    first = cluster.serve(places[0], guest_images / "counter.elf", "--memory", "8M")
    backup = cluster.join(places[1], *places)
    backup.see_backup()
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    corrupt_guest_memory(backup.process.pid, b"counter: ", 8 << 20)
    while backup.process.poll() is None:
        client.type(1)
        client.answered()
    assert backup.end() == 122
    assert "something else did: " in backup.said
    found, report = told_of(tmp_path)
    assert found["verdict"] == "memory changed"
    assert "its memory was changed from outside" in report
    assert "bit 0" in report
    first.see("lost backup")
    third = cluster.join(places[2], *places)
    third.see_backup()
    client.type(3)
    client.answered()
    first.signal(signal.SIGTERM)
    client.type(3)
    client.answered()
    client.leave()
    assert third.end() == 0
