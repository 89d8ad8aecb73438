"""Disk images on this host: found, opened, known by their content, read.

A run opens an image once. Its replicas inherit the open file, and so the lock and
the very bytes, whatever becomes of the name.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ftvm.errors import HostError, StateError, UsageError
from ftvm.machine.disk import SECTOR_BYTES, SECTORS_MAX, DiskConfig, Mode, UnreadableSector
from ftvm.runtime.disk_hash import hash_content
from ftvm.runtime.disk_lock import lock_image
from ftvm.units import Sector

SAVED_SUFFIX = ".ftvm-writes"
"""Behind the image's name: what a run wrote and could not commit."""


@dataclass(frozen=True)
class DiskOption:
    """An image as it was named: a path, and what is to become of it; None for as elsewhere."""

    path: str
    mode: Mode | None


class DiskFile(msgspec.Struct, frozen=True):
    """An open image, for a node that inherits it. ``content`` is its hash in hexadecimal."""

    path: str
    mode: Mode
    sectors: int
    content: str
    descriptor: int

    @property
    def config(self) -> DiskConfig:
        """What the machine is told of it."""
        return DiskConfig(self.path, self.mode, self.sectors, bytes.fromhex(self.content))


class DiskImage:
    """A `BaseImage` in an open file."""

    def __init__(self, file: DiskFile) -> None:
        self.file = file

    def read(self, first: Sector, count: int) -> bytes:
        """See `BaseImage`; of many, any may be the one that cannot be read."""
        wanted = count * SECTOR_BYTES
        try:
            data = os.pread(self.file.descriptor, wanted, first * SECTOR_BYTES)
        except OSError as error:
            raise UnreadableSector(first, error.strerror or str(error)) from None
        if len(data) != wanted:  # pread() of a file is cut short only by its end
            raise UnreadableSector(first, "the image has become shorter")
        return data


def open_image(
    path: str,
    mode: Mode,
    run: bytes,
    progress: Callable[[int], None] = lambda done: None,
    saved: str = "",
) -> DiskFile:
    """Open an image and lock it for `run`; UsageError, HostError: it cannot be had.

    `progress` is told how many bytes are looked at. Writes that wait for their
    commit must not be there, unless they are `saved`.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"disk {path}: not a regular file; give a raw image")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"disk {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"disk {path!r}: not a file's name") from None
    try:
        status = os.fstat(descriptor)
        _check_size(path, status.st_size)
        if mode == "rw":
            _check_writable(path, status, saved)
            lock_image(descriptor, run, path)
            if os.stat(path).st_ino != status.st_ino:
                raise UsageError(f"disk {path} is just being written by another run: try again")
        content = hash_content(descriptor, status.st_size, progress)
    except OSError as error:
        os.close(descriptor)
        raise HostError(f"disk {path}: cannot be read: {error.strerror}") from None
    except BaseException:
        os.close(descriptor)
        raise
    sectors = status.st_size // SECTOR_BYTES
    return DiskFile(os.path.abspath(path), mode, sectors, content.hex(), descriptor)


def _check_size(path: str, size: int) -> None:
    if size == 0:
        raise UsageError(f"disk {path}: is empty; give it a size: truncate -s 64M {path}")
    if size % SECTOR_BYTES or size > SECTORS_MAX * SECTOR_BYTES:
        raise UsageError(
            f"disk {path}: {size} bytes are no whole number of {SECTOR_BYTES}-byte "
            f"sectors; fill it up: truncate -s %{SECTOR_BYTES} {path}"
        )


def _check_writable(path: str, status: os.stat_result, known: str) -> None:
    """Refuse what could not be committed; that writes a new file, and gives it the name."""
    real = os.path.realpath(path)
    advice = "add ,ro or ,snapshot"
    if not os.access(real, os.W_OK) or not os.access(os.path.dirname(real), os.W_OK):
        raise UsageError(
            f"disk {path}: may not be written, nor replaced in its directory; {advice}"
        )
    if os.geteuid() not in (0, status.st_uid):
        raise UsageError(f"disk {path}: belongs to another user, and would be yours; {advice}")
    if status.st_nlink > 1:
        raise UsageError(
            f"disk {path}: has {status.st_nlink} names (hard links), of which one would be "
            f"replaced; copy it, or {advice}"
        )
    saved = real + SAVED_SUFFIX
    if os.path.exists(saved) and not (known and os.path.samefile(saved, known)):
        raise UsageError(
            f"{saved} has what an earlier run wrote and could not commit: "
            f"ftvm commit {saved}, or delete it"
        )


def identify(file: DiskFile, wanted: DiskConfig) -> None:
    """Raise StateError, with one line, if an image is another than the machine's."""
    if file.sectors != wanted.sectors:
        raise StateError(
            f"disk {file.path} has {file.sectors} sectors, and the guest's, {wanted.path}, "
            f"has {wanted.sectors}: it is another image"
        )
    if file.config.content != wanted.content:
        raise StateError(
            f"disk {file.path} has another content than the guest's, {wanted.path}, began with"
        )


def images_for(files: Sequence[DiskFile], disks: tuple[DiskConfig, ...]) -> list[DiskImage]:
    """Return the images of a machine that comes from elsewhere; StateError if they are not its."""
    if len(files) != len(disks):
        raise StateError(f"the machine has {len(disks)} disks, and here are {len(files)}")
    for file, wanted in zip(files, disks, strict=True):
        identify(file, wanted)
    return [DiskImage(file) for file in files]
