"""The guests that are measured: images built with ftvm, and Debian's kernel where it is."""

import gzip
import importlib.resources
import os
from dataclasses import dataclass
from pathlib import Path

from ftvm.errors import HostError

DEBIAN_VARIABLE = "FTVM_DEBIAN_GUESTS"
"""Environment variable: the folder that Debian's kernel and BusyBox were fetched into."""

# Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
_CPIO_MAGIC = b"070701"
_DIRECTORY, _FILE, _LINK, _CHARACTER_DEVICE = 0o040755, 0o100755, 0o120777, 0o020600
_CONSOLE_DEVICE = (5, 1)
_INIT = b"#!/bin/sh\necho ready\nwhile read line; do echo $line; done\n"


def image_path(name: str) -> Path:
    """Return a guest's image, a bundled one or one for benchmarks; HostError if not there."""
    guests = Path(str(importlib.resources.files("ftvm") / "guests"))
    for path in (guests / f"{name}.elf", guests / "bench" / f"{name}.elf"):
        if path.exists():
            return path
    raise HostError(f"the guest {name} is not installed; install ftvm again")


@dataclass(frozen=True)
class Linux:
    """Debian's kernel and an initial RAM disk that says ``ready``."""

    kernel: Path
    initrd: Path


def find_linux(folder: Path) -> Linux | None:
    """Make the RAM disk in `folder`; None where Debian's guests are not."""
    where = os.environ.get(DEBIAN_VARIABLE)
    if where is None:
        return None
    kernel, busybox = Path(where) / "vmlinuz-686", Path(where) / "busybox"
    if not (kernel.exists() and busybox.exists()):
        return None
    initrd = folder / "initrd.gz"
    initrd.write_bytes(_initramfs(busybox.read_bytes()))
    return Linux(kernel, initrd)


def _initramfs(busybox: bytes) -> bytes:
    entries = [
        _entry(1, "bin", _DIRECTORY),
        _entry(2, "dev", _DIRECTORY),
        _entry(3, "dev/console", _CHARACTER_DEVICE, device=_CONSOLE_DEVICE),
        _entry(4, "bin/busybox", _FILE, busybox),
        _entry(5, "bin/sh", _LINK, b"busybox"),
        _entry(6, "init", _FILE, _INIT),
        _entry(0, "TRAILER!!!", 0),
    ]
    return gzip.compress(b"".join(entries), 1, mtime=0)


def _entry(
    number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    header = _CPIO_MAGIC + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name.encode() + b"\0") + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
