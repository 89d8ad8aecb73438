"""Metrics of a real run, scraped over HTTP and read by Prometheus's own parser."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ftvm_command import HANGS_AFTER_S, FtvmCommand
from hosts import Cluster
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, list[tuple[dict[str, str], float]]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def requested(port: int, method: str, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_AFTER_S)
    connection.request(method, path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers["Content-Type"], text


def scraped(port: int) -> Samples:
    status, kind, text = requested(port, "GET", "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


class Running:
    """`ftvm run` with a port for metrics."""

    def __init__(self, ftvm: FtvmCommand, *options: str) -> None:
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        self.process = ftvm.start("run", "guest:counter", "--metrics", address, *options)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"counter: ready\n"

    def type(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()

    def answers(self, number: int) -> None:
        assert self.process.stdout is not None
        for _ in range(number):
            self.process.stdout.readline()

    def scrape(self) -> Samples:
        return scraped(self.port)

    def until(self, condition: Callable[[Samples], bool]) -> Samples:
        give_up = time.monotonic() + HANGS_AFTER_S
        while time.monotonic() < give_up:
            if condition(samples := self.scrape()):
                return samples
        raise AssertionError("it takes too long")

    def leave(self) -> None:
        _, err = self.process.communicate(b"q", timeout=HANGS_AFTER_S)
        assert self.process.returncode == 0, err


def states(samples: Samples) -> set[tuple[str, str, str]]:
    """Node, role and state of all nodes."""
    labels = [labels for labels, value in samples["ftvm_state"] if value]
    return {(one["node"], one["role"], one["state"]) for one in labels}


def of(samples: Samples, name: str, node: str) -> float:
    return next(value for labels, value in samples[name] if labels["node"] == node)


@pytest.fixture
def running(ftvm: FtvmCommand) -> Iterator[Callable[..., Running]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Running:
        run = Running(ftvm, *options)
        started.append(run.process)
        return run

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_pair_is_measured(running: Callable[..., Running]) -> None:
    run = running()
    run.type(b"iii")
    run.answers(3)
    samples = run.until(
        lambda samples: (
            states(samples) == {("a", "primary", "paired"), ("b", "backup", "following")}
        )
    )
    assert samples["ftvm_failovers_total"] == [({}, 0)]
    for node in ("a", "b"):
        assert of(samples, "ftvm_generation", node) == 1
        assert of(samples, "ftvm_instructions_total", node) > 1000
        assert of(samples, "ftvm_log_bytes_total", node) > 10
        assert of(samples, "ftvm_log_entries_total", node) > 2
        assert of(samples, "ftvm_lag_instructions", node) >= 0
        assert of(samples, "ftvm_lag_seconds", node) >= 0
    held = of(samples, "ftvm_output_hold_seconds_count", "a")
    assert held >= 1
    assert of(samples, "ftvm_output_hold_seconds_sum", "a") > 0
    buckets = [
        v for labels, v in samples["ftvm_output_hold_seconds_bucket"] if labels["node"] == "a"
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == held
    assert of(samples, "ftvm_output_hold_seconds_count", "b") == 0
    run.leave()


def test_a_failover_shows(running: Callable[..., Running]) -> None:
    run = running("--crash", "primary@output:18")
    run.type(b"ii")
    run.answers(2)
    samples = run.until(lambda samples: ("b", "primary", "paired") in states(samples))
    assert samples["ftvm_failovers_total"] == [({}, 1)]
    assert states(samples) == {("b", "primary", "paired"), ("c", "backup", "following")}
    assert of(samples, "ftvm_generation", "b") == 2
    run.leave()


def test_a_replica_that_is_paused_is_left_out(running: Callable[..., Running]) -> None:
    run = running()
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGSTOP)
    samples = run.until(lambda samples: {node for node, _, _ in states(samples)} == {"a"})
    assert of(samples, "ftvm_instructions_total", "a") > 0
    os.kill(int(children[1]), signal.SIGCONT)
    run.leave()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/metrics", 405), ("GET", "/metrics?x=1", 200)],
)
def test_other_requests(
    running: Callable[..., Running], method: str, path: str, status: int
) -> None:
    run = running("--solo")
    assert requested(run.port, method, path)[0] == status
    run.leave()


def test_strange_clients_are_no_trouble(running: Callable[..., Running]) -> None:
    run = running("--solo")
    idle = [socket.create_connection(("127.0.0.1", run.port)) for _ in range(40)]
    for noise in (b"\x16\x03\x01" + bytes(60) + b"\r\n\r\n", b"GET /metrics\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", run.port)) as client:
            client.sendall(noise)
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", run.port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"x" * 9000)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")
    with socket.create_connection(("127.0.0.1", run.port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")  # and goes
    assert states(run.scrape()) == {("a", "primary", "solo")}
    for client in idle:
        client.close()
    run.type(b"i")
    run.answers(1)
    run.leave()


def test_a_host_of_its_own_is_measured(tmp_path: Path, guest_images: Path) -> None:
    cluster = Cluster(tmp_path, f"file://{tmp_path}/store")
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    port = free_port()
    primary = cluster.serve(places[0], guest_images / "counter.elf")
    backup = cluster.join(places[1], places[0], options=("--metrics", f"127.0.0.1:{port}"))
    backup.see_backup()
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    assert {state for _, role, state in states(scraped(port)) if role == "backup"} == {"following"}
    primary.kill()
    client.type(3)
    client.answered()
    samples = scraped(port)
    assert samples["ftvm_failovers_total"] == [({}, 1)]
    ((name, role, state),) = states(samples)
    assert (name.rpartition("/")[0], role, state) == (places[1], "primary", "solo")
    assert of(samples, "ftvm_generation", name) == 2
    assert of(samples, "ftvm_output_hold_seconds_count", name) > 0
    client.leave()
    cluster.close()


def test_a_port_that_cannot_be_had(ftvm: FtvmCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = ftvm("run", "guest:hello", "--metrics", address)
        assert (done.status, done.out) == (125, b"")
        assert done.lines == [f"ftvm: cannot listen on {address}: Address already in use"]
    done = ftvm("run", "guest:hello", "--metrics", "9100")
    assert done.status == 2
    assert "address '9100'" in done.err
