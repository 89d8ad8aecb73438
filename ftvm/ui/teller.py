"""Tells on standard error what becomes of a pair: one line for each thing that matters."""

from collections import Counter

from ftvm.errors import EXIT_TRIPLE_FAULT
from ftvm.replication.events import LossCause
from ftvm.runtime.report import BackupLoss, Failover, Protection, RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.notices import Notices

_MIB = 1 << 20
_CLOSED = LossCause.CLOSED.value


def in_ms(span_ns: int) -> str:
    """Return a span as people read it: "12.3 ms"."""
    return f"{span_ns / 1e6:.1f} ms"


class Teller:
    """Looks at a run now and then and tells what is new."""

    def __init__(self, spec: RunSpec, notices: Notices) -> None:
        self._spec = spec
        self._notices = notices
        self._seen = 0
        self._failovers = self._losses = self._divergences = self._contradictions = 0
        self._protections = self._failed = 0

    def greet(self) -> None:
        """Say at a terminal what begins, and how to get out of it."""
        how = "without a backup" if self._spec.solo else "primary and backup"
        size = f"{self._spec.memory_bytes / _MIB:g} MiB"
        name = self._spec.image_name
        self._notices.info(f"{name}, {size}, {how}; Ctrl-A x leaves, Ctrl-A h helps")

    def look(self, supervisor: Supervisor) -> None:
        """Tell what has happened since the last look."""
        while supervisor.refusals:
            self._notices.info(supervisor.refusals.popleft())
        if supervisor.changes == self._seen:
            return
        self._seen = supervisor.changes
        report = supervisor.report()
        for failover in report.failovers[self._failovers :]:
            if failover.generation > supervisor.generation:
                break  # its console is to come
            if not failover.died and failover.cause == _CLOSED:
                break  # its death is to be seen
            self._tell_failover(failover, report)
        for loss in report.backup_losses[self._losses :]:
            if loss.backup not in _dead(report) and loss.cause == _CLOSED:
                break
            self._tell_loss(loss, report)
        self._tell_protections(report)
        self._tell_trouble(report)

    def finish(self, report: RunReport) -> None:
        """Tell what is left to tell when no more will come."""
        for failover in report.failovers[self._failovers :]:
            self._tell_failover(failover, report)
        for loss in report.backup_losses[self._losses :]:
            self._tell_loss(loss, report)
        self._tell_protections(report)
        self._tell_trouble(report)

    def _tell_failover(self, failover: Failover, report: RunReport) -> None:
        self._failovers += 1
        dead = next((death for death in report.deaths if death.node == failover.died), None)
        what = f"primary {dead.node} {dead.status}" if dead else f"primary lost ({failover.cause})"
        self._notices.event(
            f"{what}; backup live at instruction {failover.instruction:,}"
            f" in {in_ms(failover.time.total_ns)}"
        )

    def _tell_loss(self, loss: BackupLoss, report: RunReport) -> None:
        self._losses += 1
        status = _dead(report).get(loss.backup, f"lost ({loss.cause})")
        what = f"backup {loss.backup} {status}"
        self._notices.event(f"{what}; primary alone from instruction {loss.instruction:,}")

    def _tell_protections(self, report: RunReport) -> None:
        for protection in report.protections[self._protections :]:
            self._notices.event(_protection_line(protection))
        self._protections = len(report.protections)
        for failure in report.protection_failures[self._failed :]:
            status = _dead(report).get(failure.backup, f"lost ({failure.cause})")
            why = f": {failure.detail}" if failure.detail else ""
            self._notices.event(f"new backup {failure.backup} {status}{why}; still alone")
        self._failed = len(report.protection_failures)

    def _tell_trouble(self, report: RunReport) -> None:
        for text in report.divergences[self._divergences :]:
            self._notices.error(f"the replicas differ: {text}")
        self._divergences = len(report.divergences)
        for text in report.contradictions[self._contradictions :]:
            self._notices.error(f"the console was contradicted: {text}")
        self._contradictions = len(report.contradictions)

    def take_leave(self, report: RunReport) -> None:
        """Say of a guest that has ended what its exit status does not."""
        self.finish(report)
        if report.exit_status == EXIT_TRIPLE_FAULT and report.end == "triple fault":
            self._notices.error(f"the guest's triple fault at instruction {report.instructions:,}")
        if report.replicas_equal is False:
            self._notices.error("the replicas differ at the end of the guest")
        came = Counter(death.crash for death in report.deaths)
        for point in map(str, self._spec.crashes):
            came[point] -= 1
            if came[point] < 0:
                self._notices.info(f"crash point {point} never came")

    def tell_stopped(self, report: RunReport, why: str) -> None:
        """Say where a guest was that did not end by itself."""
        where = f"the guest was stopped at instruction {report.instructions:,}"
        self._notices.info(f"{why}{where}")


def _dead(report: RunReport) -> dict[str, str]:
    return {death.node: death.status for death in report.deaths}


def _protection_line(protection: Protection) -> str:
    size = f"{protection.bytes / _MIB:.1f} MiB"
    return (
        f"protected again: backup {protection.backup} in lockstep from instruction"
        f" {protection.instruction:,}; {size} in {in_ms(protection.total_ns)},"
        f" the guest stood still for {in_ms(protection.pause_ns)}"
    )
