"""A disk image has one run at a time; the replicas of one run may have it together.

The lock is an advisory one of byte ranges, held by an open file (F_OFD_SETLK):
each run locks, shared, a byte of its own far behind any image, and then looks
whether anybody else has a lock anywhere in the file. Of two runs that come at
once at least one gives way. Other programs' range locks (QEMU's) count as well.
"""

import fcntl
import hashlib
import struct

from ftvm.errors import HostError, UsageError

# struct flock of Linux on 64 bits: type, whence, start, length (0: to the end), pid.
_FLOCK = struct.Struct("hhqqi4x")
_FIRST = 1 << 61
_SEEK_SET = 0


def lock_image(descriptor: int, run: bytes, path: str) -> None:
    """Lock an open image for `run` until it is closed by all who have it; UsageError if in use."""
    mine = _FIRST + int.from_bytes(hashlib.blake2b(run, digest_size=7).digest(), "little")
    try:
        _set(descriptor, fcntl.F_RDLCK, mine)
        if _others(descriptor, 0, mine) or _others(descriptor, mine + 1, 0):
            _set(descriptor, fcntl.F_UNLCK, mine)
            raise UsageError(
                f"{path} is in use by another run: end that first, or add ,snapshot or ,ro"
            )
    except OSError as error:
        raise HostError(f"{path} cannot be locked: {error.strerror}") from None


def _set(descriptor: int, kind: int, at: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, _SEEK_SET, at, 1, 0))


def _others(descriptor: int, start: int, length: int) -> bool:
    """Whether somebody else has a lock in a range."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, _SEEK_SET, start, length, 0)
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
