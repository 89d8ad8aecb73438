"""What a guest has written is put into its image: all of it, or nothing.

The image is copied (cloned where the file system can, its holes kept), the
sectors are written into the copy, and the copy takes over the name. So whoever
opens the name sees the old image or the new one, at any instant and after any
crash; and whoever has the old one open, a replica that might have to end the
same run again, keeps it unchanged.

Until then the copy has no name, so that a crash leaves nothing behind. If it
cannot be done, the sectors are saved in a file of their own, from which they can
be committed later.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ftvm.errors import HostError, StateError, UsageError
from ftvm.machine.disk import SECTOR_BYTES, Disk, DiskConfig
from ftvm.machine.plain import decode_plain, encode_plain
from ftvm.machine.state import DiskSectors, sectors_of
from ftvm.runtime.disk_hash import data_spans
from ftvm.runtime.disk_image import SAVED_SUFFIX, DiskFile
from ftvm.runtime.disk_lock import lock_image

_FICLONE = 0x40049409  # linux/fs.h
_NOT_HERE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)
"""How file systems say that they cannot clone or copy."""
_PIECE_BYTES = 1 << 24
_RUN_SECTORS = 2048
_ZEROS = bytes(SECTOR_BYTES * _RUN_SECTORS)
_MAGIC = b"ftvmwrts"
_HEADER = struct.Struct("<8s32s")

Step = Callable[[str], None]
"""Told of each step right before it: "disk-copy", "disk-write", "disk-replace", "disk-replaced"."""


@dataclass(frozen=True)
class Writes:
    """What a run wrote to a disk."""

    disk: DiskConfig
    sectors: DiskSectors


def commit(file: DiskFile, disk: Disk, run: bytes, step: Step = lambda name: None) -> None:
    """Put what was written to `disk` into its image.

    Raises HostError, saying where the sectors are, if that cannot be done.
    """
    if file.mode != "rw" or not disk.written_sectors:
        return
    written = sectors_of(disk)
    try:
        _replace(file, written, run, step)
    except (OSError, UsageError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise HostError(
            f"disk {file.path}: what the guest wrote cannot be committed: {why}; "
            + _save(file, Writes(file.config, written))
        ) from None


def _replace(file: DiskFile, written: DiskSectors, run: bytes, step: Step) -> None:
    real = os.path.realpath(file.path)
    status = os.fstat(file.descriptor)
    if not _is_same(real, status):
        if _has(real, written):
            return  # the pair's other half has done it, and died before it could tell
        raise UsageError("the file has been replaced since the run began")
    folder = os.path.dirname(real)
    step("disk-copy")
    copy = _unnamed(folder)
    try:
        os.fchmod(copy, status.st_mode & 0o7777)
        _give_owner(copy, status)
        _copy_attributes(file.descriptor, copy)
        _copy(file.descriptor, copy, status.st_size)
        step("disk-write")
        _write(copy, written)
        os.fsync(copy)
        lock_image(copy, run, real)  # whoever opens it by its name waits for the run's end
        step("disk-replace")
        _take_name(copy, real, folder, status)
        step("disk-replaced")
    finally:
        os.close(copy)


def _is_same(path: str, status: os.stat_result) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)


def _has(path: str, written: DiskSectors) -> bool:
    """Whether an image holds all these sectors already."""
    try:
        with open(path, "rb", buffering=0) as image:
            return all(
                os.pread(image.fileno(), len(data), at) == data for at, data in _runs(written)
            )
    except FileNotFoundError:
        return False


def _unnamed(folder: str) -> int:
    """Return a new file, without a name where the file system can do that."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    descriptor, _ = tempfile.mkstemp(prefix=".ftvm-", dir=folder)
    return descriptor


def _give_owner(copy: int, status: os.stat_result) -> None:
    """Give the copy the image's owner, and its group if that may be."""
    mine = os.fstat(copy)
    if mine.st_uid != status.st_uid:
        os.fchown(copy, status.st_uid, -1)
    if mine.st_gid != status.st_gid:
        with contextlib.suppress(PermissionError):  # a group that we are not in
            os.fchown(copy, -1, status.st_gid)


