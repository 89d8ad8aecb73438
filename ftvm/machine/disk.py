"""What is on a disk: an image that never changes, and the sectors that the guest wrote over it.

Each replica has its own overlay of written sectors; the image itself is only
read. Reading it can fail, on one host and not on the other: a failure is part of
what comes in from outside, and is logged.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import msgspec

from ftvm.errors import DivergenceError, StateError
from ftvm.units import Sector

SECTOR_BYTES = 512
SECTORS_MAX = (1 << 48) - 1  # ATA/ATAPI-6 §6.2: 48-bit addresses
DISKS_MAX = 2  # ATA/ATAPI-6 §5.2: device 0 and device 1 on a cable
CONTENT_HASH_BYTES = 32
OVERLAY_HASH_BYTES = 16

Mode = Literal["rw", "ro", "snapshot"]
"""Whether the guest may write, and what becomes of it at the end: kept, or dropped."""


@dataclass(frozen=True)
class DiskConfig:
    """A disk as all replicas of a machine must have it.

    ``path`` is the image's on the host where the guest began, for whoever looks
    for it elsewhere; ``content`` is the hash that `ftvm.runtime.disk_image` makes
    of it.
    """

    path: str
    mode: Mode
    sectors: Annotated[int, msgspec.Meta(ge=1, le=SECTORS_MAX)]
    content: Annotated[
        bytes, msgspec.Meta(min_length=CONTENT_HASH_BYTES, max_length=CONTENT_HASH_BYTES)
    ]


class UnreadableSector(Exception):
    """A sector that its medium does not give."""

    def __init__(self, sector: Sector, why: str) -> None:
        super().__init__(f"sector {sector}: {why}")
        self.sector = sector
        self.why = why


class BaseImage(Protocol):
    """An image on the host."""

    def read(self, first: Sector, count: int) -> bytes:
        """Return `count` sectors; raises UnreadableSector, with the first that cannot be read."""
        ...


OpenImages = Callable[[tuple[DiskConfig, ...]], Sequence[BaseImage]]
"""Finds the images of a machine that comes from elsewhere; StateError if they are not here."""


def no_images(disks: tuple[DiskConfig, ...]) -> Sequence[BaseImage]:
    """Find no image, which does for a machine without disks."""
    if disks:
        raise StateError(f"the machine has a disk, {disks[0].path}, and no image is given for it")
    return ()


class ReadFailures(Protocol):
    """What is known of images that could not be read."""

    def due(self) -> Sector | None:
        """Of a replaying machine: the sector that was unreadable at this instruction, if one."""
        ...

    def failed(self, failure: UnreadableSector) -> None:
        """Note a failure at this instruction; DivergenceError where there must be none."""
        ...


class Disk:
    """An image with what was written over it, in sectors."""

    def __init__(self, config: DiskConfig, image: BaseImage, failures: ReadFailures) -> None:
        self.config = config
        self.sectors = config.sectors
        self._image = image
        self._failures = failures
        self._overlay: dict[Sector, bytes] = {}
        self._hash = 0
        self._unsent: set[Sector] = set()
        self.when_read: list[Callable[[Sector, bytes], None]] = []
        """Called with what is read of the image: the first sector, and whole sectors from it on."""

    # --- the guest's accesses ---

    def read(self, first: Sector, count: int) -> bytes:
        """Return `count` sectors; raises UnreadableSector, with the first that cannot be read."""
        overlay = self._overlay
        wanted = range(first, first + count)
        written = [overlay.get(Sector(number)) for number in wanted]
        if None not in written:
            return b"".join(written)  # type: ignore[arg-type]
        data = self._read_image(first, count)
        if not any(written):
            return data
        return b"".join(
            data[SECTOR_BYTES * at : SECTOR_BYTES * (at + 1)] if sector is None else sector
            for at, sector in enumerate(written)
        )

    def _read_image(self, first: Sector, count: int) -> bytes:
        """Read the image where the overlay does not have all; the rest need not be readable."""
        if (unreadable := self._failures.due()) is not None:
            if not first <= unreadable < first + count or unreadable in self._overlay:
                raise DivergenceError(
                    f"the log has an error of sector {unreadable}, where sectors from {first} on"
                    " are read"
                )
            raise UnreadableSector(unreadable, "as it was where this was recorded")
        try:
            data = self._image.read(first, count)
        except UnreadableSector:
            return b"".join(self._read_sector(Sector(first + at)) for at in range(count))
        self._tell(first, data)
        return data

    def _tell(self, first: Sector, data: bytes) -> None:
        for tell in self.when_read:
            tell(first, data)

    def _read_sector(self, sector: Sector) -> bytes:
        if (written := self._overlay.get(sector)) is not None:
            return written
        try:
            data = self._image.read(sector, 1)
        except UnreadableSector as failure:
            self._failures.failed(failure)
            raise
        self._tell(sector, data)
        return data

    def write(self, first: Sector, data: bytes | memoryview) -> None:
        """Write whole sectors."""
        for at in range(0, len(data), SECTOR_BYTES):
            self._put(Sector(first + at // SECTOR_BYTES), bytes(data[at : at + SECTOR_BYTES]))

    def _put(self, sector: Sector, data: bytes) -> None:
        before = self._overlay.get(sector)
        if before is not None:
            self._hash -= _hash_sector(sector, before)
        self._hash += _hash_sector(sector, data)
        self._overlay[sector] = data
        self._unsent.add(sector)

    # --- the overlay as a whole ---

    @property
    def overlay_hash(self) -> bytes:
        """A hash of the overlay: equal for equal ones, however they came about."""
        return (self._hash % (1 << 8 * OVERLAY_HASH_BYTES)).to_bytes(OVERLAY_HASH_BYTES, "little")

    @property
    def written_sectors(self) -> int:
        """How many sectors were ever written."""
        return len(self._overlay)

    @property
    def written(self) -> list[Sector]:
        """The sectors that were ever written, rising."""
        return sorted(self._overlay)

    def content(self, sectors: Sequence[Sector]) -> bytes:
        """Return what is in sectors that were written."""
        return b"".join([self._overlay[sector] for sector in sectors])

    def sectors_at(self, sectors: Sequence[Sector]) -> dict[Sector, bytes]:
        """Return the same, each by its number."""
        return {sector: self._overlay[sector] for sector in sectors}

    def put(self, sectors: Sequence[Sector], data: bytes | memoryview) -> None:
        """Write sectors, not of one run. `data` has all of them."""
        for at, sector in enumerate(sectors):
            self._put(sector, bytes(data[SECTOR_BYTES * at : SECTOR_BYTES * (at + 1)]))

    # --- for a state transfer ---

    @property
    def unsent_sectors(self) -> int:
        """How many sectors were written since `take_unsent`."""
        return len(self._unsent)

    def take_unsent(self) -> list[Sector]:
        """Return the sectors written since the last call, rising."""
        unsent, self._unsent = sorted(self._unsent), set()
        return unsent

    def unwritten(self, sectors: Sequence[Sector]) -> list[Sector]:
        """Return those of `sectors` that were not written since."""
        return [sector for sector in sectors if sector not in self._unsent]


def _hash_sector(sector: Sector, data: bytes) -> int:
    """The overlay's hash is the sum of these, so that a write costs one or two."""
    digest = hashlib.blake2b(
        data, digest_size=OVERLAY_HASH_BYTES, salt=sector.to_bytes(8, "little")
    )
    return int.from_bytes(digest.digest(), "little")
