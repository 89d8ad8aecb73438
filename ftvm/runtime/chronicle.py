"""What has happened in a run, as its supervisor heard and saw it, and the report of that."""

import time

from ftvm.errors import LostGuestError
from ftvm.replication.events import GuestExited
from ftvm.runtime import control
from ftvm.runtime.clock import now_ns
from ftvm.runtime.ends import unpack_end
from ftvm.runtime.replica import Replica
from ftvm.runtime.report import (
    BackupLoss,
    Death,
    Failover,
    FailoverTimes,
    LogTotals,
    Protection,
    ProtectionFailure,
    RunReport,
)
from ftvm.runtime.run_spec import RunSpec


class Chronicle:
    """Of one run; `replicas` are all that it ever had, and grow while it lasts."""

    def __init__(self, spec: RunSpec, replicas: list[Replica]) -> None:
        self._spec = spec
        self._replicas = replicas
        self._start_ns = now_ns()
        self.changes = 0
        """Grows whenever `report` has a death, failover, loss or other trouble more."""
        self.output_bytes = self.input_bytes = 0
        self.exit: GuestExited | None = None
        self.stopped = False
        """Whether somebody ended the run from outside."""
        self._gone: dict[str, control.PeerGone] = {}
        self._live: list[tuple[control.WentLive, str, str]] = []
        """With the name of who did, and why it lost its primary."""
        self._attached_ns: dict[int, int] = {}
        self._backup_losses: list[BackupLoss] = []
        self._protections: list[Protection] = []
        self._protection_failures: list[ProtectionFailure] = []
        self._backup_of: dict[str, str] = {}
        """The newest backup of each primary, by their names."""
        self._deaths: list[Death] = []
        self._divergences: list[str] = []
        self._contradictions: list[str] = []

    @property
    def times_live(self) -> int:
        """How often a backup has gone live."""
        return len(self._live)

    @property
    def ended(self) -> bool:
        """Whether the guest has ended, or was stopped."""
        return self.exit is not None or self.stopped

    # --- what happens ---

    def began_with(self, primary: str, backup: str) -> None:
        """A pair is begun with."""
        self._backup_of[primary] = backup

    def attached(self, generation: int) -> None:
        """The console is with the primary of a generation."""
        self._attached_ns.setdefault(generation, now_ns())
        self.changes += 1

    def contradicted(self, line: str) -> None:
        """The console was told what cannot be."""
        self._contradictions.append(line)
        self.changes += 1

    def told(self, replica: Replica, told: control.Told) -> None:
        """Note what a replica tells of itself, if that belongs into the report."""
        match told:
            case control.PeerGone():
                self._gone[replica.name] = told
                return
            case control.WentLive():
                self._live.append((told, replica.name, self._gone[replica.name].cause))
                return
            case control.WentAlone(generation, count, lost_ns, won_ns):
                gone = self._gone[replica.name]
                self._backup_losses.append(
                    BackupLoss(
                        generation=generation,
                        backup=self._backup_of.get(replica.name, ""),
                        cause=gone.cause,
                        detail=gone.detail,
                        instruction=count,
                        arbitrate_ns=won_ns - lost_ns,
                    )
                )
            case control.Over("diverged", detail):
                self._divergences.append(detail)
            case control.Protected():
                self._backup_of[replica.name] = told.node
                self._protections.append(told.report())
            case control.Unprotected(node, cause, detail):
                self._protection_failures.append(
                    ProtectionFailure(backup=node, cause=cause, detail=detail)
                )
            case _:
                return
        self.changes += 1

    def buried(self, replica: Replica, status: str) -> None:
        """A process has ended; that is a death unless it ended well."""
        if status == "exit status 0":
            return
        self._deaths.append(
            Death(
                node=replica.name,
                role=replica.role,
                pid=replica.pid,
                status=status,
                after_ns=replica.dead_ns - self._start_ns,
                crash=replica.crash_of(status),
            )
        )
        self.changes += 1

    # --- the report ---

    def why_lost(self) -> str:
        """Why no replica is left, as one line."""
        reasons = [
            f"{replica.role} {replica.name}: {replica.over.detail or replica.over.cause}"
            for replica in self._replicas
            if replica.over is not None and replica.over.cause and not replica.was_recruit
        ]
        needless = {r.name for r in self._replicas if r.was_recruit and r.over is not None}
        deaths = [
            f"{death.role} {death.node} {death.status}"
            for death in self._deaths
            if death.node not in needless
        ]
        return "; ".join(reasons or deaths) or "the replicas are gone"

    def report(self) -> RunReport:
        """What the run came to; of a lost guest, too."""
        told = [r for r in self._replicas if r.totals is not None]
        # A replica that was fenced off or found different has nothing to say of the end.
        right = [r for r in told if r.over is not None and not r.over.cause] or told
        totals = [r.totals for r in right if r.totals is not None]
        last = max(totals, key=lambda t: t.count, default=None)
        end, status = "lost", LostGuestError.exit_status
        if self.exit is not None:
            kind, status = unpack_end(self.exit.status)
            end = kind.label
        elif self.stopped:
            end, status = "stopped", 0
        digests = {t.digest for t in totals}
        return RunReport(
            image=str(self._spec.image_path),
            memory_bytes=self._spec.memory_bytes,
            append=self._spec.append,
            protected=not self._spec.solo,
            end=end,
            exit_status=status,
            instructions=self.exit.count if self.exit else (last.count if last else 0),
            digest=self.exit.digest.hex() if self.exit else (last.digest if last else ""),
            replicas_equal=len(digests) == 1 if len(totals) > 1 and self.exit else None,
            output_bytes=self.output_bytes,
            input_bytes=self.input_bytes,
            held_bytes_max=max((t.held_bytes_max for t in totals), default=0),
            log=LogTotals(
                entries=max((t.log_entries for t in totals), default=0),
                bytes=max((t.log_bytes for t in totals), default=0),
                digests=max((t.digests for t in totals), default=0),
            ),
            flow=next((r.totals.flow for r in right if r.totals and r.role == "primary"), None),
            failovers=self._failovers(),
            backup_losses=self._backup_losses,
            protections=self._protections,
            protection_failures=self._protection_failures,
            deaths=self._deaths,
            divergences=self._divergences,
            contradictions=self._contradictions,
            wall_ns=time.monotonic_ns() - self._start_ns,
        )

    def _died_ns(self, death: Death) -> int:
        """When a replica died: when we killed it, or else saw it dead."""
        killed_ns = next(r.killed_ns for r in self._replicas if r.name == death.node)
        return killed_ns or death.after_ns + self._start_ns

    def _failovers(self) -> list[Failover]:
        failovers = []
        for live, name, cause in self._live:
            follows = next(r.follows for r in self._replicas if r.name == name)
            dead = [d for d in self._deaths if d.node == follows]
            died_ns = min([live.lost_ns, *(self._died_ns(death) for death in dead)])
            attached_ns = max(self._attached_ns.get(live.generation, live.live_ns), live.live_ns)
            failovers.append(
                Failover(
                    generation=live.generation,
                    cause=cause,
                    died=dead[-1].node if dead else "",
                    survivor=name,
                    instruction=live.count,
                    log_entries=live.log_entries,
                    log_bytes=live.log_bytes,
                    digests=live.digests,
                    held_bytes=live.held_bytes,
                    time=FailoverTimes(
                        detect_ns=live.lost_ns - died_ns,
                        drain_ns=live.drained_ns - live.lost_ns,
                        arbitrate_ns=live.won_ns - live.drained_ns,
                        go_live_ns=live.live_ns - live.won_ns,
                        attach_ns=attached_ns - live.live_ns,
                        total_ns=attached_ns - died_ns,
                    ),
                )
            )
        return failovers
