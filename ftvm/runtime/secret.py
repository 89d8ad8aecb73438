"""Which secret a command proves itself with: given ones, or on one host the user's own."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ftvm.errors import HostError, UsageError
from ftvm.runtime import security
from ftvm.runtime.addresses import Address
from ftvm.runtime.key_file import generate_key, read_key_file
from ftvm.runtime.security import CertificateFiles, Security


def security_for(
    addresses: Iterable[Address], key_file: Path | None, certificates: CertificateFiles | None
) -> Security:
    """Return what is given; for loopback addresses alone, a key of the user's own if nothing is.

    UsageError says what is wrong with a file, or that one is missing.
    """
    if certificates is not None:
        return security.from_files(certificates)
    if key_file is not None:
        return security.from_key(read_key_file(key_file))
    for address in addresses:
        if not address.is_loopback:
            raise UsageError(
                f"{address} is not on loopback: give the pair's secret with --key-file FILE"
                " (`openssl rand -hex 32` makes one), or with --cert, --cert-key and --ca"
            )
    return security.from_key(own_key())


def own_key() -> bytes:
    """Return the user's key for hosts on loopback, made at its first use."""
    path = _own_key_path()
    if not path.exists():
        _make(path)
    return read_key_file(path)


def _own_key_path() -> Path:
    # XDG Base Directory Specification: a relative path is to be ignored.
    given = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        base = given if given.is_absolute() else Path.home() / ".config"
    except RuntimeError:
        raise HostError("you have no home directory: give --key-file FILE") from None
    return base / "ftvm" / "key"


def _make(path: Path) -> None:
    """Make the key, whole or not at all; somebody else's is as good, if it comes first."""
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Which nobody but its owner can read.
        descriptor, temporary = tempfile.mkstemp(prefix=".key.", dir=path.parent)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{generate_key().hex()}\n")
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        raise HostError(
            f"cannot make your key {path}: {error.strerror}; give --key-file FILE"
        ) from None
    finally:
        if temporary is not None:
            os.unlink(temporary)
