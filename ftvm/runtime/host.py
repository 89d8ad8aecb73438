"""A host of its own: runs a guest as primary, or joins one that runs elsewhere.

A host that joins asks the hosts it was told of how they are, until one of them
is a primary that has no backup, and becomes its backup by state transfer. What
ends that before there is a pair sends it back to asking; what ends it later is
its end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ftvm.errors import HostError, UsageError
from ftvm.replication.arbitration import Outcome
from ftvm.replication.events import HaltCause
from ftvm.replication.framing import Kind
from ftvm.replication.messages import Reason
from ftvm.replication.settings import Settings
from ftvm.replication.states import PrimaryState
from ftvm.runtime import control
from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.dialer import RETRY_INTERVAL_NS
from ftvm.runtime.disk_image import DiskFile, DiskOption
from ftvm.runtime.ends import End
from ftvm.runtime.entrance import Admitted, Entrance
from ftvm.runtime.exposition import expose
from ftvm.runtime.happenings import Closed, Refused
from ftvm.runtime.host_disks import find_disks
from ftvm.runtime.inquirer import Inquirer
from ftvm.runtime.journal_file import open_journal
from ftvm.runtime.names import address_in
from ftvm.runtime.node import Node
from ftvm.runtime.status import HostStatus
from ftvm.runtime.store_asker import StoreAsker
from ftvm.runtime.store_url import parse_store_url
from ftvm.runtime.stores import Holder
from ftvm.runtime.transport import Transport
from ftvm.units import Generation, Nanoseconds


@dataclass(frozen=True)
class Verdict:
    """How a host ended. `end` is the guest's end if that is why."""

    cause: str
    detail: str
    end: tuple[End, int] | None
    parting: Reason | None
    """Of an end in good order: why."""
    is_primary: bool
    count: int


@dataclass(frozen=True)
class _Candidate:
    """A primary that needs a backup."""

    address: Address
    status: HostStatus


