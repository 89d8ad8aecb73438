"""Hosts as processes of their own: chains of failovers, handing over, fencing."""

import signal
import socket
import sys
from pathlib import Path

import pytest
from certificates import Authority
from etcd_server import EtcdServer, free_port
from hosts import Cluster, ConsoleClient

from ftvm.errors import EXIT_SUPERSEDED, DivergenceError

CHAIN, CHAIN_WITH_ETCD = 4, 2


@pytest.fixture
def counter(guest_images: Path) -> Path:
    return guest_images / "counter.elf"


def addresses(number: int) -> list[str]:
    return [f"127.0.0.1:{free_port()}" for _ in range(number)]


def run_chain(cluster: Cluster, counter: Path, deaths: int) -> ConsoleClient:
    """Kill each primary in turn, as soon as the next host has joined the one before.

    Returns the console, which has left.
    """
    places = addresses(deaths + 1)
    primary = cluster.serve(places[0], counter)
    client = cluster.console(*places)
    client.type(5)
    client.answered()
    for place in places[1:]:
        backup = cluster.join(place, *places)
        backup.see_backup()
        client.type(20)
        client.until(len(client.expected) - 30)
        primary.kill()
        client.type(5)
        client.answered()
        primary = backup
    status = cluster.status(*places)
    assert [answer["reachable"] for answer in status] == [False] * deaths + [True]
    assert (status[-1]["role"], status[-1]["generation"]) == ("primary", deaths + 1)
    assert (status[-1]["protection"], status[-1]["reason"]) == ("needSecondary", "lostConnection")
    client.leave()
    assert primary.end() == 0
    assert "the guest ended with status 0" in primary.said
    return client


def test_a_chain_of_failovers_shows_no_seam(cluster: Cluster, counter: Path) -> None:
    client = run_chain(cluster, counter, CHAIN)
    assert client.output == client.expected


def test_a_chain_with_etcd(tmp_path: Path, counter: Path, etcd: EtcdServer) -> None:
    cluster = Cluster(tmp_path, etcd.url)
    try:
        client = run_chain(cluster, counter, CHAIN_WITH_ETCD)
        assert client.output == client.expected
    finally:
        cluster.close()


def test_one_who_stands_by_is_the_backup_as_soon_as_one_is_needed(
    cluster: Cluster, counter: Path
) -> None:
    a, b, c = places = addresses(3)
    hosts = [cluster.serve(a, counter), cluster.join(b, *places)]
    hosts[1].see_backup()
    hosts.append(cluster.join(c, *places))
    hosts[2].see("needs no backup")
    status = cluster.status(*places)
    assert [s["role"] for s in status] == ["primary", "backup", "standby"]
    assert [s["protection"] for s in status] == ["running", "running", "disabled"]
    assert len({s["run"] for s in status[:2]}) == 1
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    hosts[0].kill()
    hosts[2].see_backup()
    client.type(3)
    client.answered()
    client.leave()
    assert [host.end() for host in hosts[1:]] == [0, 0]


def test_a_paused_primary_wakes_and_halts(cluster: Cluster, counter: Path) -> None:
    a, b = places = addresses(2)
    old, new = cluster.serve(a, counter), cluster.join(b, a)
    new.see_backup()
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    old.pause()
    client.type(3)  # nobody takes it before the backup has gone live
    new.see("is the primary")
    client.answered()
    status = cluster.status(*places)
    assert status[0]["reachable"] is False
    assert status[1]["generation"] == 2
    old.go_on()
    assert old.end() == EXIT_SUPERSEDED
    assert "halted at instruction" in old.said
    client.type(3)
    client.answered()
    client.leave()


def test_sigterm_on_a_primary_hands_over(cluster: Cluster, counter: Path) -> None:
    a, b = places = addresses(2)
    first, second = cluster.serve(a, counter), cluster.join(b, a)
    second.see_backup()
    client = cluster.console(*places)
    client.type(50)
    first.signal(signal.SIGTERM)
    assert first.end() == 0
    assert f"SIGTERM: left the guest to backup {b}" in first.said
    client.answered()
    (status,) = cluster.status(b)
    assert (status["generation"], status["reason"]) == (2, "userAction")
    client.leave()


def test_sigterm_on_a_backup_leaves_the_guest_alone(cluster: Cluster, counter: Path) -> None:
    a, b = places = addresses(2)
    first, second = cluster.serve(a, counter), cluster.join(b, a)
    second.see_backup()
    second.signal(signal.SIGTERM)
    assert second.end() == 0
    first.see("the guest runs on alone")
    (status,) = cluster.status(a)
    assert (status["protection"], status["reason"]) == ("needSecondary", "userAction")
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    first.signal(signal.SIGTERM)  # there is nobody to leave the guest to
    assert first.end() == 128 + signal.SIGTERM
    assert "the guest was stopped" in first.said


def test_a_second_console_takes_over_and_the_next_goes_on_from_there(
    cluster: Cluster, counter: Path
) -> None:
    a, b = places = addresses(2)
    first, second = cluster.serve(a, counter), cluster.join(b, a)
    second.see_backup()
    one = cluster.console(*places)
    one.type(3)
    one.answered()
    two = cluster.console(*places)
    assert one.end() == EXIT_SUPERSEDED
    assert "took over" in one.said
    two.send(b"i")
    two.until(len(b"4\n"))
    two.process.kill()  # with whatever it has not confirmed
    two.process.wait()
    first.kill()
    three = cluster.console(b, options=["--eof-exit"])
    three.send(b"ir")
    assert three.process.stdin is not None
    three.process.stdin.close()
    assert three.end() == 0
    assert three.output.endswith(b"5\n5\n")
    assert two.output == b"4\n"