def _copy_attributes(source: int, copy: int) -> None:
    """Copy extended attributes, access lists among them, where there are such things."""
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return
        raise
    for name in names:
        if not name.startswith(("security.", "trusted.")):  # which the system gives
            os.setxattr(copy, name, os.getxattr(source, name))


def _copy(source: int, copy: int, size: int) -> None:
    try:
        fcntl.ioctl(copy, _FICLONE, source)
        return
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    os.ftruncate(copy, size)
    for begin, end in data_spans(source, size):
        at = begin
        while at < end:
            at += _copy_piece(source, copy, at, min(end - at, _PIECE_BYTES))


def _copy_piece(source: int, copy: int, at: int, length: int) -> int:
    """Copy some bytes; return how many."""
    try:
        copied = os.copy_file_range(source, copy, length, at, at)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        copied = os.pwrite(copy, os.pread(source, length, at), at)
    if copied == 0:
        raise OSError(errno.EIO, "the image has become shorter")
    return copied


def _runs(written: DiskSectors) -> Iterator[tuple[int, bytes]]:
    """Yield neighbouring sectors together: where they begin, in bytes, and what is in them."""
    sectors = written.sectors
    begin = 0
    for at in range(1, len(sectors) + 1):
        if at < len(sectors) and sectors[at] == sectors[at - 1] + 1 and at - begin < _RUN_SECTORS:
            continue
        data = written.content[begin * SECTOR_BYTES : at * SECTOR_BYTES]
        yield sectors[begin] * SECTOR_BYTES, data
        begin = at


def _write(copy: int, written: DiskSectors) -> None:
    for at, data in _runs(written):
        if data == _ZEROS[: len(data)] and _is_hole(copy, at, len(data)):
            continue
        view = memoryview(data)
        while view:
            done = os.pwrite(copy, view, at)
            view, at = view[done:], at + done


def _is_hole(descriptor: int, at: int, length: int) -> bool:
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA) >= at + length
    except OSError as error:
        if error.errno == errno.ENXIO:
            return True
        raise


def _take_name(copy: int, real: str, folder: str, before: os.stat_result) -> None:
    """Give the copy the image's name, which must still be the image's."""
    name = os.path.join(folder, f".{os.path.basename(real)}.{secrets.token_hex(4)}")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        here = f"/proc/self/fd/{copy}"
        if os.fstat(copy).st_nlink == 0:  # src_dir_fd, or Python calls link(), not linkat()
            os.link(here, name, src_dir_fd=directory, follow_symlinks=True)
        else:
            os.rename(os.readlink(here), name)
        try:
            if not _is_same(real, before):
                raise UsageError("the file has been replaced since the run began")
            os.rename(name, real)
        except BaseException:
            os.unlink(name)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)


# --- writes that could not be committed ------------------------------------------------


def _save(file: DiskFile, writes: Writes) -> str:
    """Write them down somewhere else; return a line that says where, or that there is nowhere."""
    body = encode_plain(writes)
    data = _HEADER.pack(_MAGIC, hashlib.blake2b(body, digest_size=32).digest()) + body
    beside = os.path.realpath(file.path) + SAVED_SUFFIX
    elsewhere = os.path.join(tempfile.gettempdir(), os.path.basename(beside))
    troubles = []
    for path in (beside, elsewhere):
        try:
            _put(path, data)
        except OSError as error:
            troubles.append(f"{path}: {error.strerror}")
        else:
            return f"it is in {path}, and can be committed by ftvm commit {path}"
    return f"and not be saved either: {'; '.join(troubles)}"


def _put(path: str, data: bytes) -> None:
    """Write a file whole, or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=".ftvm-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_writes(path: str) -> Writes:
    """Read what a run has saved; UsageError if it is nothing of the kind."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) < _HEADER.size or data[: len(_MAGIC)] != _MAGIC:
        raise UsageError(f"{path}: these are no writes that ftvm has saved")
    body = data[_HEADER.size :]
    if hashlib.blake2b(body, digest_size=32).digest() != _HEADER.unpack_from(data)[1]:
        raise StateError(f"{path}: damaged: the checksum is not that of the content")
    return decode_plain(body, Writes, path)


def commit_writes(file: DiskFile, writes: Writes, run: bytes) -> None:
    """Put saved writes into their image, which `file` is; OSError, UsageError if it cannot be."""
    _replace(file, writes.sectors, run, lambda name: None)
