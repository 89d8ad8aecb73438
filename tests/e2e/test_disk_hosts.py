"""Hosts with disks: who ends the guest commits, and no host joins with another image."""

import os
from pathlib import Path

from etcd_server import free_port
from hosts import Cluster

SECTOR, SECTORS = 512, 300


def make_image(path: Path, fill: bytes = b"\xa5") -> Path:
    path.write_bytes(bytes(SECTOR * 50) + fill * SECTOR * (SECTORS - 50))
    return path


def records(path: Path) -> int:
    content = path.read_bytes()
    assert content[SECTOR * 50 :] == b"\xa5" * SECTOR * (SECTORS - 50)
    return sum(any(content[at : at + SECTOR]) for at in range(0, SECTOR * 50, SECTOR))


def test_the_host_that_ends_the_guest_commits(
    cluster: Cluster, guest_images: Path, tmp_path: Path
) -> None:
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    mine, copy = make_image(tmp_path / "mine.img"), make_image(tmp_path / "copy.img")
    first = cluster.serve(places[0], guest_images / "disk.elf", "--disk", str(mine))
    client = cluster.console(*places)
    client.send(b"ww")
    client.until(len(b"disk: 300 sectors, 0 records\n1\n2\n"))

    other = make_image(tmp_path / "other.img", b"\x5a")
    stranger = cluster.join(places[1], *places, options=("--disk", str(other)))
    assert stranger.end() == 2
    assert "has another content than the guest's" in stranger.said
    assert stranger.said.count("\n") == 1

    second = cluster.join(places[1], *places, options=("--disk", str(copy)))
    second.see_backup()
    (status,) = cluster.status(places[0])
    assert [disk["written_sectors"] for disk in status["disks"]] == [2]
    client.send(b"w")
    client.until(len(b"disk: 300 sectors, 0 records\n1\n2\n3\n"))
    first.kill()
    client.send(b"wrq")
    assert second.end() == 0, second.said
    assert client.process.wait(60) == 0
    assert client.output == b"disk: 300 sectors, 0 records\n1\n2\n3\n4\n4 records\n"
    assert (records(mine), records(copy)) == (0, 4)


def test_a_backup_that_cannot_read_its_image_says_so_and_is_dropped(
    cluster: Cluster, guest_images: Path, tmp_path: Path
) -> None:
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    mine, copy = make_image(tmp_path / "mine.img"), make_image(tmp_path / "copy.img")
    first = cluster.serve(places[0], guest_images / "disk.elf", "--disk", str(mine))
    second = cluster.join(places[1], *places, options=("--disk", str(copy)))
    second.see_backup()
    os.truncate(copy, SECTOR)
    client = cluster.console(*places)
    client.send(b"wwwrq")  # the fourth record is read from the image
    assert second.end() == 122, second.said
    assert "the image of drive 0 cannot be read here" in second.said
    assert first.end() == 0, first.said
    assert client.output.endswith(b"3 records\n")
    assert records(mine) == 3