def test_a_backup_before_its_primary_waits(cluster: Cluster, counter: Path) -> None:
    a, b = addresses(2)
    backup = cluster.join(b, a)
    backup.see("waiting: ")
    cluster.serve(a, counter)
    backup.see_backup()
    assert [answer["role"] for answer in cluster.status(a, b)] == ["primary", "backup"]


def test_another_store_than_the_primarys_is_refused(cluster: Cluster, counter: Path) -> None:
    a, b = addresses(2)
    cluster.serve(a, counter)
    cluster.store = f"file://{cluster.home}/another"
    (cluster.home / "another").mkdir()
    other = cluster.join(b, a)
    assert other.end() == 2
    assert "give the store that it uses" in other.said


def test_another_key_is_refused_everywhere(cluster: Cluster, counter: Path) -> None:
    a, b = addresses(2)
    cluster.serve(a, counter)
    key = cluster.home / "other.key"
    key.touch(mode=0o600)
    key.write_text(bytes(range(100, 132)).hex())
    cluster.secret = ("--key-file", str(key))
    stranger = cluster.join(b, a)
    assert stranger.end() == 2
    (line,) = stranger.said.splitlines()
    assert "certificate is not the pair's" in line
    assert "give the secret that the hosts were given" in line
    console = cluster.console(a)
    assert console.end() == 2
    assert console.output == b""
    assert cluster.asked(a).returncode == 2
    assert cluster.asked(a).stdout == b""
    cluster.secret = ()
    client = cluster.console(a)
    client.type(2)
    client.answered()


# A host whose memory is not what was written to it, as soon as it is a backup.
FAULTY = """
import sys
from ftvm.runtime.node import Node
from ftvm.ui.cli import main

sound = Node._joined

def joined(self, generation):
    sound(self, generation)
    self._guest.machine.cpu.write_memory(0x3000, b"a bit flipped")

Node._joined = joined
sys.exit(main(sys.argv[1:]))
"""


def test_a_backup_that_differs_is_dropped_and_replaced(cluster: Cluster, counter: Path) -> None:
    a, b, c = places = addresses(3)
    first = cluster.serve(a, counter)
    faulty = cluster.join(b, a, command=(sys.executable, "-P", "-c", FAULTY))
    assert faulty.end() == DivergenceError.exit_status
    assert "diverged" in faulty.said
    first.see("the guest runs on alone")
    assert "diverged: at instruction" in first.said
    (status,) = cluster.status(a)
    assert (status["protection"], status["reason"]) == ("needSecondary", "divergence")
    second = cluster.join(c, a)
    second.see_backup()
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    first.kill()
    client.type(3)
    client.answered()
    client.leave()


# A host that stops, once, when the first piece of the guest's state comes.
HESITANT = """
import os, signal, sys
from ftvm.runtime.node import Node
from ftvm.ui.cli import main

sound = Node._feed_state

def feed_state(self, protocol, piece):
    Node._feed_state = sound
    os.kill(os.getpid(), signal.SIGSTOP)
    sound(self, protocol, piece)

Node._feed_state = feed_state
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_while_a_backup_is_made_waits_for_it(cluster: Cluster, counter: Path) -> None:
    a, b = places = addresses(2)
    first = cluster.serve(a, counter)
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    second = cluster.join(b, a, command=(sys.executable, "-P", "-c", HESITANT))
    second.wait_until_stopped()
    first.signal(signal.SIGTERM)
    first.see("leaving as soon as the new backup is complete")
    second.go_on()
    assert first.end() == 0
    client.type(3)
    client.answered()
    client.leave()
    assert second.end() == 0


def test_a_second_sigterm_ends_a_host_at_once(cluster: Cluster, counter: Path) -> None:
    a, b = addresses(2)
    first = cluster.serve(a, counter)
    second = cluster.join(b, a, command=(sys.executable, "-P", "-c", HESITANT))
    second.wait_until_stopped()
    first.signal(signal.SIGTERM)
    first.see("leaving as soon as the new backup is complete")
    first.signal(signal.SIGTERM)
    assert first.end() == -signal.SIGTERM


def test_hosts_with_certificates(cluster: Cluster, counter: Path) -> None:
    authority = Authority(cluster.home)

    def secret_of(name: str) -> tuple[str, ...]:
        files = authority.issue(name)
        pair = ("--cert", str(files.certificate), "--cert-key", str(files.private_key))
        return (*pair, "--ca", str(files.authority))

    a, b = places = addresses(2)
    cluster.secret = secret_of("a")
    first = cluster.serve(a, counter)
    cluster.secret = secret_of("b")
    cluster.join(b, a).see_backup()
    cluster.secret = secret_of("desk")
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    first.kill()
    client.type(3)
    client.answered()
    client.leave()
    cluster.secret = ()
    assert [s["reachable"] for s in cluster.status(*places)] == [False, False]


def test_strangers_at_the_port_of_a_host_are_refused(cluster: Cluster, counter: Path) -> None:
    (a,) = addresses(1)
    host = cluster.serve(a, counter)
    for said in (b"GET /status HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"):
        with socket.create_connection(("127.0.0.1", int(a.rpartition(":")[2]))) as stranger:
            stranger.sendall(said)
            stranger.settimeout(60)
            while stranger.recv(4096):
                pass
    host.see(" refused: ", times=2)
    client = cluster.console(a)
    client.type(2)
    client.answered()
    client.leave()
    assert client.output == client.expected
    assert host.end() == 0
    assert host.said.count(" refused: ") == 2
