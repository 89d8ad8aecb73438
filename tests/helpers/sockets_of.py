"""TCP sockets of a process, as the kernel tells of them (proc(5): /proc/net/tcp)."""

import contextlib
import os
from pathlib import Path

LISTEN, ESTABLISHED = "0A", "01"


def _sockets(pid: int) -> list[tuple[str, str, str]]:
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return [(row[1], row[3], row[9]) for row in rows if row[9] in inodes]


def listening_ports(pid: int) -> list[int]:
    """TCP ports that a process listens on."""
    return [int(where.split(":")[1], 16) for where, state, _ in _sockets(pid) if state == LISTEN]


def connections(pid: int) -> set[str]:
    """Inodes of a process's connections that neither side has closed."""
    return {inode for _, state, inode in _sockets(pid) if state == ESTABLISHED}