class Host:
    """One run of `ftvm serve`. `config` is for the node, which is a recruit if there is `join`."""

    def __init__(
        self,
        config: control.NodeConfig,
        join: tuple[Address, ...],
        transport: Transport,
        tell: Callable[[control.Told], None],
        disks: tuple[DiskOption, ...] = (),
    ) -> None:
        """`disks` are images as they were named to a host that joins; none: as the primary's."""
        self._config = config
        self._disk_options = disks
        self._disks: tuple[DiskFile, ...] = ()
        self._disks_of = ""
        self._join = join
        self._transport = transport
        self._tell = tell
        self._store_asker: StoreAsker[Outcome] = StoreAsker()
        self._store_judge: StoreAsker[Holder] = StoreAsker()
        self._candidate: _Candidate | None = None
        """The primary of which the store has been asked and has not answered."""
        self._chosen: _Candidate | None = None
        self._store_url = parse_store_url(config.store_url)
        self._began_ns = now_ns()
        self._node: Node | None = None
        self._left = False
        self._waits_for = ""
        self._journal = open_journal(config)
        self._failovers = 0
        self._is_known = False
        """Whether one of the pair has ever taken us for one of it."""
        self._tried_ns = 0
        """When we last tried to become a backup."""

    def run(self) -> Verdict:
        """Be a host until there is nothing more to do; StateError, HostError: it cannot be one."""
        if not self._join:
            return self._be(self._config)
        while (config := self._seek()) is not None:
            verdict = self._be(config)
            if verdict.cause not in (HaltCause.UNPROTECTED, HaltCause.REFUSED) or self._left:
                return verdict
            self._say(f"{address_in(config.join_host)}: {verdict.detail}")
        return Verdict("", "", None, Reason.USER_ACTION, False, 0)

    def leave(self, detail: str) -> bool:
        """End, and leave the guest to the pair's other half; False if that takes a while."""
        self._left = True
        return self._node is None or self._node.leave(detail)

    def metrics(self) -> str:
        """Say how this host is, as Prometheus reads it."""
        nodes = [] if self._node is None else [self._node.measured()]
        return expose(nodes, self._failovers)

    def _hear(self, told: control.Told) -> None:
        self._failovers += isinstance(told, control.WentLive)
        self._tell(told)

    def _be(self, config: control.NodeConfig) -> Verdict:
        store_asker = self._store_asker
        self._node = node = Node(config, self._transport, store_asker, self._hear, self._journal)
        over = node.run()
        self._node = None
        guest = node.guest
        return Verdict(
            cause=over.cause,
            detail=over.detail,
            end=guest.end if guest else None,
            parting=node.parting,
            is_primary=node.status().role == "primary",
            count=guest.machine.count if guest else 0,
        )

    # --- looking for a primary ---

    def _seek(self) -> control.NodeConfig | None:
        """Wait for a primary that needs a backup; None if we are to leave before there is one."""
        inquirer = Inquirer(self._transport, self._join)
        entrance = Entrance(
            self._transport,
            Settings(),
            self._status,
            lambda line: self._tell(control.Refused(line)),
        )
        self._transport.watch(self._store_judge.descriptor, self._store_answered)
        asked_ns = now_ns()
        self._chosen = None
        while not self._left and self._chosen is None:
            now = now_ns()
            if inquirer.settled and now >= asked_ns + RETRY_INTERVAL_NS:
                inquirer.forget()
                asked_ns = now
            inquirer.tend(now)
            for happening in self._transport.poll(RETRY_INTERVAL_NS):
                if isinstance(happening, Refused) or inquirer.take(happening):
                    continue
                match entrance.take(happening, now):
                    case Admitted(link, kind):
                        what = "console" if kind is Kind.CONSOLE else "backup"
                        entrance.turn_away(link, f"this host stands by, and serves no {what}")
                    case Closed():
                        continue
            entrance.tick(now)
            self._is_known = self._is_known or bool(inquirer.answers)
            if not self._is_known:
                inquirer.check_secret()
            is_time = now >= self._tried_ns + RETRY_INTERVAL_NS
            if inquirer.settled and is_time and self._candidate is None:
                self._choose(inquirer)
        inquirer.end()
        self._transport.unwatch(self._store_judge.descriptor)
        for link in self._transport.open_links():
            self._transport.close(link)
        if self._left or self._chosen is None:
            return None
        return self._backup_of(self._chosen)

    def _choose(self, inquirer: Inquirer) -> None:
        """Ask the store about a primary that needs us, or say what we wait for."""
        primaries = [(a, s) for a, s in inquirer.answers.items() if s.role == "primary"]
        if not primaries:
            self._say("; ".join(inquirer.troubles.values()) or "no primary among them")
            return
        address, status = max(primaries, key=lambda found: found[1].generation)
        if status.state != PrimaryState.SOLO:
            self._say(f"primary {address} is {status.state}, and needs no backup")
            return
        self._tried_ns = now_ns()
        self._candidate = _Candidate(address, status)
        self._store_judge.ask(self._store_url.open(bytes.fromhex(status.run)).current)

    def _store_answered(self) -> None:
        """Choose the candidate if the store can be used with it; UsageError if it never can."""
        candidate, self._candidate = self._candidate, None
        assert candidate is not None
        try:
            held = self._store_judge.answer().generation
        except HostError as error:
            self._say(str(error))
            return
        if held < candidate.status.generation:
            raise UsageError(
                f"store {self._store_url.text} has generation {held} of the run, and primary"
                f" {address_in(candidate.status.node)} has {candidate.status.generation}:"
                " give the store that it uses"
            )
        self._chosen = candidate

    def _backup_of(self, primary: _Candidate) -> control.NodeConfig:
        """Return what to be as its backup."""
        if self._disks_of != primary.status.run:
            self._disks_of = primary.status.run
            self._disks = find_disks(self._disk_options, primary.status)
        host, port = primary.address.host, primary.address.port
        return msgspec.structs.replace(
            self._config, join_host=host, join_port=port, disks=self._disks
        )

    def _say(self, waits_for: str) -> None:
        if waits_for != self._waits_for:
            self._waits_for = waits_for
            self._tell(control.Waits(waits_for))

    def _status(self) -> HostStatus:
        return HostStatus(
            node=self._config.name,
            role="standby",
            state="standby",
            protection="disabled",
            reason="",
            detail=self._waits_for,
            run="",
            generation=Generation(0),
            uptime_ns=Nanoseconds(now_ns() - self._began_ns),
        )
