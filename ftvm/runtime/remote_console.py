"""The console of a guest that runs on other hosts: follows its primary, wherever that is."""

import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftvm.audit.witness import ConsoleWitness
from ftvm.machine.channels import Stream
from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import (
    Attached,
    Close,
    Contradiction,
    Dismissed,
    GuestExited,
    OutputAccepted,
    Send,
)
from ftvm.replication.messages import Channel
from ftvm.runtime.addresses import Address
from ftvm.runtime.channels import CHANNELS
from ftvm.runtime.clock import now_ns
from ftvm.runtime.dialer import Dialer
from ftvm.runtime.happenings import Closed, Received
from ftvm.runtime.journal_file import JournalFile, journal_path
from ftvm.runtime.security import Security
from ftvm.runtime.sinks import Sink, Sinks
from ftvm.runtime.transport import Transport
from ftvm.units import Generation, Nanoseconds

_NAME_BYTES_MAX = 48


class RemoteConsole:
    """Call `poll` in a loop, type with `write` as far as `room` goes; output by callbacks."""

    def __init__(
        self,
        addresses: Sequence[Address],
        security: Security,
        output: Sink,
        others: Mapping[Stream, Sink],
        journals: Path | None = None,
    ) -> None:
        """Begin to connect with the first `poll`; write a journal to a directory, if given one."""
        self.transport = Transport(security)
        self._dialer = Dialer(self.transport, addresses)
        name = _name()
        self._endpoint = ConsoleEndpoint(name, channels=CHANNELS)
        self._witness: ConsoleWitness | None = None
        if journals is not None:
            write = JournalFile(journal_path(journals, name)).write
            self._witness = ConsoleWitness(name, "", write)
        self.sinks = Sinks(output, others)
        self.attached_to: tuple[str, Generation] | None = None
        """Node and generation of the primary that we were attached to last."""
        self.answered_ns = now_ns()
        """When there was last a host of the pair that we were connected to."""
        self.exited: GuestExited | None = None
        self.dismissed: str | None = None
        """Who has taken the console over, if somebody has."""
        self.contradictions: list[str] = []

    @property
    def running(self) -> bool:
        """Whether we are attached to a primary."""
        return self._endpoint.attached is not None

    @property
    def reached(self) -> bool:
        """Whether any host of the pair has answered and is still there."""
        return self._endpoint.watching

    @property
    def hopeless(self) -> bool:
        """Whether every host was tried in vain."""
        return not self.reached and self._dialer.hopeless

    def check_secret(self) -> None:
        """UsageError if nobody takes us for one of the pair, and somebody is there."""
        self._dialer.check_secret()

    @property
    def troubles(self) -> list[str]:
        """Why hosts cannot be reached, a line each."""
        return list(self._dialer.troubles.values())

    @property
    def input_settled(self) -> bool:
        """Whether all input so far is in the guest for good."""
        return not any(map(self._endpoint.unsettled, CHANNELS))

    def room(self, stream: Stream = Stream.CONSOLE) -> int:
        """How many bytes `write` takes now."""
        return self._endpoint.room(Channel(stream))

    def write(self, data: bytes, stream: Stream = Stream.CONSOLE) -> None:
        """Give the guest `data`: typed on its console, or on another stream."""
        self._endpoint.write(data, Channel(stream))
        self._act()

    def poll(self, timeout: Nanoseconds) -> None:
        """Do what there is to do, waiting at most `timeout` for something."""
        now = now_ns()
        if self.reached:
            self.answered_ns = now
        for link in self._dialer.dial(now):
            self._endpoint.connected(link, now)
        self._act()
        for due in (self._dialer.deadline(), self._endpoint.deadline()):
            if due is not None:
                timeout = Nanoseconds(min(timeout, max(0, due - now_ns())))
        happenings = self.transport.poll(timeout)
        now = now_ns()
        for happening in happenings:
            match happening:
                case Received(link, data):
                    if self._dialer.owns(link):
                        self._dialer.answered(link)
                    if self._witness is not None:
                        self._witness.received(link, data)
                    self._endpoint.receive(link, data, now)
                case Closed(link, why, is_stranger):
                    self._dialer.closed(link, why, is_stranger)
                    if self._witness is not None:
                        self._witness.closed(link)
                    self._endpoint.closed(link)
            self._act()
        self._endpoint.tick(now)  # as of when we listened, or our own delay is their silence
        self._act()

    def leave(self) -> None:
        """Detach; the guest runs on, and waits for nobody to see what it says."""
        self._endpoint.leave()
        self._act()
        self.transport.part()

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
                case Attached(_, node, generation):
                    self.attached_to = node, generation
                case GuestExited():
                    self.exited = event
                case Dismissed(detail):
                    self.dismissed = detail
                case Contradiction(kind, detail):
                    self.contradictions.append(f"{kind.value}: {detail}")


def _name() -> str:
    host = socket.gethostname().encode()[:_NAME_BYTES_MAX].decode(errors="ignore")
    return f"{host}/{secrets.token_hex(4)}"
