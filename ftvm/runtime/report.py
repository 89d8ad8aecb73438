"""What a run came to, as data: `--report` writes it, the demo judges by it.

All times are ns of host time, all instructions are engine steps since reset.
"""

import msgspec

from ftvm.replication.flow import FlowTotals


class FailoverTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of a failover; `total_ns` is their sum, from death to console.

    ``detect_ns``: from the kill, or else from the death as its parent saw it, to
    the survivor's knowing. ``drain_ns``: running to the end of the log. ``arbitrate_ns``: the
    test-and-set. ``go_live_ns``: from log to world. ``attach_ns``: until the
    console was with the new primary.
    """

    detect_ns: int
    drain_ns: int
    arbitrate_ns: int
    go_live_ns: int
    attach_ns: int
    total_ns: int


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """A backup went live.

    ``instruction``, ``log_entries`` and ``log_bytes`` are the end of the log.
    ``digests``: how many digests in it the backup found equal to its own.
    ``held_bytes``: output that the guest had made and that nobody was known to
    have seen, sent again by the new primary.
    """

    generation: int
    cause: str
    died: str
    survivor: str
    instruction: int
    log_entries: int
    log_bytes: int
    digests: int
    held_bytes: int
    time: FailoverTimes


class BackupLoss(msgspec.Struct, frozen=True, kw_only=True):
    """A primary lost its backup and won the right to go on alone."""

    generation: int
    backup: str
    cause: str
    detail: str
    instruction: int
    arbitrate_ns: int


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """A primary that was alone sent its state to a new backup, and was protected again.

    ``instruction``: where the pair came about. ``bytes`` and ``pages`` were sent
    in ``rounds`` while the guest ran, and what was left while it stood still for
    ``pause_ns``. ``total_ns``: from the new backup's greeting to the pair.
    """

    generation: int
    backup: str
    instruction: int
    rounds: int
    pages: int
    bytes: int
    pause_ns: int
    transfer_ns: int
    total_ns: int


class ProtectionFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A new backup was lost before it was one; the primary did not notice."""

    backup: str
    cause: str
    detail: str


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's process ended by a signal or with an error."""

    node: str
    role: str
    pid: int
    status: str
    after_ns: int
    crash: str
    """The crash point that it died of; empty if of something else."""


class LogTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The log as its last writer knew it."""

    entries: int
    bytes: int
    digests: int


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """How often a guest had to wait for something, and for how long in all."""

    times: int
    ns: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What the pace of its backup has cost a guest, by the primary that lived to the end.

    The farthest that the backup was behind; the part of its time, 0 to 1, that
    the guest rested so that the backup could follow; and what it waited for,
    by the name of the cause ("log full", "lag", "output full").
    """

    lag_instructions_max: int
    lag_ns_max: int
    slowed: float
    slowed_ns: int
    stalls: dict[str, Stall]


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run from start to end.

    ``end`` is exit, halt, reset, triple fault, lost or stopped; ``exit_status`` is
    what the command exits with. ``replicas_equal`` is None when only one
    replica lived to the end.
    """

    image: str
    memory_bytes: int
    append: str
    protected: bool
    end: str
    exit_status: int
    instructions: int
    digest: str
    replicas_equal: bool | None
    output_bytes: int
    input_bytes: int
    held_bytes_max: int
    log: LogTotals
    flow: Flow | None
    failovers: list[Failover]
    backup_losses: list[BackupLoss]
    protections: list[Protection]
    protection_failures: list[ProtectionFailure]
    deaths: list[Death]
    divergences: list[str]
    contradictions: list[str]
    wall_ns: int


def flow_of(totals: FlowTotals) -> Flow:
    """Return what a replica has counted, for a report."""
    return Flow(
        lag_instructions_max=totals.lag_count_max,
        lag_ns_max=totals.lag_ns_max,
        slowed=round(totals.slowed, 4),
        slowed_ns=totals.slowed_ns,
        stalls=stalls_of(totals),
    )


def stalls_of(totals: FlowTotals) -> dict[str, Stall]:
    """Return what a replica's guest has waited for, by the name of the cause."""
    return {why.value: Stall(times=one.times, ns=one.ns) for why, one in totals.stalls.items()}
