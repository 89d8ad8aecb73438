"""What a guest wrote gets into its image whole or not at all, and is never lost."""

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_image import SECTOR, patterned

from ftvm.errors import HostError, StateError, UsageError
from ftvm.machine.disk import Disk, UnreadableSector
from ftvm.runtime.disk_commit import commit, commit_writes, read_writes
from ftvm.runtime.disk_hash import hash_content
from ftvm.runtime.disk_image import DiskFile, DiskImage, identify, open_image
from ftvm.units import Sector

RUN, OTHER_RUN = b"r" * 16, b"o" * 16
SECTORS = 3000
WRITTEN = {0: b"first", 7: b"a", 8: b"b", SECTORS - 1: b"last"}


class NoFailures:
    def due(self) -> Sector | None:
        return None

    def failed(self, failure: UnreadableSector) -> None:
        pass


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(patterned(SECTORS))
    return path


def written_disk(file: DiskFile) -> Disk:
    disk = Disk(file.config, DiskImage(file), NoFailures())
    for sector, text in WRITTEN.items():
        disk.write(Sector(sector), text.ljust(SECTOR, b"."))
    return disk


def new_content() -> bytes:
    content = bytearray(patterned(SECTORS))
    for sector, text in WRITTEN.items():
        content[SECTOR * sector : SECTOR * (sector + 1)] = text.ljust(SECTOR, b".")
    return bytes(content)


def test_the_new_image_takes_the_old_ones_place(image: Path) -> None:
    os.chmod(image, 0o640)
    file = open_image(str(image), "rw", RUN)
    steps: list[str] = []
    commit(file, written_disk(file), RUN, steps.append)
    assert image.read_bytes() == new_content()
    assert stat.S_IMODE(image.stat().st_mode) == 0o640
    assert steps == ["disk-copy", "disk-write", "disk-replace", "disk-replaced"]
    assert list(image.parent.iterdir()) == [image]
    # Who has the old one open still has it: the backup, which may have to end the run again.
    assert DiskImage(file).read(Sector(0), SECTORS) == patterned(SECTORS)


@pytest.mark.parametrize("mode", ["ro", "snapshot"])
def test_nothing_is_committed_that_is_not_to_be(image: Path, mode: str) -> None:
    file = open_image(str(image), mode, RUN)  # type: ignore[arg-type]
    commit(file, written_disk(file), RUN)
    assert image.read_bytes() == patterned(SECTORS)


def test_without_writes_the_file_stays_the_same(image: Path) -> None:
    before = image.stat().st_ino
    file = open_image(str(image), "rw", RUN)
    commit(file, Disk(file.config, DiskImage(file), NoFailures()), RUN)
    assert image.stat().st_ino == before


