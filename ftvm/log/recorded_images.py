"""The disk images of a recorded run: what the machine read of them, which the recording has."""

from collections.abc import Callable, Iterator, Sequence

from ftvm.log.frames import Frame, Kind
from ftvm.log.run_format import decode_disk
from ftvm.machine.disk import SECTOR_BYTES, DiskConfig, UnreadableSector
from ftvm.units import Sector


class RecordedImages:
    """All drives' of one recording; `frames` yields its frames from the beginning."""

    def __init__(self, frames: Callable[[], Iterator[Frame]], name: str) -> None:
        self._frames = frames
        self._name = name
        self._sectors: dict[tuple[int, Sector], bytes] | None = None

    def open(self, disks: tuple[DiskConfig, ...]) -> Sequence["RecordedImage"]:
        """Return them; nothing is read before a machine reads."""
        return [RecordedImage(self, drive) for drive in range(len(disks))]

    def sector(self, drive: int, sector: Sector) -> bytes | None:
        """Return a sector; None if the recorded machine did not read it."""
        if self._sectors is None:
            self._sectors = dict(self._read())
        return self._sectors.get((drive, sector))

    def _read(self) -> Iterator[tuple[tuple[int, Sector], bytes]]:
        for frame in self._frames():
            if frame.kind is Kind.DISK:
                disk = decode_disk(frame, self._name)
                for at, sector in enumerate(disk.sectors):
                    content = disk.content[SECTOR_BYTES * at : SECTOR_BYTES * (at + 1)]
                    yield (disk.drive, sector), content


class RecordedImage:
    """A `BaseImage` of one drive."""

    def __init__(self, images: RecordedImages, drive: int) -> None:
        self._images = images
        self._drive = drive

    def read(self, first: Sector, count: int) -> bytes:
        """See `BaseImage`."""
        sectors = []
        for at in range(count):
            content = self._images.sector(self._drive, Sector(first + at))
            if content is None:
                raise UnreadableSector(Sector(first + at), "is not in the recording")
            sectors.append(content)
        return b"".join(sectors)
