"""What a supervisor is to run, as data."""

from dataclasses import dataclass
from pathlib import Path

from ftvm.replication.settings import FAILURE_TIMEOUT_NS, LAG_BOUND_NS
from ftvm.runtime.addresses import Address
from ftvm.runtime.crash import CrashPoint
from ftvm.runtime.disk_image import DiskFile
from ftvm.runtime.flip import PlantedFlip
from ftvm.units import Nanoseconds


@dataclass(frozen=True)
class RunSpec:
    """What is to be run. ``epoch_s`` is the date that the guest's clock starts at."""

    image_path: Path
    image_name: str
    memory_bytes: int
    append: str
    solo: bool
    crashes: tuple[CrashPoint, ...]
    epoch_s: int
    initrd_path: Path | None = None
    modules: tuple[str, ...] = ()
    """For a Multiboot kernel: each a path, perhaps with a space and arguments behind it."""
    failure_timeout_ns: Nanoseconds = FAILURE_TIMEOUT_NS
    """Silence after which a replica counts as lost."""
    lag_bound_ns: Nanoseconds = LAG_BOUND_NS
    """How long the backup may be behind."""
    store_url: str | None = None
    """Where the replicas arbitrate; None for a directory of the run's own."""
    journals: Path | None = None
    """Directory that every replica, and the console, writes a journal to."""
    metrics: Address | None = None
    """Where the run's metrics can be had, over HTTP."""
    screen: bool = False
    """Whether the text screen is watched from the beginning."""
    is_state: bool = False
    """Whether the image is a snapshot, from which the guest goes on."""
    record: Path | None = None
    """Where the run is recorded; see `recording_of`."""
    disks: tuple[DiskFile, ...] = ()
    """Open images, which stay open and locked as long as the run lasts."""
    flips: tuple[PlantedFlip, ...] = ()
    protects: bool = True
    """Whether a primary that is alone gets a new backup unasked."""
    evidence: Path | None = None
    """Where a backup that differs leaves what tells why, in a directory of its own."""

    def recording_of(self, name: str) -> Path | None:
        """The file that a replica records into: `record`, or beside it if it is not alone."""
        if self.record is None or self.solo:
            return self.record
        return self.record.with_name(f"{self.record.name}.{name}")