def test_a_link_stays_one_and_what_it_names_is_replaced(image: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.img"
    link.symlink_to(image.name)
    file = open_image(str(link), "rw", RUN)
    commit(file, written_disk(file), RUN)
    assert link.is_symlink()
    assert image.read_bytes() == new_content()


def test_a_sparse_image_stays_sparse(tmp_path: Path) -> None:
    path = tmp_path / "sparse.img"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(600 << 20)
        file.write(b"in the middle")
    opened = open_image(str(path), "rw", RUN)
    disk = Disk(opened.config, DiskImage(opened), NoFailures())
    disk.write(Sector(5), b"x" * SECTOR)
    disk.write(Sector(100_000), bytes(SECTOR * 3000))  # zeros into a hole
    commit(opened, disk, RUN)
    assert path.stat().st_size == 1 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        file.seek(600 << 20)
        assert file.read(13) == b"in the middle"


def test_sparse_and_full_images_have_one_hash(tmp_path: Path) -> None:
    content = bytes(3 << 20) + b"data".ljust(4096, b"\0") + bytes((5 << 20) - 512)
    full, sparse = tmp_path / "full", tmp_path / "sparse"
    full.write_bytes(content)
    with sparse.open("wb") as file:
        file.truncate(len(content))
        file.seek(3 << 20)
        file.write(b"data")
    hashes = set()
    for path in (full, sparse):
        with path.open("rb") as file:
            hashes.add(hash_content(file.fileno(), len(content)))
    assert len(hashes) == 1
    sparse.write_bytes(content[:-1] + b"\1")
    with sparse.open("rb") as file:
        assert hash_content(file.fileno(), len(content)) not in hashes


CALLS = ("copy_file_range", "pwrite", "fsync", "link", "rename", "ftruncate", "fchmod", "open")


def commit_and_die(path: Path, number: int) -> bool:
    """Commit in a process that dies before its call with that number; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = number

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **more)

            return called

        file = open_image(str(path), "rw", RUN)
        disk = written_disk(file)
        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        commit(file, disk, RUN)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_killed_at_any_call_it_leaves_the_old_or_the_new(image: Path) -> None:
    seen, number, dies = set(), 0, True
    while dies:
        image.write_bytes(patterned(SECTORS))
        dies = commit_and_die(image, number)
        content = image.read_bytes()
        assert content in (patterned(SECTORS), new_content()), number
        seen.add(content)
        number += 1
    assert number > len(CALLS)
    assert len(seen) == 2


def test_committed_twice_is_committed_once(image: Path) -> None:
    """The backup ends the same run again, if the primary died before it could tell."""
    file = open_image(str(image), "rw", RUN)
    twin = open_image(str(image), "rw", RUN)  # which a run's other half may
    commit(file, written_disk(file), RUN)
    before = image.stat().st_ino
    commit(twin, written_disk(twin), RUN)
    assert image.stat().st_ino == before
    assert image.read_bytes() == new_content()


def test_a_file_that_was_replaced_meanwhile_is_not_touched(image: Path) -> None:
    file = open_image(str(image), "rw", RUN)
    image.unlink()
    image.write_bytes(bytes(SECTOR * SECTORS))
    with pytest.raises(HostError, match="has been replaced since the run began"):
        commit(file, written_disk(file), RUN)
    assert image.read_bytes() == bytes(SECTOR * SECTORS)
    saved = read_writes(str(image) + ".ftvm-writes")
    assert saved.sectors.sectors == tuple(sorted(WRITTEN))


def test_saved_writes_can_be_committed_later_and_stand_in_the_way_until_then(
    image: Path,
) -> None:
    file = open_image(str(image), "rw", RUN)
    disk = written_disk(file)
    hidden = image.with_name("hidden")
    image.rename(hidden)
    with pytest.raises(HostError, match=r"ftvm commit .*disk\.img\.ftvm-writes"):
        commit(file, disk, RUN)
    hidden.rename(image)
    os.close(file.descriptor)
    with pytest.raises(UsageError, match="could not commit"):
        open_image(str(image), "rw", RUN)
    saved = f"{image}.ftvm-writes"
    again = open_image(str(image), "rw", RUN, saved=saved)
    writes = read_writes(saved)
    identify(again, writes.disk)
    commit_writes(again, writes, RUN)
    assert image.read_bytes() == new_content()


def test_saved_writes_that_are_damaged_are_refused(image: Path) -> None:
    path = image.with_name("w")
    for content, why in ((b"", "no writes"), (b"ftvmwrts" + bytes(60), "damaged")):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=why):
            read_writes(str(path))


def test_an_image_has_one_run_at_a_time(image: Path) -> None:
    first = open_image(str(image), "rw", RUN)
    with pytest.raises(UsageError, match="in use by another run"):
        open_image(str(image), "rw", OTHER_RUN)
    second = open_image(str(image), "rw", RUN)
    for reader in ("ro", "snapshot"):
        os.close(open_image(str(image), reader, OTHER_RUN).descriptor)  # type: ignore[arg-type]
    os.close(first.descriptor)
    with pytest.raises(UsageError, match="in use by another run"):
        open_image(str(image), "rw", OTHER_RUN)
    os.close(second.descriptor)
    open_image(str(image), "rw", OTHER_RUN)


def test_what_is_no_image_is_refused(image: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "odd").write_bytes(bytes(1000))
    (tmp_path / "twin").hardlink_to(image)
    for path, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "not a regular file"),
        (Path("/dev/null"), "not a regular file"),
        (tmp_path / "empty", "is empty"),
        (tmp_path / "odd", "truncate -s %512"),
        (image, r"2 names \(hard links\)"),
    ):
        with pytest.raises(UsageError, match=why):
            open_image(str(path), "rw", RUN)
    assert open_image(str(image), "ro", RUN).sectors == SECTORS


def test_another_image_is_not_taken_for_the_guests(image: Path, tmp_path: Path) -> None:
    wanted = open_image(str(image), "ro", RUN).config
    longer, other = tmp_path / "longer", tmp_path / "other"
    longer.write_bytes(patterned(SECTORS + 1))
    other.write_bytes(patterned(SECTORS, 1))
    for path, why in ((longer, "3001 sectors"), (other, "another content")):
        with pytest.raises(StateError, match=why):
            identify(open_image(str(path), "ro", RUN), wanted)


def test_a_shortened_image_has_unreadable_sectors(image: Path) -> None:
    file = open_image(str(image), "ro", RUN)
    os.truncate(image, 10 * SECTOR)
    disk = Disk(file.config, DiskImage(file), NoFailures())
    assert disk.read(Sector(8), 2) == patterned(10)[8 * SECTOR :]
    with pytest.raises(UnreadableSector) as failed:
        disk.read(Sector(8), 8)
    assert failed.value.sector == 10
