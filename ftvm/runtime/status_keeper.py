"""What a node remembers so that it can say how it is."""

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import PeerLost
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Settings
from ftvm.runtime.clock import now_ns
from ftvm.runtime.control import Totals, Transferring
from ftvm.runtime.guest import Guest
from ftvm.runtime.meters import Meters
from ftvm.runtime.report import flow_of, stalls_of
from ftvm.runtime.status import (
    PROTECTION_OF_BACKUP,
    PROTECTION_OF_PRIMARY,
    REASON_OF,
    Check,
    DiskStatus,
    HostStatus,
    Reason,
    Transfer,
)
from ftvm.units import Nanoseconds

TELL_TRANSFER_NS = Nanoseconds(200_000_000)
"""Whoever follows a transfer hears of it so often."""


class StatusKeeper:
    """Follows one node through its life."""

    def __init__(self, node: str, image: str, solo: bool) -> None:
        self._node = node
        self._image = image
        self._solo = solo
        self._began_ns = now_ns()
        self._meters = Meters()
        self._buffer_bytes_max = Settings().log_unacknowledged_bytes_max
        self._reason: Reason = "initializing"
        self._detail = ""
        self._told_transfer_ns = Nanoseconds(0)
        self.peer = ""
        """The other half of the pair."""
        self.console = ""
        """The console that attached last."""

    def joined(self, node: str) -> None:
        """Note that the pair is whole."""
        self.peer, self._detail = node, ""

    def lost(self, loss: PeerLost) -> None:
        """Note why the pair is not whole."""
        self._reason = REASON_OF[loss.cause]
        self._detail = f"{loss.cause.value}: {loss.detail}" if loss.detail else loss.cause.value
        self.peer = ""

    def note(self, protocol: PrimaryProtocol | BackupProtocol, now: Nanoseconds) -> None:
        """Note where the log's writer stands."""
        if isinstance(protocol, PrimaryProtocol):
            self._meters.note(protocol.count, protocol.position, now)
        else:
            self._meters.note(protocol.mark.count, protocol.mark.position, now)

    def status(
        self,
        protocol: PrimaryProtocol | BackupProtocol,
        guest: Guest | None,
        transfer: Transfer | None,
    ) -> HostStatus:
        """Say how the node is."""
        now = now_ns()
        if isinstance(protocol, PrimaryProtocol):
            role, protection = "primary", PROTECTION_OF_PRIMARY[protocol.state]
            if self._solo:
                protection = "notConfigured"
            writer_position, executed = protocol.position, protocol.lockstep.executed
            writer_count, paired = protocol.count, protection == "running"
            shares = protocol.shares_log
            acknowledged = protocol.lockstep.acknowledged.position if shares else writer_position
            buffer_bytes = writer_position - acknowledged
            held_bytes = protocol.held_bytes
            wait = protocol.wait.value if protocol.wait else ""
        else:
            role, protection = "backup", PROTECTION_OF_BACKUP[protocol.state]
            writer_position, executed = protocol.mark.position, protocol.count
            writer_count, paired, held_bytes, wait = protocol.mark.count, guest is not None, 0, ""
            buffer_bytes = writer_position - protocol.position
        machine = None if guest is None else guest.machine
        needs = protection == "needSecondary"
        outputs = protocol.console.outputs.values()
        return HostStatus(
            node=self._node,
            role="primary" if role == "primary" else "backup",
            state=protocol.state.value,
            protection=protection,
            reason=self._reason if needs else "",
            detail=self._detail if needs else "",
            run=protocol.console.run.hex() if any(protocol.console.run) else "",
            generation=protocol.generation,
            image=self._image,
            memory_bytes=machine.config.memory_bytes if machine else 0,
            disks=tuple(
                DiskStatus(
                    disk.config.path,
                    disk.config.mode,
                    disk.config.sectors,
                    disk.config.content.hex(),
                    disk.written_sectors,
                )
                for disk in (machine.disks if machine else ())
            ),
            instructions=machine.count if machine else 0,
            peer=self.peer,
            transfer=transfer,
            lag_instructions=writer_count - executed if paired else None,
            lag_ns=self._meters.lag_ns(executed, now) if paired else None,
            log_bytes=writer_position,
            log_entries=machine.cpu.log_entries if machine else 0,
            log_bytes_per_s=self._meters.log_bytes_per_s(writer_position, now),
            buffer_bytes=buffer_bytes,
            buffer_bytes_max=self._buffer_bytes_max,
            held_bytes=held_bytes,
            unconfirmed_bytes=sum(stream.unconfirmed_bytes for stream in outputs),
            digests=machine.links if machine else 0,
            digest=machine.digest.hex() if machine and machine.links else "",
            digest_instruction=machine.digest_count if machine and machine.links else None,
            checks=tuple(
                Check(link.number, link.count, link.digest.hex(), now - at)
                for link, at in (guest.checks if guest else ())
            ),
            console=self.console if protocol.console.attached else "",
            wait=wait,
            slowed=round(protocol.flow.totals.slowed, 4),
            stalls=stalls_of(protocol.flow.totals),
            uptime_ns=now - self._began_ns,
        )

    def transferring(self, transfer: Transfer | None) -> Transferring | None:
        """Return what to say of a transfer, now and then while there is one."""
        now = now_ns()
        if transfer is None or now < self._told_transfer_ns + TELL_TRANSFER_NS:
            return None
        self._told_transfer_ns = now
        return Transferring(self.peer, transfer)

    def totals(
        self, protocol: PrimaryProtocol | BackupProtocol, guest: Guest, held_bytes_max: int
    ) -> Totals:
        """Say what the node's life came to."""
        machine = guest.machine
        return Totals(
            count=machine.count,
            log_bytes=protocol.position,
            log_entries=machine.cpu.log_entries,
            held_bytes_max=held_bytes_max,
            flow=flow_of(protocol.flow.totals),
            digests=machine.links,
            digest=machine.state_digest().hex(),
        )
