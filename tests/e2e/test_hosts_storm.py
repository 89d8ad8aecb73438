"""Faults of all kinds, one after the other, on real hosts under a client's load.

Each round waits until the pair is whole, does something to it while the client
types, and waits until every increment is answered. `--seed N` does the same
things again at the same hosts; when exactly they strike is up to the machine.
"""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hosts import ConsoleClient, ServingHost, wait_for
from namespaces import make_network
from site_of_hosts import CLIENT, HOSTS, Site

from ftvm.errors import EXIT_SUPERSEDED

ROUNDS, ROUNDS_LONG = 2, 200
FAULTS = (
    *("kill", "kill while the store is away", "pause", "terminate"),
    *("cut", "deafen", "mute"),
)
ENDINGS = {0, -signal.SIGKILL, EXIT_SUPERSEDED}
"""A host was killed, has handed over or left, or was halted because another went on."""


@dataclass(frozen=True)
class Round:
    """What is done: to which role, for how long where that matters, with how much typed."""

    fault: str
    role: str
    lasts_s: float
    keys: int

    def __str__(self) -> str:
        return f"{self.fault} {self.role}, {self.lasts_s:.2f} s, {self.keys} keys"


def plan(seed: int, rounds: int) -> list[Round]:
    dice = random.Random(seed)
    return [
        Round(
            fault=dice.choice(FAULTS),
            role=dice.choice(("primary", "primary", "backup", "client")),
            lasts_s=dice.uniform(0.05, 3.5),
            keys=dice.randint(10, 300),
        )
        for _ in range(rounds)
    ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    network = make_network(CLIENT)
    site = Site(network, tmp_path)
    yield site
    site.close()
    network.close()


class Storm:
    """The hosts of a site, each of which is started again when it has ended."""

    def __init__(self, site: Site, image: Path) -> None:
        self.site = site
        self._hosts: dict[int, ServingHost] = {1: site.serve(1, image)}
        self.client: ConsoleClient = site.console()
        self.endings: list[int] = []

    def whole(self) -> bool:
        """Whether the newest primary has its backup; start what has ended."""
        for host in HOSTS:
            served = self._hosts.get(host)
            if served is None or served.process.poll() is not None:
                if served is not None:
                    self.endings.append(served.end())
                    assert self.endings[-1] in ENDINGS, served.said
                self._hosts[host] = self.site.join(host)
        states = [answer.status for answer in self.site.ask()]
        newest = max((s.generation for s in states if s), default=0)
        roles = sorted(
            s.role for s in states if s and s.generation == newest and s.protection == "running"
        )
        return roles == ["backup", "primary"]

    def numbers(self) -> dict[str, int]:
        """Return who is primary and who is backup."""
        return {
            answer.status.role: host
            for host, answer in zip(HOSTS, self.site.ask(), strict=True)
            if answer.status and answer.status.protection == "running"
        } | {"client": CLIENT}

    def strike(self, what: Round) -> None:
        """Do it, and undo what has to be undone, while the client types."""
        number = self.numbers()[what.role]
        host = self._hosts.get(number)
        self.client.type(what.keys // 2)
        if what.fault in ("cut", "deafen", "mute") or host is None:
            getattr(self.site.network, what.fault if what.fault in CUTS else "cut")(number)
            self.client.type(what.keys - what.keys // 2)
            time.sleep(what.lasts_s)
            self.site.network.mend(number)
            return
        if what.fault == "pause":
            host.pause()
        elif what.fault == "terminate":
            host.signal(signal.SIGTERM)
        elif what.fault == "kill":
            host.kill()
        else:
            self.site.etcd.pause()
            host.kill()
        self.client.type(what.keys - what.keys // 2)
        if what.fault not in ("kill", "terminate"):
            time.sleep(what.lasts_s)
            host.go_on() if what.fault == "pause" else self.site.etcd.go_on()


CUTS = ("cut", "deafen", "mute")


def test_hosts_survive_a_storm(
    site: Site, guest_images: Path, request: pytest.FixtureRequest
) -> None:
    long = request.config.getoption("--long")
    seed = request.config.getoption("--seed") or random.randrange(1 << 32)
    storm = Storm(site, guest_images / "counter.elf")
    for number, what in enumerate(plan(seed, ROUNDS_LONG if long else ROUNDS), 1):
        story = f"seed {seed}, round {number}: {what}"
        wait_for(storm.whole, lambda story=story: f"{story}: before it the pair is not whole")
        print(story, flush=True)
        storm.strike(what)
        storm.client.answered()
    storm.client.leave()
    assert storm.client.output == storm.client.expected, f"seed {seed}"
