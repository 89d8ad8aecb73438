"""Hosts that serve a guest, as processes of their own, and a client on the guest's console."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftvm_command import COMMAND
from journals import read_journals

from ftvm.audit.judge import audit

# Not a limit on speed: what hangs shall fail its test.
HANGS_AFTER_S = 120
READY = b"counter: ready\n"


def wait_for(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Look again and again until `condition` holds."""
    give_up_at = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < give_up_at, complaint()
        time.sleep(0.01)


class ServingHost:
    """One `ftvm serve`."""

    def __init__(
        self,
        address: str,
        arguments: Sequence[str],
        log: Path,
        environment: dict[str, str],
        prefix: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.address = address
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*prefix, *command, "serve", *arguments, "--listen", address],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                cwd=log.parent,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def see(self, text: str, times: int = 1) -> None:
        """Wait until the host has said `text` so often."""
        wait_for(
            lambda: self.said.count(text) >= times or self.process.poll() is not None,
            lambda: f"{self.address} did not say {text!r}: {self.said}",
        )
        assert self.said.count(text) >= times, self.said

    def see_backup(self) -> None:
        self.see(", in lockstep from instruction")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.wait_until_stopped()

    def wait_until_stopped(self) -> None:
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(HANGS_AFTER_S)


class Cluster:
    """All hosts of one run and their clients, in a directory of their own.

    `prefix_of` is what stands before a command so that it runs on the host with
    an address, such as in a network namespace.
    """

    def __init__(
        self,
        home: Path,
        store: str,
        secret: Sequence[str] = (),
        prefix_of: Callable[[str], Sequence[str]] = lambda _: (),
    ) -> None:
        self.home = home
        self.store = store
        self.secret = tuple(secret)
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(home / "config")}
        self.journals = home / "journals"
        self._prefix_of = prefix_of
        self._hosts: list[ServingHost] = []
        self._clients: list[ConsoleClient] = []

    def _start(
        self, address: str, *arguments: str, command: Sequence[str] = COMMAND
    ) -> ServingHost:
        log = self.home / f"host-{len(self._hosts)}.log"
        journal = ("--journal", str(self.journals))
        options = [*arguments, "--store", self.store, *journal, *self.secret]
        prefix = self._prefix_of(address)
        host = ServingHost(address, options, log, self.environment, prefix, command)
        self._hosts.append(host)
        return self._hosts[-1]

    def serve(self, address: str, image: Path, *arguments: str) -> ServingHost:
        """Start a primary that is alone; return once its guest may run."""
        host = self._start(address, str(image), *arguments)
        host.see("protected as soon as")
        return host

    def join(
        self,
        address: str,
        *others: str,
        command: Sequence[str] = COMMAND,
        options: Sequence[str] = (),
    ) -> ServingHost:
        """Start a host that wants to be somebody's backup."""
        return self._start(address, "--join", ",".join(others), *options, command=command)

    def console(
        self, *addresses: str, at: str = "", options: Sequence[str] = ()
    ) -> "ConsoleClient":
        """Attach a console."""
        command = [
            *(self._prefix_of(at) if at else ()),
            *(*COMMAND, "console", ",".join(addresses), *self.secret, *options),
            *("--journal", str(self.journals)),
        ]
        self._clients.append(ConsoleClient(command, self.home, self.environment))
        return self._clients[-1]

    def status(self, *addresses: str, at: str = "") -> list[dict[str, Any]]:
        """Return what hosts say of themselves."""
        answers: list[dict[str, Any]] = json.loads(self.asked(*addresses, at=at).stdout)
        return answers

    def asked(self, *addresses: str, at: str = "") -> subprocess.CompletedProcess[bytes]:
        """Ask hosts for their status."""
        return subprocess.run(
            [
                *(self._prefix_of(at) if at else ()),
                *(*COMMAND, "status", ",".join(addresses), "--json", *self.secret),
            ],
            capture_output=True,
            env=self.environment,
            timeout=HANGS_AFTER_S,
        )

    def close(self) -> None:
        """Leave nothing behind; judge the run by what its hosts wrote down."""
        for process in [h.process for h in self._hosts] + [c.process for c in self._clients]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        journals = read_journals(self.journals)
        if journals:
            verdict = audit(journals)
            assert verdict.findings.violations == verdict.findings.missing == []
            assert verdict.consoles == len(self._clients)


class ConsoleClient:
    """One `ftvm console` in a pipe, that types increments and knows what must come back."""

    def __init__(self, command: Sequence[str], home: Path, environment: dict[str, str]) -> None:
        self.expected = READY
        self.number = 0
        self._out = home / f"console-{time.monotonic_ns()}.out"
        self._err = self._out.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment, cwd=home
            )

    @property
    def output(self) -> bytes:
        return self._out.read_bytes()

    @property
    def said(self) -> str:
        return self._err.read_text()

    def send(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()

    def type(self, increments: int) -> None:
        self.send(b"i" * increments)
        for _ in range(increments):
            self.number += 1
            self.expected += b"%d\n" % self.number

    def until(self, length: int) -> None:
        """Wait for so many bytes of output."""
        wait_for(
            lambda: len(self.output) >= length or self.process.poll() is not None,
            lambda: f"{len(self.output)} bytes of {length} came; {self.said}",
        )
        assert len(self.output) >= length, (self.output[-200:], self.said)

    def answered(self) -> None:
        """Wait until everything typed is answered, and judge it."""
        self.until(len(self.expected))
        assert self.output == self.expected

    def leave(self) -> None:
        """End the guest, by its own word; judge all that was seen."""
        self.send(b"q")
        assert self.end() == 0, self.said
        assert self.output == self.expected

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(HANGS_AFTER_S)
