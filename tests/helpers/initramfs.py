"""A Linux initramfs of a few files, without tools or root's rights.

The archive is cpio's "newc" (Linux Documentation/driver-api/early-userspace/
buffer-format.rst); a device node in it is just a header.
"""

import gzip
from collections.abc import Mapping

MAGIC = b"070701"
DIRECTORY, FILE, LINK, CHARACTER_DEVICE = 0o040000, 0o100000, 0o120000, 0o020000

INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
/bin/busybox --install -s /bin
exec setsid cttyhack sh
"""


def _entry(number: int, name: str, mode: int, data: bytes = b"", device: int = 0) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, device >> 8, device & 0xFF)
    header = MAGIC + b"".join(b"%08x" % field for field in (*fields, len(name) + 1, 0))
    named = header + name.encode() + b"\0"
    return _padded(named) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def initramfs(
    busybox: bytes, init: bytes = INIT, modules: Mapping[str, bytes] | None = None
) -> bytes:
    """Return a gzipped archive with BusyBox as /bin/busybox, `init` as /init, and /modules."""
    loaded = modules or {}
    entries = [
        *(_entry(n, name, DIRECTORY | 0o755) for n, name in enumerate(("bin", "dev", "proc"), 1)),
        _entry(4, "dev/console", CHARACTER_DEVICE | 0o600, device=5 << 8 | 1),
        _entry(5, "bin/busybox", FILE | 0o755, busybox),
        _entry(6, "bin/sh", LINK | 0o777, b"busybox"),
        _entry(7, "init", FILE | 0o755, init),
        *(_entry(n, name, DIRECTORY | 0o755) for n, name in enumerate(("mnt", "modules"), 8)),
        *(
            _entry(n, f"modules/{name}", FILE | 0o644, loaded[name])
            for n, name in enumerate(sorted(loaded), 10)
        ),
        _entry(0, "TRAILER!!!", 0),
    ]
    return gzip.compress(b"".join(entries), 1, mtime=0)
