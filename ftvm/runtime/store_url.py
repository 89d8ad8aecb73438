"""Which store a text such as `etcd://10.0.0.7:2379` names."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ftvm.errors import UsageError
from ftvm.runtime.addresses import is_host
from ftvm.runtime.stores import FileStore

if TYPE_CHECKING:
    from ftvm.runtime.etcd_store import EtcdStore

_FORMS = "give a directory, file:///DIRECTORY or etcd://HOST:PORT[/PREFIX]"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", re.ASCII)


@dataclass(frozen=True)
class StoreUrl:
    """A store that can be opened for any run."""

    text: str
    open: "Callable[[bytes], FileStore | EtcdStore]"
    """Return the store for the run with this id (16 bytes); touches neither disk nor network."""
    directory: Path | None = None
    """Where it is, of a store that is a directory."""

    def check(self) -> None:
        """Raise UsageError if there is something that can never be a store."""
        if self.directory is not None and self.directory.exists() and not self.directory.is_dir():
            raise UsageError(f"store {self.text}: is not a directory")


def parse_store_url(text: str) -> StoreUrl:
    """Read a store's URL; UsageError if it is none."""
    if not text.isprintable() or not text:
        raise UsageError(f"store {text!r}: {_FORMS}")
    if not _SCHEME.match(text):
        path = Path(text)
        return StoreUrl(text, lambda run: FileStore(path, run), path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"store {text}: {_FORMS}") from None
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"store {text}: {_FORMS}")
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not path.name or "\0" in str(path):
            raise UsageError(f"store {text}: {_FORMS}")
        return StoreUrl(text, lambda run: FileStore(path, run), path)
    from ftvm.runtime.etcd_store import PREFIX, EtcdStore  # slow to load: it speaks HTTP

    prefix = parts.path.strip("/") or PREFIX
    if parts.scheme != "etcd" or not is_host(host) or not port or not _PREFIX.fullmatch(prefix):
        raise UsageError(f"store {text}: {_FORMS}")
    return StoreUrl(text, lambda run: EtcdStore(host, port, run, prefix))
