"""A console that was late hears what came meanwhile before it judges anybody."""

from collections.abc import Iterator

import pytest
from primary_rig import identity

from ftvm.replication.arbitration import Won
from ftvm.replication.events import Event, Send
from ftvm.replication.messages import Heartbeat
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import settings_for
from ftvm.runtime import remote_console, security
from ftvm.runtime.addresses import Address
from ftvm.runtime.channels import CHANNELS
from ftvm.runtime.clock import now_ns
from ftvm.runtime.happenings import Accepted, Received
from ftvm.runtime.key_file import generate_key
from ftvm.runtime.remote_console import RemoteConsole
from ftvm.runtime.security import Security
from ftvm.runtime.sockets import listen
from ftvm.runtime.transport import Transport
from ftvm.units import Generation, Nanoseconds

SOON = Nanoseconds(1_000_000)
PATIENT = settings_for(Nanoseconds(60_000_000_000))


class Server:
    """A primary that is alone, on a port of this machine."""

    def __init__(self, secured: Security) -> None:
        listener = listen()
        self.address = Address(*listener.getsockname())
        self._transport = Transport(secured)
        self._transport.accept_from(listener, "console")
        self._protocol = PrimaryProtocol(identity("p"), PATIENT, CHANNELS)
        self._protocol.start()
        self._protocol.store_answered(Won(Generation(1)), now_ns())
        self._protocol.run_alone()

    def close(self) -> None:
        self._transport.part()

    def turn(self) -> list[Event]:
        """Do what there is to do; return it."""
        for happening in self._transport.poll(SOON):
            match happening:
                case Accepted(link):
                    self._protocol.console_connected(link, now_ns())
                case Received(link, data):
                    self._protocol.receive(link, data, now_ns())
        self._protocol.tick(now_ns())
        events = list(iter(self._protocol.next_event, None))
        for event in events:
            if isinstance(event, Send):
                self._transport.send(event.link, event.data)
        self._transport.flush()
        return events


@pytest.fixture
def secured() -> Security:
    return security.from_key(generate_key())


@pytest.fixture
def server(secured: Security) -> Iterator[Server]:
    server = Server(secured)
    yield server
    server.close()


def test_who_was_late_himself_does_not_take_that_for_silence(
    server: Server, secured: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_ns = 0
    monkeypatch.setattr(remote_console, "now_ns", lambda: Nanoseconds(now_ns() + late_ns))
    console = RemoteConsole([server.address], secured, lambda _: None, {})
    while not console.running:
        server.turn()
        console.poll(SOON)
    while not any(isinstance(e, Send) and isinstance(e.message, Heartbeat) for e in server.turn()):
        pass
    late_ns = 10_000_000_000
    console.poll(SOON)
    assert console.running
    late_ns *= 2
    console.poll(SOON)
    assert not console.running
