"""A run on one machine: starts the replicas, is the guest's console, sees who dies.

The supervisor holds the console endpoint, which makes output and input exactly
once over any failover. It takes no part in the protocol between the replicas:
they find out about each other's death by themselves, and arbitrate by the store.
When a primary is alone, the supervisor starts a new backup for it.

Whoever uses it calls `poll` in a loop, gives input by `write` as far as `room`
goes, gets output by callbacks, one for the console and some for other streams, and
asks `finished` and `report`.
"""

import secrets
from collections import deque
from collections.abc import Mapping

from ftvm.audit.witness import ConsoleWitness
from ftvm.errors import HostError, LostGuestError
from ftvm.machine.channels import Stream
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import (
    Attached,
    Close,
    Contradiction,
    GuestExited,
    HaltCause,
    OutputAccepted,
    Send,
)
from ftvm.replication.messages import Channel
from ftvm.replication.settings import settings_for
from ftvm.runtime import control, security
from ftvm.runtime.addresses import Address
from ftvm.runtime.channels import CHANNELS
from ftvm.runtime.chronicle import Chronicle
from ftvm.runtime.clock import now_ns
from ftvm.runtime.dialer import Dialer
from ftvm.runtime.happenings import Closed, Received, Refused
from ftvm.runtime.journal_file import JournalFile, journal_path
from ftvm.runtime.key_file import generate_key
from ftvm.runtime.names import replica_name
from ftvm.runtime.replica import Replica
from ftvm.runtime.report import (
    RunReport,
)
from ftvm.runtime.run_directory import make_run_directory
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.sinks import NO_SINKS, Sink, Sinks
from ftvm.runtime.sockets import LOOPBACK, listen
from ftvm.runtime.status import Transfer
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

_PARTING_NS = 5_000_000_000
_COMMIT_SILENT_NS = 1_000_000_000
"""A commit that takes longer is told of."""
_RECRUITS_MAX = 5
"""New backups in a row that may fail before the guest is left unprotected."""
_REFUSALS_MAX = 100


