"""Hosts with addresses of their own, in network namespaces, whose links are cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import make_network
from site_of_hosts import CLIENT, PORT, Site

from ftvm.errors import EXIT_SUPERSEDED


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    network = make_network(CLIENT)
    site = Site(network, tmp_path)
    yield site
    site.close()
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
