"""Strangers at every port of a running pair, of all kinds and many: the pair does not notice."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pair_session import SESSION, Session, judge_counter, run_spec
from sockets_of import listening_ports

from ftvm.errors import HostError
from ftvm.runtime import security
from ftvm.runtime.happenings import Refused
from ftvm.runtime.key_file import generate_key
from ftvm.runtime.supervisor import Supervisor
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds


class Strangers(threading.Thread):
    """Call at all ports, one after the other, in all the ways of strangers, until stopped."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self._ports = ports
        self._stopping = threading.Event()
        self._half_open: list[socket.socket] = []
        self._transport = Transport(security.from_key(generate_key()))
        self.calls = 0
        self.refused_us = 0

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        ways = [self._say_nothing, self._plain, self._garbage, self._wrong_key, self._leave]
        while not self._stopping.is_set():
            for port in self._ports:
                for way in ways:
                    with contextlib.suppress(OSError, HostError):  # whose port it was is dead
                        way(port)
                        self.calls += 1
        for connection in self._half_open:
            connection.close()

    def _call(self, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port))

    def _say_nothing(self, port: int) -> None:
        self._half_open.append(self._call(port))
        if len(self._half_open) > 100:
            self._half_open.pop(0).close()

    def _plain(self, port: int) -> None:
        with self._call(port) as connection:
            connection.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def _garbage(self, port: int) -> None:
        with self._call(port) as connection:
            connection.sendall(b"\x16\x03\x01" + os.urandom(5000))

    def _leave(self, port: int) -> None:
        self._call(port).close()

    def _wrong_key(self, port: int) -> None:
        link = self._transport.connect("127.0.0.1", port)
        self._transport.send(link, b"let me in")
        while link in self._transport.open_links():
            happened = self._transport.poll(Nanoseconds(1_000_000))
            self.refused_us += sum(isinstance(h, Refused) for h in happened)


@pytest.fixture
def session(guest_images: Path) -> Iterator[Callable[..., Session]]:
    opened: list[Supervisor] = []

    def start(*crashes: str) -> Session:
        output = bytearray()
        supervisor = Supervisor(run_spec(guest_images, "counter", *crashes), output.extend)
        opened.append(supervisor)
        supervisor.start()
        return Session(supervisor, output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()


@pytest.mark.parametrize("role", ["primary", "backup"])
def test_strangers_call_while_a_replica_dies(session: Callable[..., Session], role: str) -> None:
    run = session(f"{role}@output:19")
    run.until_output(len(b"counter: ready\n"))
    ports = [port for r in run.supervisor.replicas for port in listening_ports(r.pid)]
    assert len(ports) == 2
    strangers = Strangers(ports)
    strangers.start()
    try:
        run.until(lambda: strangers.calls > 50 and bool(run.supervisor.refusals))
        report = judge_counter(run)
    finally:
        strangers.stop()
    assert [death.role for death in report.deaths] == [role]
    assert len(report.failovers) == (role == "primary")
    assert strangers.refused_us > 0
    lines = list(run.supervisor.refusals)
    assert any("it does not speak TLS" in line for line in lines)
    assert all(" refused: " in line and "\n" not in line for line in lines)
    assert len(lines) < strangers.calls


def test_secret_is_nowhere_to_be_seen(session: Callable[..., Session]) -> None:
    run = session()
    run.until_output(len(b"counter: ready\n"))
    key: bytes = run.supervisor._key
    for replica in run.supervisor.replicas:
        for name in ("cmdline", "environ"):
            shown = Path(f"/proc/{replica.pid}/{name}").read_bytes()
            assert key not in shown
            assert key.hex().encode() not in shown
    for keys, _ in SESSION:
        run.supervisor.write(keys)
    run.finish()


def test_traffic_cannot_be_read(session: Callable[..., Session]) -> None:
    """Whoever has the console's port but not the key gets no byte of the console."""
    run = session()
    run.until_output(len(b"counter: ready\n"))
    primary = run.supervisor.replica("primary")
    assert primary is not None
    with socket.create_connection(("127.0.0.1", primary.port)) as stranger:
        stranger.sendall(b"i" * 100)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while data := stranger.recv(4096):
                heard += data
    assert b"counter" not in heard
    judge_counter(run)
