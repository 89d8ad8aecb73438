"""etcd as the test-and-set store: one winner, whoever races, whatever dies or is lost."""

import base64
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from children import exit_status, run_in_child
from etcd_server import EtcdServer, free_port

from ftvm.errors import StateError, UsageError
from ftvm.replication import arbitration
from ftvm.replication.arbitration import Lost, Unreachable, Won
from ftvm.runtime.etcd_store import EtcdStore, _Conversation
from ftvm.runtime.stores import Holder, StoreUnreachableError
from ftvm.units import Generation, Nanoseconds

RUN = bytes(range(16))
G0, G1, G2, G3 = map(Generation, range(4))
SHORT = Nanoseconds(100_000_000)
GOOD = f"ftvm store 1\ngeneration 1\nrun {RUN.hex()}\nowner a\n".encode()


def put(server: EtcdServer, content: bytes) -> None:
    key = base64.b64encode(f"/ftvm/{RUN.hex()}".encode()).decode()
    value = base64.b64encode(content).decode()
    with _Conversation("127.0.0.1", server.port, Nanoseconds(10**10)) as conversation:
        conversation.ask("/v3/kv/put", {"key": key, "value": value})


def get(server: EtcdServer) -> bytes:
    key = base64.b64encode(f"/ftvm/{RUN.hex()}".encode()).decode()
    with _Conversation("127.0.0.1", server.port, Nanoseconds(10**10)) as conversation:
        answer = conversation.ask("/v3/kv/range", {"key": key})
    return base64.b64decode(answer["kvs"][0].get("value", ""))


@pytest.fixture
def store(etcd: EtcdServer) -> EtcdStore:
    return EtcdStore("127.0.0.1", etcd.port, RUN)


def test_boot_failovers_and_losers(store: EtcdStore) -> None:
    replica: arbitration.TestAndSet = store
    assert store.current() == Holder(G0, "")
    assert replica.advance(G0, "a") == Won(G1)
    assert replica.advance(G0, "b") == Lost(G1, "a")
    assert replica.advance(G0, "a") == Won(G1)
    assert replica.advance(G1, "b") == Won(G2)
    assert replica.advance(G1, "a") == Lost(G2, "b")
    assert replica.advance(G0, "a") == Lost(G2, "b")
    assert replica.advance(G2, "\u00e9" * 32) == Won(G3)
    assert store.current() == Holder(G3, "\u00e9" * 32)


def test_runs_and_prefixes_do_not_meet(etcd: EtcdServer, store: EtcdStore) -> None:
    assert store.advance(G0, "a") == Won(G1)
    other_run = EtcdStore("127.0.0.1", etcd.port, bytes(16))
    other_prefix = EtcdStore("127.0.0.1", etcd.port, RUN, "other/place")
    assert other_run.current() == other_prefix.current() == Holder(G0, "")
    assert other_run.advance(G0, "b") == Won(G1)
    assert other_prefix.advance(G0, "c") == Won(G1)
    assert store.current() == Holder(G1, "a")
    assert get(etcd) == GOOD


def test_one_of_many_processes_wins_each_generation(etcd: EtcdServer, store: EtcdStore) -> None:
    processes, generations = 8, 12
    for generation in range(generations):
        start_read, start_write = os.pipe()

        def race(index: int, start: int = start_read, wanted: int = generation) -> int:
            os.read(start, 1)
            replica = EtcdStore("127.0.0.1", etcd.port, RUN)
            outcome = replica.advance(Generation(wanted), f"process-{index}")
            return {Won: 1, Lost: 0, Unreachable: 2}[type(outcome)]

        children = []
        for index in range(processes):
            children.append(run_in_child(lambda index=index: race(index)))  # type: ignore[misc]
        os.write(start_write, b"." * processes)
        won = [exit_status(pid) for pid in children]
        os.close(start_read)
        os.close(start_write)
        assert sorted(won) == [0] * (processes - 1) + [1]
        assert store.current() == Holder(Generation(generation + 1), f"process-{won.index(1)}")


def test_askers_killed_at_any_moment_leave_a_valid_store(
    etcd: EtcdServer, store: EtcdStore
) -> None:
    """Each child asks over and over for generation after generation until it is killed."""

    def climb() -> int:
        replica = EtcdStore("127.0.0.1", etcd.port, RUN)
        while True:
            replica.advance(replica.current().generation, f"child-{os.getpid()}")

    seen = 0
    for _ in range(10):
        pid = run_in_child(climb)
        while store.current().generation == seen:
            pass
        os.kill(pid, signal.SIGKILL)
        assert exit_status(pid) == -signal.SIGKILL
        held = store.current()
        assert held.owner == f"child-{pid}"
        survivor = store.advance(held.generation, "survivor")
        while isinstance(survivor, Lost):  # what the dead one had sent came after our look
            assert survivor.owner == f"child-{pid}"
            survivor = store.advance(survivor.generation, "survivor")
        seen = store.current().generation
        assert survivor == Won(seen)


# What cannot be reached.


def assert_unreachable(store: EtcdStore, expected: Generation, said: str) -> None:
    outcome = store.advance(expected, "b")
    assert isinstance(outcome, Unreachable)
    assert said in outcome.detail
    assert "\n" not in outcome.detail
    with pytest.raises(StoreUnreachableError, match=said):
        store.current()


