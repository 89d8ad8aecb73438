"""A real etcd server on loopback, with a data directory of its own."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from ftvm.errors import HostError
from ftvm.runtime.etcd_store import EtcdStore


def etcd_program() -> str:
    """Where etcd is; skips the test if there is none, which the checks of a change may not do."""
    program = shutil.which("etcd")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("etcd is not installed (Debian: etcd-server)")
        pytest.skip("etcd is not installed (Debian: etcd-server)")
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class EtcdServer:
    """One server, that can be killed, paused and started again with what it had on disk."""

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self._program = etcd_program()
        self._directory = directory
        self.port = free_port()
        self._peer_port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"etcd://{self.host}:{self.port}"

    def start(self) -> None:
        client = f"http://{self.host}:{self.port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._process = subprocess.Popen(
            [
                *(self._program, "--name", "only", "--data-dir", self._directory / "data"),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"only={peer}", "--log-level", "fatal", "--logger", "zap"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        store = EtcdStore(self.host, self.port, bytes(16))
        while self._process.poll() is None:
            try:
                store.current()
            except HostError:
                continue
            return
        raise AssertionError(f"etcd ended with status {self._process.returncode}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
