"""Disk images in memory, some of whose sectors may be unreadable."""

import hashlib

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.disk import DiskConfig, Mode, UnreadableSector
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import Sector

SECTOR = 512
MEMORY_BYTES = 8 << 20
EPOCH_S = 1_700_000_000


class MemoryImage:
    def __init__(self, data: bytes, bad: set[int] | None = None) -> None:
        self.data = data
        self.bad = bad or set()

    def read(self, first: Sector, count: int) -> bytes:
        for sector in range(first, first + count):
            if sector in self.bad:
                raise UnreadableSector(Sector(sector), "Input/output error")
        return self.data[first * SECTOR : (first + count) * SECTOR]


def config_of(image: MemoryImage, mode: Mode = "rw") -> DiskConfig:
    content = hashlib.blake2b(image.data, digest_size=32).digest()
    return DiskConfig("disk.img", mode, len(image.data) // SECTOR, content)


def patterned(sectors: int, salt: int = 0) -> bytes:
    return b"".join(((sector * 7 + salt) % 251).to_bytes(1) * SECTOR for sector in range(sectors))


def boot_with_disks(guest: bytes, append: str, *images: MemoryImage) -> Machine:
    """Return a machine about to boot a bundled guest, with disks."""
    disks = tuple(config_of(image) for image in images)
    machine = Machine(MachineConfig(MEMORY_BYTES, EPOCH_S, disks), images)
    machine.boot(load(guest, MEMORY_BYTES, append, "disk"))
    return machine
