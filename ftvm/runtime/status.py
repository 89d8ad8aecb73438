"""How a host is, as data: `ftvm status` shows it, a host that waits to join looks at it.

`protection` and `reason` are the words of vSphere's API for the same things
(VirtualMachineFaultToleranceState, VirtualMachineNeedSecondaryReason).
"""

from typing import Literal

import msgspec

from ftvm.errors import ProtocolError
from ftvm.machine.disk import Mode
from ftvm.replication.events import LossCause
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.runtime.report import Stall
from ftvm.units import PAGE_BYTES

_MIB = 1 << 20

Role = Literal["primary", "backup", "standby"]
Protection = Literal["notConfigured", "disabled", "needSecondary", "starting", "running"]
Reason = Literal["", "initializing", "divergence", "lostConnection", "userAction", "other"]

PROTECTION_OF_PRIMARY: dict[PrimaryState, Protection] = {
    PrimaryState.CLAIMING: "starting",
    PrimaryState.AWAITING: "starting",
    PrimaryState.PAIRED: "running",
    PrimaryState.ARBITRATING: "needSecondary",
    PrimaryState.SOLO: "needSecondary",
    PrimaryState.PROTECTING: "starting",
    PrimaryState.ENDED: "disabled",
    PrimaryState.HALTED: "disabled",
}
PROTECTION_OF_BACKUP: dict[BackupState, Protection] = {
    BackupState.JOINING: "starting",
    BackupState.RECEIVING: "starting",
    BackupState.READY: "starting",
    BackupState.FOLLOWING: "running",
    BackupState.CATCHING_UP: "needSecondary",
    BackupState.ARBITRATING: "needSecondary",
    BackupState.LIVE: "needSecondary",
    BackupState.ENDING: "disabled",
    BackupState.ENDED: "disabled",
    BackupState.HALTED: "disabled",
}
REASON_OF: dict[LossCause, Reason] = {
    LossCause.CLOSED: "lostConnection",
    LossCause.SILENT: "lostConnection",
    LossCause.STALLED: "other",
    LossCause.BROKE_PROTOCOL: "other",
    LossCause.DIVERGED: "divergence",
    LossCause.LEFT: "userAction",
}


class Check(msgspec.Struct, frozen=True):
    """A digest that a host has made, or compared with the one in its log."""

    number: int
    """In the chain of digests, from 1; the same on both hosts."""
    instruction: int
    digest: str
    age_ns: int
    """How long ago."""


class DiskStatus(msgspec.Struct, frozen=True):
    """A disk of the guest: its image where the guest began, and what was written so far."""

    path: str
    mode: Mode
    sectors: int
    content: str
    """The image's hash in hexadecimal."""
    written_sectors: int


class Transfer(msgspec.Struct, frozen=True):
    """A machine on its way to a new backup, so far: of its primary, or of the backup itself."""

    pages: int
    """Pages sent, one that was sent twice counted twice."""
    left_pages: int
    """Pages that are left to be sent, as far as is known: the guest goes on writing."""
    bytes: int
    elapsed_ns: int

    def describe(self) -> str:
        """Return it in some words: "42 % of 1,024 MiB, 310 MiB/s"."""
        total = (self.pages + self.left_pages) * PAGE_BYTES / _MIB
        return f"{self.percent} % of {total:,.0f} MiB, {self._bytes_per_s / _MIB:,.0f} MiB/s"

    @property
    def percent(self) -> int:
        """How much of what there is to send has been sent."""
        return 100 * self.pages // max(self.pages + self.left_pages, 1)

    @property
    def _bytes_per_s(self) -> float:
        return self.bytes * 1e9 / max(self.elapsed_ns, 1)


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One host. Instructions are engine steps since reset, times are ns of host time.

    ``protection`` is running when the guest can lose a replica, starting while
    a new backup is on its way, needSecondary with a ``reason`` when the guest
    runs on one host alone, disabled of a host that stands by or that has ended, notConfigured when
    no backup is wanted. ``state`` is the protocol's own (docs/protocol.md).
    """

    node: str
    role: Role
    state: str
    protection: Protection
    reason: Reason
    detail: str
    """Of the reason, for people."""
    run: str
    """The run's id in hexadecimal; empty if none is known."""
    generation: int
    image: str = ""
    """The image's name; empty on hosts that were sent their machine."""
    memory_bytes: int = 0
    disks: tuple[DiskStatus, ...] = ()
    instructions: int = 0
    peer: str = ""
    """Name of the other half of the pair, or of what is to become it."""
    transfer: Transfer | None = None
    """Of a machine that is on its way to a new backup."""
    lag_instructions: int | None = None
    """How far the backup is behind the primary; of a backup: behind what it has heard."""
    lag_ns: int | None = None
    log_bytes: int = 0
    log_entries: int = 0
    log_bytes_per_s: int = 0
    buffer_bytes: int = 0
    """Of the log: what the backup has not acknowledged; of a backup: what it has not executed."""
    buffer_bytes_max: int = 0
    """How much a primary has before its guest must wait."""
    held_bytes: int = 0
    """Output that waits for the backup."""
    unconfirmed_bytes: int = 0
    """Output that no console is known to have."""
    digests: int = 0
    digest: str = ""
    """The newest digest, which the replicas have in common, or would have."""
    digest_instruction: int | None = None
    checks: tuple[Check, ...] = ()
    """The newest digests, the oldest of them first."""
    console: str = ""
    """Name of the console that is attached."""
    wait: str = ""
    """Why the guest must not run now."""
    slowed: float = 0.0
    """Part of its time, 0 to 1, that a primary's guest rested so that its backup could follow."""
    stalls: dict[str, Stall] = msgspec.field(default_factory=dict)
    """How often the guest had to wait, and for how long, by the cause: as `wait` has it."""
    uptime_ns: int = 0


def encode_status(status: HostStatus) -> bytes:
    """Return a status for the wire."""
    return msgspec.json.encode(status)


def decode_status(data: bytes) -> HostStatus:
    """Read a status; ProtocolError if it is none."""
    try:
        return msgspec.json.decode(data, type=HostStatus)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"no status: {error}") from None
