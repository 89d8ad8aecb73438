"""One `ftvm serve`: what it tells on standard error, and what its end means to the shell."""

import signal
from pathlib import Path

import msgspec

from ftvm.errors import EXIT_SIGNALLED, EXIT_SUPERSEDED, DivergenceError, FtvmError, HostError
from ftvm.replication.events import HaltCause
from ftvm.replication.messages import Reason
from ftvm.runtime import control
from ftvm.runtime.addresses import Address
from ftvm.runtime.disk_image import DiskOption
from ftvm.runtime.ends import End
from ftvm.runtime.host import Host, Verdict
from ftvm.runtime.names import address_in
from ftvm.runtime.scrapes import Scrapes
from ftvm.runtime.security import Security
from ftvm.runtime.sockets import listen
from ftvm.runtime.transport import Transport
from ftvm.ui.divergence import explain
from ftvm.ui.notices import Notices
from ftvm.ui.signals import ENDING, Signals
from ftvm.ui.teller import in_ms
from ftvm.ui.transfer_bar import TransferBar

_MIB = 1 << 20
_STATUS_OF_CAUSE = {
    HaltCause.DIVERGED: DivergenceError.exit_status,
    HaltCause.LOST_ARBITRATION: EXIT_SUPERSEDED,
    HaltCause.FENCED: EXIT_SUPERSEDED,
}
_END_NAMES = {
    End.EXIT: "ended",
    End.HALT: "halted for good",
    End.TRIPLE_FAULT: "triple-faulted",
    End.RESET: "reset the machine",
}


def serve(
    config: control.NodeConfig,
    address: Address,
    join: tuple[Address, ...],
    disks: tuple[DiskOption, ...],
    security: Security,
    metrics: Address | None,
) -> int:
    """Be a host until its end; returns the exit status. `disks` are for one that joins."""
    notices = Notices()
    config = msgspec.structs.replace(config, evidence=".")
    teller = HostTeller(notices, address, config)
    signals = Signals()
    transport = Transport(security)
    transport.accept_from(listen(address.host, address.port), "host")
    metrics_listener = None if metrics is None else listen(metrics.host, metrics.port)
    host = Host(config, join, transport, teller.tell, disks)
    if metrics_listener is not None:
        scrapes = Scrapes(transport, metrics_listener, lambda: scrapes.answer(host.metrics()))

    def heed() -> None:
        signals.drain()
        teller.leaves()
        for number in ENDING:  # the next one ends us at once
            signal.signal(number, signal.SIG_DFL)
        if signals.caught is not None and not host.leave(signals.caught.name):
            notices.info(f"{signals.caught.name}: leaving as soon as the new backup is complete")

    with signals:
        transport.watch(signals.descriptor, heed)
        try:
            verdict = host.run()
        finally:
            _tidy(config.record)
    return teller.conclude(verdict, signals)


def _tidy(recording: str) -> None:
    """A host that never had a guest has recorded nothing."""
    path = Path(recording)
    if recording and path.stat().st_size == 0:
        path.unlink()


class HostTeller:
    """Tells what becomes of a host, a line for each thing that matters."""

    def __init__(self, notices: Notices, address: Address, config: control.NodeConfig) -> None:
        self._notices = notices
        self._address = address
        self._config = config
        self._is_primary = config.role == "primary"
        self._backup = ""
        self._evidence = ""
        self._waits_for = ""
        self._transfer = TransferBar(notices, beside_console=False)
        self._leaves = False

    def leaves(self) -> None:
        """A second signal may come, and ends us with whatever is on the screen."""
        self._transfer.end()
        self._leaves = True

    def tell(self, told: control.Told) -> None:
        """Tell one thing."""
        if isinstance(told, control.Transferring):
            self._transferring(told)
            return
        self._transfer.end()
        match told:
            case control.Ready() if self._is_primary:
                size = f"{self._config.memory_bytes / _MIB:g} MiB"
                self._info(
                    f"{self._config.image_name}, {size}, on {self._address}; protected as"
                    f" soon as somebody joins: ftvm serve --join {self._address}"
                )
            case control.Waits(why):
                if why != self._waits_for:
                    self._info(f"waiting: {why}")
                self._waits_for = why
            case control.Refused(text):
                self._info(text)
            case control.Paired(count) if not self._is_primary:
                self._waits_for = ""
                self._event(f"backup on {self._address}, in lockstep from instruction {count:,}")
            case control.Committing():
                self._info("putting what the guest wrote into its disks' images")
            case control.Protected():
                self._protected(told)
            case control.Unprotected(node, cause, detail):
                self._event(f"new backup {address_in(node)} lost: {detail or cause}")
            case control.PeerGone(cause, detail):
                self._gone(f"{cause}: {detail}" if detail else cause)
            case control.Evidence(directory):
                self._evidence = directory
            case control.WentLive(generation=generation, count=count):
                self._is_primary = True
                self._waits_for = ""
                span = in_ms(told.live_ns - told.lost_ns)
                self._event(
                    f"{self._address} is the primary from instruction {count:,} on,"
                    f" generation {generation}, in {span}; no backup"
                )
            case control.WentAlone(generation, count):
                self._waits_for = ""
                self._event(
                    f"the guest runs on alone from instruction {count:,}, generation {generation}"
                )

    def _transferring(self, told: control.Transferring) -> None:
        if self._leaves:
            return
        to = f"sending the machine to {address_in(told.node)}"
        self._transfer.show(to if self._is_primary else "receiving the machine", told.transfer)

    def _protected(self, told: control.Protected) -> None:
        self._backup = address_in(told.node)
        self._waits_for = ""
        self._event(
            f"protected: backup {self._backup} in lockstep from instruction {told.count:,};"
            f" {told.bytes / _MIB:.1f} MiB in {in_ms(told.total_ns)},"
            f" the guest stood still for {in_ms(told.pause_ns)}"
        )

    def _gone(self, why: str) -> None:
        whom = f"backup {self._backup}" if self._is_primary else "the primary"
        self._event(f"lost {whom} ({why}); asking the store who goes on")

    def conclude(self, verdict: Verdict, signals: Signals) -> int:
        """Tell how the host ended; returns the exit status."""
        self._transfer.end()
        caught = signals.caught
        why = f"{caught.name}: " if caught else ""
        where = f"instruction {verdict.count:,}"
        if verdict.cause:
            status = _STATUS_OF_CAUSE.get(HaltCause(verdict.cause), HostError.exit_status)
            self._notices.error(f"{why}halted at {where}: {verdict.cause}: {verdict.detail}")
            if self._evidence:
                self._event(explain(Path(self._evidence)))
            return status
        if verdict.parting is Reason.GUEST_ENDED and verdict.end is not None:
            kind, status = verdict.end
            self._event(f"the guest {_END_NAMES[kind]} with status {status} at {where}")
            return status
        if verdict.parting is Reason.SWITCH_OVER:
            self._event(f"{why}left the guest to backup {self._backup} at {where}")
            return 0
        if verdict.is_primary:
            self._event(
                f"{why}the guest was stopped at {where}: there was no backup to leave it to"
            )
            return EXIT_SIGNALLED + caught if caught else FtvmError.exit_status
        if caught:
            self._event(f"{why}left; the guest runs on without this backup")
        else:
            self._event("the primary was stopped or has ended, and the guest with it")
        return 0

    def _info(self, text: str) -> None:
        self._notices.info(text)

    def _event(self, text: str) -> None:
        self._notices.event(text)
