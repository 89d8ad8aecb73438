"""Network namespaces as hosts with addresses of their own, on a bridge, with links to cut."""

import os
import shutil
import subprocess

import pytest

_PREFIX = "198.18"  # RFC 2544: for tests, never routed


class NoNamespacesError(Exception):
    """This process may not make any."""


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NoNamespacesError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Network:
    """Hosts 1 to `hosts`; whoever runs this test is host 254 of the same network."""

    def __init__(self, hosts: int) -> None:
        self._name = f"fv{os.getpid() % 100_000}"
        self._subnet = os.getpid() % 250 + 1
        self._hosts = range(1, hosts + 1)
        self._made: list[tuple[str, ...]] = []
        try:
            self._make()
        except NoNamespacesError:
            self.close()
            raise

    def _make(self) -> None:
        bridge = f"{self._name}b"
        self._do("link", "add", bridge, "type", "bridge", undo=("link", "del", bridge))
        self._do("addr", "add", f"{self.address(254)}/24", "dev", bridge)
        self._do("link", "set", bridge, "up")
        for host in self._hosts:
            space, port = self._space(host), self._port(host)
            self._do("netns", "add", space, undo=("netns", "del", space))
            veth = ("type", "veth", "peer", "name", "eth0", "netns", space)
            self._do("link", "add", port, *veth, undo=("link", "del", port))
            self._do("link", "set", port, "master", bridge, "up")
            self._do("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            six = f"{self.address6(host)}/64"
            self._do("-n", space, "addr", "add", six, "dev", "eth0", "nodad")
            self._do("-n", space, "link", "set", "eth0", "up")
            self._do("-n", space, "link", "set", "lo", "up")

    def _do(self, *arguments: str, undo: tuple[str, ...] | None = None) -> None:
        _ip(*arguments)
        if undo is not None:
            self._made.append(undo)

    def close(self) -> None:
        for undo in reversed(self._made):
            subprocess.run(["ip", *undo], check=True)
        self._made.clear()

    def address(self, host: int) -> str:
        return f"{_PREFIX}.{self._subnet}.{host}"

    def address6(self, host: int) -> str:
        return f"fd00:f7:{self._subnet:x}::{host:x}"

    def inside(self, host: int) -> tuple[str, ...]:
        """What stands before a command so that it runs on that host."""
        return ("ip", "netns", "exec", self._space(host))

    def cut(self, host: int) -> None:
        """Nothing comes or goes."""
        _ip("link", "set", self._port(host), "down")

    def deafen(self, host: int) -> None:
        """The host hears nothing, and is heard."""
        self._choke(("tc",), self._port(host))

    def mute(self, host: int) -> None:
        """The host is not heard, and hears everything."""
        self._choke(("tc", "-n", self._space(host)), "eth0")

    def mend(self, host: int) -> None:
        """Everything comes and goes."""
        _ip("link", "set", self._port(host), "up")
        for tc, device in (("tc",), self._port(host)), (("tc", "-n", self._space(host)), "eth0"):
            subprocess.run([*tc, "qdisc", "del", "dev", device, "root"], capture_output=True)

    def _choke(self, tc: tuple[str, ...], device: str) -> None:
        # A token bucket smaller than any frame: all frames are dropped (tc-tbf(8)).
        bucket = ("tbf", "rate", "8bit", "burst", "1", "latency", "1ms")
        subprocess.run([*tc, "qdisc", "replace", "dev", device, "root", *bucket], check=True)

    def _space(self, host: int) -> str:
        return f"{self._name}h{host}"

    def _port(self, host: int) -> str:
        return f"{self._name}p{host}"


def make_network(hosts: int) -> Network:
    """Return a network; skips the test where none can be made."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip (Debian: iproute2)")
    try:
        return Network(hosts)
    except NoNamespacesError as error:
        pytest.skip(f"no network namespaces here: {error}")