def test_nobody_listens() -> None:
    store = EtcdStore("127.0.0.1", free_port(), RUN)
    assert_unreachable(store, G0, "Connection refused")


def test_host_without_an_address() -> None:
    assert isinstance(EtcdStore("nowhere.invalid", 2379, RUN).advance(G0, "a"), Unreachable)


def test_killed_and_started_again(etcd: EtcdServer, store: EtcdStore) -> None:
    assert store.advance(G0, "a") == Won(G1)
    etcd.kill()
    assert_unreachable(store, G1, "Connection refused")
    etcd.start()
    assert store.current() == Holder(G1, "a")
    assert store.advance(G1, "b") == Won(G2)


def test_paused_and_gone_on(etcd: EtcdServer, store: EtcdStore) -> None:
    assert store.advance(G0, "a") == Won(G1)
    etcd.pause()
    impatient = EtcdStore("127.0.0.1", etcd.port, RUN, timeout=SHORT)
    assert_unreachable(impatient, G1, "no answer in time")
    etcd.go_on()
    assert store.advance(G1, "b") == Won(G2)
    assert impatient.advance(G1, "c") == Lost(G2, "b")


def test_emptied_store_gives_nothing_away(store: EtcdStore) -> None:
    outcome = store.advance(G1, "b")
    assert isinstance(outcome, Unreachable)
    assert "older than 1" in outcome.detail
    assert store.current() == Holder(G0, "")


class LosesAnswers(threading.Thread):
    """A network that hands a transaction to the server and loses the answer."""

    def __init__(self, server_port: int) -> None:
        super().__init__(daemon=True)
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost = 0
        self.start()

    def run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with closing(client), socket.create_connection(("127.0.0.1", self._server_port)) as far:
                while request := client.recv(1 << 16):
                    far.sendall(request)
                    while not request.endswith(b"}"):  # the body comes by itself
                        request += (more := client.recv(1 << 16))
                        far.sendall(more)
                    answer = far.recv(1 << 16)
                    if b"/v3/kv/txn" in request:
                        self.lost += 1
                        break
                    client.sendall(answer)


def test_a_win_whose_answer_was_lost_is_a_win(etcd: EtcdServer, store: EtcdStore) -> None:
    store.advance(G0, "a")
    network = LosesAnswers(etcd.port)
    cut_off = EtcdStore("127.0.0.1", network.port, RUN)
    assert isinstance(cut_off.advance(G1, "b"), Unreachable)
    assert network.lost == 1
    assert store.current() == Holder(G2, "b")
    assert cut_off.advance(G1, "b") == Won(G2)
    assert store.advance(G1, "a") == Lost(G2, "b")


# What is refused.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not written by this version"),
        (GOOD[:-1], "not written by this version"),
        (GOOD.replace(b"store 1", b"store 2"), "not written by this version"),
        (b"\xff" * 50_000, "not written by this version"),
        (GOOD.replace(b"generation 1", b"generation 0"), "damaged"),
        (GOOD.replace(b"generation 1", b"generation 01"), "damaged"),
        (GOOD.replace(b"owner a", b"owner \x1b[2J"), "damaged"),
        (GOOD.replace(RUN.hex().encode(), b"00" * 16), "belongs to the run 0000"),
    ],
)
def test_garbage_in_the_key(etcd: EtcdServer, content: bytes, said: str) -> None:
    store = EtcdStore("127.0.0.1", etcd.port, RUN)
    put(etcd, content)
    for refused in (store.current, lambda: store.advance(G1, "b")):
        with pytest.raises(StateError, match=said) as caught:
            refused()
        assert "\n" not in str(caught.value)
    assert get(etcd) == content


def test_impossible_owner_and_run(store: EtcdStore) -> None:
    with pytest.raises(UsageError, match="printable name"):
        store.advance(G0, "two\nlines")
    with pytest.raises(UsageError, match="run id"):
        EtcdStore("127.0.0.1", 2379, b"short")


ANSWERS = [
    (200, b""),
    (200, b"<html>"),
    (200, b"[" * 50_000),
    (200, b"[]"),
    (200, b'{"kvs": 1}'),
    (200, b'{"kvs": [1]}'),
    (200, b'{"kvs": [{"value": "!"}]}'),
    (200, b'{"kvs": [{"value": 5, "mod_revision": "1"}]}'),
    (200, b'{"kvs": {"value": ""}}'),
    (200, b'"' + b"x" * 5_000_000 + b'"'),
    (404, b"404 page not found"),
    (503, b'{"error": "etcdserver: no\\nleader", "code": 14}'),
]


@pytest.fixture
def impostor() -> Iterator[HTTPServer]:
    """An HTTP server that is no etcd."""

    class Handler(BaseHTTPRequestHandler):
        answer = (200, b"")

        def do_POST(self) -> None:
            status, content = self.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer[0]}-{answer[1][:12]!r}")
def test_what_is_no_etcd_is_not_believed(impostor: HTTPServer, answer: tuple[int, bytes]) -> None:
    impostor.RequestHandlerClass.answer = answer  # type: ignore[attr-defined]
    outcome = EtcdStore("127.0.0.1", impostor.server_port, RUN).advance(G0, "a")
    assert isinstance(outcome, Unreachable)
    assert outcome.detail.startswith("store 127.0.0.1:")
    assert "\n" not in outcome.detail