class Supervisor:
    """One run. Use it as a context manager: leaving it leaves no process behind."""

    def __init__(
        self, spec: RunSpec, output: Sink, others: Mapping[Stream, Sink] = NO_SINKS
    ) -> None:
        self._spec = spec
        self.sinks = Sinks(output, others)
        self._run = secrets.token_bytes(16)
        settings = settings_for(spec.failure_timeout_ns, spec.lag_bound_ns)
        self._endpoint = ConsoleEndpoint("console", self._run, CHANNELS, settings=settings)
        self._witness: ConsoleWitness | None = None
        if spec.journals:
            write = JournalFile(journal_path(spec.journals, "console")).write
            self._witness = ConsoleWitness("console", self._run.hex(), write)
        self._key = generate_key()
        self.transport = Transport(security.from_key(self._key))
        self._dialer = Dialer(self.transport, ())
        self._directory = make_run_directory()
        self.replicas: list[Replica] = []
        self._chronicle = Chronicle(spec, self.replicas)
        self.generation = 0
        self._parting_ns = 0
        self._joined = False
        self._paired: set[str] = set()
        """Those of the present pair who have said that they are one."""
        self._alone: Replica | None = None
        """The primary that has no backup, if the guest runs alone."""
        self._recruit: Replica | None = None
        """The new backup that is on its way."""
        self._transfer: Transfer | None = None
        """How far it is, as its primary told last."""
        self._recruits_failed = 0
        self.refusals: deque[str] = deque(maxlen=_REFUSALS_MAX)
        """What is to be told, mostly of strangers; whoever tells it takes it out."""
        self.evidence: deque[str] = deque()
        """Directories that backups which differed left; whoever looks at one takes it out."""
        self._noted: set[str] = set()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.replicas:
            if replica.alive:
                replica.kill()
                replica.reap()
        self._directory.cleanup()

    # --- starting ---

    def start(self) -> None:
        """Start the replicas; raises HostError if the host refuses."""
        primary = self._start_replica("primary", None)
        if not self._spec.solo:
            backup = self._start_replica("backup", primary)
            self._chronicle.began_with(primary.name, backup.name)

    def _start_replica(self, role: str, primary: Replica | None) -> Replica:
        spec = self._spec
        name = replica_name(len(self.replicas))
        follows = "" if primary is None else primary.name
        replica = Replica(name, "backup" if primary else "primary", follows)
        config = control.NodeConfig(
            name=name,
            role=role,
            solo=spec.solo,
            run=self._run.hex(),
            image_path=str(spec.image_path),
            image_name=spec.image_name,
            append=spec.append,
            initrd_path=None if spec.initrd_path is None else str(spec.initrd_path),
            modules=spec.modules,
            memory_bytes=spec.memory_bytes,
            epoch_s=spec.epoch_s,
            store_url=spec.store_url or self._directory.name + "/store",
            join_host=LOOPBACK,
            join_port=0 if primary is None else primary.port,
            crashes=self._crashes_of(primary is None),
            failure_timeout_ns=spec.failure_timeout_ns,
            lag_bound_ns=spec.lag_bound_ns,
            is_state=spec.is_state,
            screen=spec.screen,
            record=str(spec.recording_of(name) or ""),
            flips=tuple(map(str, spec.flips)),
            evidence=str(spec.evidence or ""),
            metrics=spec.metrics is not None,
            disks=spec.disks,
            journal=str(journal_path(spec.journals, name)) if spec.journals else "",
        )
        replica.was_recruit = role == "recruit"
        replica.crashes = config.crashes
        replica.start(config, self._key, listen())
        self.replicas.append(replica)
        self.transport.watch(replica.stdout, lambda: self._hear(replica))
        return replica

    def _crashes_of(self, is_first: bool) -> tuple[str, ...]:
        """The crash points of the next replica, in each role that it may come to have."""
        backups = len(self.replicas) - 1
        primaries = 0 if is_first else self._chronicle.times_live + 1
        points = [("primary", primaries)] + ([] if is_first else [("backup", backups)])
        crashes = []
        for role, index in points:
            mine = [str(crash) for crash in self._spec.crashes if crash.role == role]
            crashes += mine[index : index + 1]
        return tuple(crashes)

    def protect(self) -> None:
        """Start a new backup for a primary that is alone, if there is none on its way."""
        primary = self._alone
        if primary is None or not primary.alive or self._recruit is not None:
            return
        if self._chronicle.ended or self._recruits_failed > _RECRUITS_MAX:
            return
        self._transfer = None
        self._recruit = self._start_replica("recruit", primary)

    # --- what the caller does ---

    def poll(self, timeout: Nanoseconds | None) -> None:
        """Do what there is to do, waiting at most `timeout` for something.

        Raises LostGuestError once no replica is left to run the guest, HostError
        if the guest never began.
        """
        for link in self._dialer.dial(now_ns()):
            self._endpoint.connected(link, now_ns())
        happenings = self.transport.poll(self._patience(timeout))
        now = now_ns()
        for happening in happenings:
            if isinstance(happening, Received):
                if self._witness is not None:
                    self._witness.received(happening.link, happening.data)
                self._endpoint.receive(happening.link, happening.data, now)
            elif isinstance(happening, Refused):
                self._note_once(happening.text)
            elif isinstance(happening, Closed):
                self._dialer.closed(happening.link, happening.why)
                self._endpoint.closed(happening.link)
            self._act()
        self._endpoint.tick(now)  # as of when we listened, or our own delay is their silence
        self._act()
        if self._spec.protects:
            self.protect()
        for replica in self.replicas:
            if replica.alive and 0 < replica.commits_ns < now_ns() - _COMMIT_SILENT_NS:
                self._note_once("putting what the guest wrote into its disks' images")
        if not any(replica.alive for replica in self.replicas):
            self._look_for_uncommitted()
        if not self.finished and not any(replica.alive for replica in self.replicas):
            lost = LostGuestError if self.generation else HostError
            raise lost(self._chronicle.why_lost())
        if self._parting_ns and now_ns() > self._parting_ns:
            for replica in self.replicas:
                if replica.alive and not replica.commits_ns:
                    replica.kill()

    def _look_for_uncommitted(self) -> None:
        """Raise HostError if the last replica could not put away what the guest wrote."""
        over = self.replicas[-1].over if self.replicas else None
        ends = [r.over for r in self.replicas if r.over and r.over.cause == HaltCause.DISK]
        if ends and self._chronicle.exit is None:
            raise HostError((over if over in ends and over else ends[-1]).detail)

    def _note_once(self, line: str) -> None:
        """Tell what happens again and again: a replica that is stopped, a store that is away."""
        if line not in self._noted:
            self._noted.add(line)
            self.refusals.append(line)

    def _patience(self, timeout: Nanoseconds | None) -> Nanoseconds | None:
        """How long to wait for something, at most `timeout`."""
        times = (self._endpoint.deadline(), self._dialer.deadline())
        limits = [] if timeout is None else [timeout]
        limits += [Nanoseconds(max(0, time - now_ns())) for time in times if time is not None]
        return min(limits, default=None)

    @property
    def running(self) -> bool:
        """Whether the guest's console is with a primary."""
        return self._endpoint.attached is not None

    @property
    def ended(self) -> bool:
        """Whether the guest has ended, or was stopped; the replicas may be on their way out."""
        return self._chronicle.ended

    @property
    def finished(self) -> bool:
        """Whether the guest has ended, or was stopped, and all replicas are gone."""
        return self._chronicle.ended and not any(replica.alive for replica in self.replicas)

    @property
    def changes(self) -> int:
        """Grows whenever `report` has a death, failover, loss or other trouble more."""
        return self._chronicle.changes

    def room(self, stream: Stream = Stream.CONSOLE) -> int:
        """How many bytes `write` takes now."""
        return self._endpoint.room(Channel(stream))

    def write(self, data: bytes, stream: Stream = Stream.CONSOLE) -> None:
        """Give the guest `data`: typed on its console, or on another stream."""
        if stream is Stream.CONSOLE:
            self._chronicle.input_bytes += len(data)
        self._endpoint.write(data, Channel(stream))
        self._act()

    @property
    def input_settled(self) -> bool:
        """Whether all input so far is in the guest for good."""
        return not any(map(self._endpoint.unsettled, CHANNELS))

    def stop(self, detail: str) -> None:
        """End the run from outside."""
        self._chronicle.stopped = True
        self._part()
        for replica in self.replicas:
            if replica.alive:
                replica.stop(detail)

    def replica(self, role: str) -> Replica | None:
        """The living replica that has a role now, if there is one."""
        newest = reversed(self.replicas)  # an old primary may be paused, and not know
        return next((r for r in newest if r.alive and r.role == role), None)

    @property
    def transfer(self) -> tuple[str, Transfer] | None:
        """The new backup that is being sent the machine, and how far that is."""
        recruit, transfer = self._recruit, self._transfer
        return None if recruit is None or transfer is None else (recruit.name, transfer)

    @property
    def protected(self) -> bool:
        """Whether the guest can lose a replica now, as far as has been heard."""
        return self._alone is None and len(self._paired) == 2

    # --- what happens ---

    def _part(self) -> None:
        self._parting_ns = self._parting_ns or now_ns() + _PARTING_NS
        if self._recruit is not None and self._recruit.alive:
            self._recruit.kill()  # it has nothing that anybody needs any more

    def _act(self) -> None:
        while (event := self._endpoint.next_event()) is not None:
            if self._witness is not None:
                self._witness.before(event)
            match event:
                case Send(link, _):
                    self.transport.send(link, event.data)
                case Close(link, why):
                    self.transport.close(link)
                    self._dialer.closed(link, why)
                case OutputAccepted():
                    self.sinks.take(event)
                    self._chronicle.output_bytes = self.sinks.console_bytes
                case Attached(_, _, generation):
                    self.generation = generation
                    self._chronicle.attached(generation)
                case GuestExited():
                    self._chronicle.exit = event
                    self._part()
                case Contradiction(kind, detail):
                    self._chronicle.contradicted(f"{kind.value}: {detail}")

    def _hear(self, replica: Replica) -> None:
        told = replica.hear()
        if told is None:
            self._buried(replica)
            return
        for message in told:
            self._take(replica, message)

    def _take(self, replica: Replica, told: control.Told) -> None:
        self._chronicle.told(replica, told)
        match told:
            case control.Ready():
                self._dialer.add(Address(LOOPBACK, replica.port))
            case control.WentLive():
                replica.role = "primary"
                self._alone = replica
                self._paired.clear()
                for old in self.replicas:  # whose right is gone for good, if it still runs
                    if old.name == replica.follows:
                        self._dialer.remove(Address(LOOPBACK, old.port))
            case control.WentAlone():
                self._alone = replica
                self._paired.clear()
            case control.Transferring(_, transfer) if replica is self._alone:
                self._transfer = transfer
            case control.Unprotected():
                self._transfer = None
            case control.Committing():
                replica.commits_ns = now_ns()
            case control.Waits(why):
                self._note_once(f"{replica.role} {replica.name} waits: {why}")
            case control.Refused(text):
                self.refusals.append(f"{replica.role} {replica.name}: {text}")
            case control.Evidence(directory):
                self.evidence.append(directory)
            case control.Totals():
                replica.totals = told
            case control.Over():
                replica.over = told
            case control.Paired():
                self._joined = True
                self._paired.add(replica.name)
                if replica is self._alone:
                    self._alone = self._recruit = None
                    self._recruits_failed = 0

    def _buried(self, replica: Replica) -> None:
        self.transport.unwatch(replica.stdout)
        self._dialer.remove(Address(LOOPBACK, replica.port))
        replica.dead_ns = now_ns()
        status = replica.reap()
        if replica is self._recruit:
            self._recruit = None
            self._recruits_failed += 1
            if replica.killed_ns and self._parting_ns:
                return
            if self._recruits_failed > _RECRUITS_MAX:
                self.refusals.append(
                    f"{self._recruits_failed} new backups in a row failed: the guest stays alone"
                )
        self._chronicle.buried(replica, status)
        if not self._joined and not self._spec.solo and not self._chronicle.ended:
            raise HostError(f"the pair did not come about: {self._chronicle.why_lost()}")

    def report(self) -> RunReport:
        """What the run came to; of a lost guest, too."""
        return self._chronicle.report()
