"""`ftvm serve`, `console` and `status` as typed: wrong input, a terminal, what is printed."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_server import free_port
from ftvm_command import COMMAND, FtvmCommand
from hosts import Cluster
from pseudo_terminal import PseudoTerminal

HERE = "127.0.0.1:7000"
SERVE = ("serve", "guest:counter", "--listen", HERE, "--store", "store")
JOIN = ("serve", "--join", "127.0.0.1:7001", "--listen", HERE, "--store", "store")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("serve",), "--listen"),
        (SERVE[:4], "--store"),
        (("serve", *SERVE[2:]), "give an IMAGE to run, or --join"),
        ((*SERVE, "--join", "127.0.0.1:7001"), "give an IMAGE to run, or --join"),
        ((*SERVE[:3], "127.0.0.1", *SERVE[4:]), "give HOST:PORT"),
        ((*SERVE[:3], "127.0.0.1:0", *SERVE[4:]), "no port 0"),
        ((*SERVE[:3], "::1:7000", *SERVE[4:]), "in brackets"),
        ((*SERVE[:3], "198.18.0.1:7000", *SERVE[4:]), "--key-file"),
        ((*SERVE[:5], "ftp://store"), "etcd://HOST:PORT"),
        ((*SERVE[:1], "guest:count", *SERVE[2:]), "did you mean guest:counter"),
        ((*SERVE, "--memory", "17"), "memory"),
        ((*SERVE, "--key-file", "nowhere"), "nowhere does not exist"),
        ((*SERVE, "--cert", "a.pem"), "--cert, --cert-key and --ca together"),
        ((*SERVE, "--key-file", "k", "--cert", "c", "--cert-key", "k", "--ca", "a"), "together"),
        ((*JOIN, "--memory", "64M"), "go with an IMAGE"),
        ((*JOIN, "--append", "x"), "go with an IMAGE"),
        ((*JOIN, "--lag-bound", "1s"), "goes with an IMAGE"),
        (("serve", "--join", HERE, *JOIN[3:]), "is this host itself"),
        (("serve", "--join", "", *JOIN[3:]), "give HOST:PORT"),
        (("console",), "HOST:PORT"),
        (("console", "7000"), "give HOST:PORT"),
        (("console", "127.0.0.1:1,127.0.0.1:1"), "given twice"),
        (("console", "198.18.0.1:7000"), "--key-file"),
        (("status", "127.0.0.1:"), "give HOST:PORT"),
        (("status", HERE, "--key-file", "/dev/null"), "not a regular file"),
        (("run", "guest:counter", "--store", "etcd://"), "etcd://HOST:PORT"),
    ],
)
def test_bad_command_lines(ftvm: FtvmCommand, arguments: tuple[str, ...], says: str) -> None:
    before = sorted(ftvm.home.iterdir())
    done = ftvm(*arguments)
    assert (done.status, done.out) == (2, b"")
    (line,) = done.lines
    assert says in line
    assert sorted(ftvm.home.iterdir()) == before


def test_nobody_there(ftvm: FtvmCommand) -> None:
    place = f"127.0.0.1:{free_port()}"
    console = ftvm("console", place)
    assert (console.status, console.out) == (125, b"")
    assert console.lines == [f"ftvm: {place}: Connection refused"]
    status = ftvm("status", place)
    assert status.status == 3
    head, row, _, remark = status.out.decode().splitlines()
    assert head.split()[:3] == ["HOST", "ROLE", "PROTECTION"]
    assert row.split()[:2] == [place, "unreachable"]
    assert remark == f"{place}: Connection refused"
    (answer,) = json.loads(ftvm("status", place, "--json").out)
    assert answer == {
        "address": place,
        "reachable": False,
        "trouble": f"{place}: Connection refused",
    }


def test_a_port_that_is_taken(ftvm: FtvmCommand, cluster: Cluster, counter: Path) -> None:
    place = f"127.0.0.1:{free_port()}"
    cluster.serve(place, counter)
    second = ftvm("serve", str(counter), "--listen", place, "--store", "another")
    assert second.status == 125
    assert second.lines == [f"ftvm: cannot listen on {place}: Address already in use"]


@pytest.fixture
def cluster(ftvm: FtvmCommand) -> Iterator[Cluster]:
    cluster = Cluster(ftvm.home, f"file://{ftvm.home}/store")
    yield cluster
    cluster.close()


@pytest.fixture
def counter(guest_images: Path) -> Path:
    return guest_images / "counter.elf"


def test_a_store_that_another_run_has_used(
    ftvm: FtvmCommand, cluster: Cluster, counter: Path
) -> None:
    place = f"127.0.0.1:{free_port()}"
    first = cluster.serve(place, counter)
    cluster.console(place).leave()
    assert first.end() == 0
    again = ftvm("serve", str(counter), "--listen", place, "--store", cluster.store)
    assert again.status == 2
    assert "give each run a store of its own" in again.err


def test_status_of_a_pair(ftvm: FtvmCommand, cluster: Cluster, counter: Path) -> None:
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    first = cluster.serve(places[0], counter)
    cluster.join(places[1], places[0]).see_backup()
    first.see("protected: backup")
    done = ftvm("status", ",".join(places))
    assert done.status == 0
    assert b"\x1b" not in done.out
    rows = [line.split() for line in done.out.decode().splitlines()]
    assert [row[:4] for row in rows[1:3]] == [
        [places[0], "primary", "running", "1"],
        [places[1], "backup", "running", "1"],
    ]
    answers = json.loads(ftvm("status", ",".join(places), "--json").out)
    assert [a["peer"] for a in answers] == [a["node"] for a in reversed(answers)]
    assert all(a["digest"] and a["lag_instructions"] is not None for a in answers)


def test_a_terminal_follows_the_primary_and_detaches(
    ftvm: FtvmCommand, cluster: Cluster, counter: Path
) -> None:
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    first = cluster.serve(places[0], counter)
    cluster.join(places[1], places[0]).see_backup()
    terminal = PseudoTerminal([*COMMAND, "console", ",".join(places)], ftvm.home, ftvm.environment)
    try:
        terminal.see("generation 1; Ctrl-A x detaches")
        terminal.see("counter: ready\r\n")
        assert terminal.is_raw()
        terminal.type(b"i")
        terminal.see("1\r\n")
        first.kill()
        terminal.type(b"i")
        terminal.see(f"attached to {places[1]}, generation 2")
        terminal.see("2\r\n")
        terminal.type(b"\x01h")
        terminal.see("Ctrl-A x detaches: the guest runs on")
        terminal.type(b"\x01x")
        assert terminal.end() == 0
        assert terminal.is_as_before()
    finally:
        terminal.close()
    again = cluster.console(places[1])
    again.send(b"r")
    again.until(len(b"2\n"))
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 128 + signal.SIGTERM
    assert again.output == b"2\n"
