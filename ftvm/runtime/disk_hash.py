"""What is in a disk image, as one hash: the same for a sparse copy and for a full one.

SHA-256 (which processors help with) of the size in bytes (8, little-endian) and
then, for each chunk of a MiB that is not all zeros, its number (8, little-endian)
and its SHA-256. So holes cost nothing.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 20
_ZEROS = bytes(CHUNK_BYTES)


def hash_content(
    descriptor: int, size: int, progress: Callable[[int], None] = lambda done: None
) -> bytes:
    """Return the hash of a file; raises OSError. `progress` is told bytes done now and then."""
    content = hashlib.sha256(size.to_bytes(8, "little"))
    for number in _chunks(descriptor, size):
        at = number * CHUNK_BYTES
        chunk = os.pread(descriptor, CHUNK_BYTES, at)
        if len(chunk) != min(CHUNK_BYTES, size - at):
            raise OSError(errno.EIO, "its end is missing")
        if chunk != _ZEROS[: len(chunk)]:
            content.update(number.to_bytes(8, "little"))
            content.update(hashlib.sha256(chunk).digest())
        progress(at)
    return content.digest()


def _chunks(descriptor: int, size: int) -> Iterator[int]:
    """Yield the numbers of the chunks that may have something in them, rising."""
    done = 0
    for begin, end in data_spans(descriptor, size):
        first, behind = begin // CHUNK_BYTES, -(-end // CHUNK_BYTES)
        yield from range(max(first, done), behind)
        done = behind


def data_spans(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data, from and to; what is between are holes."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        if begin < end:
            yield begin, end
        at = end if end > at else size
