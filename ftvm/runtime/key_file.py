"""The pair's secret: a key of 32 random bytes, made for a run or read from a file.

Anybody who connects gets to see a public key that is derived from it, and may
try guesses against that at leisure. So the key must be random, which a
passphrase is not, and the file has one form only: 64 hexadecimal digits on a
line, as ``openssl rand -hex 32`` prints them.
"""

import os
import re
import secrets
import stat
from pathlib import Path

from ftvm.errors import HostError, UsageError

KEY_BYTES = 32
_CONTENT = re.compile(rb"([0-9A-Fa-f]{64})\n?")


def generate_key() -> bytes:
    """Return a new key."""
    return secrets.token_bytes(KEY_BYTES)


def read_key_file(path: Path) -> bytes:
    """Return the key in a file; UsageError if it is none, or others may read it."""
    digits = _CONTENT.fullmatch(read_private_file(path))
    if digits is None:
        raise UsageError(
            f"{path} holds no key: it must be 64 hexadecimal digits, as `openssl rand -hex 32`"
            " makes them"
        )
    key = bytes.fromhex(digits[1].decode())
    if len(set(key)) < KEY_BYTES // 4:  # chance of it in a random key: under 1 in 10^22
        raise UsageError(f"{path} holds no random key: make one with `openssl rand -hex 32`")
    return key


def read_private_file(path: Path, bytes_max: int = 1 << 16) -> bytes:
    """Return the content of a file that nobody but its owner may read, as ssh wants keys to be.

    UsageError says what is wrong with the file, HostError what the host has against it.
    """
    try:
        # A FIFO would hold us up, a terminal would become ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from None
    try:
        _judge(path, os.fstat(descriptor), bytes_max)
        return os.read(descriptor, bytes_max)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _judge(path: Path, status: os.stat_result, bytes_max: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"{path} belongs to another user: a secret must be yours or root's")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): run"
            f" `chmod 600 {path}`"
        )
    if status.st_size > bytes_max:
        raise UsageError(f"{path} has {status.st_size} bytes, more than any key")
