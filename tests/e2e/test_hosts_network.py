"""Hosts with addresses of their own, in network namespaces, whose links are cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from hosts import Cluster, ConsoleClient, ServingHost
from namespaces import Network, make_network

from ftvm.errors import EXIT_SUPERSEDED
from ftvm.runtime.key_file import generate_key

CLIENT, OURSELVES = 4, 254
PORT = 7000


class Site:
    """Three hosts, a client and etcd on a network."""

    def __init__(self, network: Network, cluster: Cluster) -> None:
        self.network = network
        self.cluster = cluster
        self.places = [f"{network.address(host)}:{PORT}" for host in (1, 2, 3)]

    def serve(self, host: int, image: Path) -> ServingHost:
        return self.cluster.serve(self.places[host - 1], image)

    def join(self, host: int) -> ServingHost:
        return self.cluster.join(self.places[host - 1], *self.places)

    def console(self) -> ConsoleClient:
        return self.cluster.console(*self.places, at=self.network.address(CLIENT))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    network = make_network(CLIENT)
    inside = {network.address(host): network.inside(host) for host in range(1, CLIENT + 1)}
    inside |= {network.address6(host): network.inside(host) for host in range(1, CLIENT + 1)}
    key = tmp_path / "pair.key"
    key.touch(mode=0o600)
    key.write_text(generate_key().hex())
    etcd = EtcdServer(tmp_path / "etcd", network.address(OURSELVES))
    cluster = Cluster(
        tmp_path,
        etcd.url,
        ("--key-file", str(key)),
        lambda address: inside[address.removesuffix(f":{PORT}").strip("[]")],
    )
    yield Site(network, cluster)
    cluster.close()
    etcd.kill()
    network.close()


@pytest.fixture
def counter(guest_images: Path) -> Path:
    return guest_images / "counter.elf"


def test_hosts_with_addresses_of_their_own(site: Site, counter: Path) -> None:
    first = site.serve(1, counter)
    site.places[1] = f"[{site.network.address6(2)}]:{PORT}"
    second = site.join(2)
    second.see_backup()
    client = site.console()
    client.type(5)
    client.answered()
    first.kill()
    client.type(5)
    third = site.join(3)
    third.see_backup()
    status = site.cluster.status(*site.places, at=site.network.address(CLIENT))
    assert [s.get("role") for s in status] == [None, "primary", "backup"]
    second.kill()
    client.type(5)
    client.answered()
    client.leave()
    assert third.end() == 0


@pytest.mark.parametrize("how", ["cut", "deafen", "mute"])
def test_a_primary_behind_a_broken_link_is_replaced_and_halts(
    site: Site, counter: Path, how: str
) -> None:
    """Whoever reaches the store goes on; when the link is mended, the other one halts."""
    first, second = site.serve(1, counter), site.join(2)
    second.see_backup()
    client = site.console()
    client.type(5)
    client.answered()
    getattr(site.network, how)(1)
    client.type(5)
    second.see("is the primary")
    client.answered()
    third = site.join(3)
    third.see_backup()
    site.network.mend(1)
    assert first.end() == EXIT_SUPERSEDED
    client.type(5)
    client.answered()
    client.leave()
    assert (second.end(), third.end()) == (0, 0)


def test_a_backup_behind_a_broken_link_halts(site: Site, counter: Path) -> None:
    first, second = site.serve(1, counter), site.join(2)
    second.see_backup()
    client = site.console()
    client.type(5)
    client.answered()
    site.network.cut(2)
    client.type(5)
    client.answered()  # the primary has won the right to go on alone
    assert "the guest runs on alone" in first.said
    site.network.mend(2)
    assert second.end() == EXIT_SUPERSEDED
    again = site.join(2)
    again.see_backup()
    first.kill()
    client.type(5)
    client.answered()
    client.leave()
    assert again.end() == 0


def test_nobody_goes_on_while_no_store_can_be_reached(site: Site, counter: Path) -> None:
    first, second = site.serve(1, counter), site.join(2)
    second.see_backup()
    client = site.console()
    client.type(5)
    client.answered()
    site.network.cut(2)
    first.see("the guest runs on alone")
    site.network.cut(1)
    client.type(5)
    site.network.mend(2)
    assert second.end() == EXIT_SUPERSEDED  # the store knows who won
    site.network.mend(1)
    client.answered()
    client.leave()
    assert first.end() == 0
