"""HOST:PORT as people write it, and what it comes to on the network.

An IPv6 address stands in brackets (RFC 3986 §3.2.2): ``[fd00::7]:7000``.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass

from ftvm.errors import HostError, UsageError

_FORM = "give HOST:PORT, an IPv6 address in brackets"
_TEXT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})", re.ASCII)
# RFC 1123 §2.1: labels of letters, digits and hyphens, 63 bytes each, 253 together.
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII | re.I)
_PORT_MAX = 65535


@dataclass(frozen=True)
class Address:
    """Where somebody listens: a name or a numeric address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """The text that `parse_address` reads back as an equal address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(
        self, *, listening: bool = False
    ) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        """Return family and socket address of each that it stands for; HostError if of none."""
        flags = socket.AI_PASSIVE if listening else 0
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=flags)
        except OSError as error:
            raise HostError(f"no host is called {self.host}: {error.strerror}") from None
        return [(family, where) for family, _, _, _, where in found]  # type: ignore[misc]

    @property
    def is_numeric(self) -> bool:
        """Whether nobody has to be asked what it stands for."""
        return _is_ip4(self.host) or _is_ip6(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this host can reach it."""
        return all(
            ipaddress.ip_address(where[0].partition("%")[0]).is_loopback
            for _, where in self.resolve()
        )


def parse_address(text: str) -> Address:
    """Read HOST:PORT; UsageError if it is none."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise UsageError(f"address {text!r}: {_FORM}")
    inner, name, digits = match.groups()
    host, port = inner if inner is not None else name, int(digits)
    if not 0 < port <= _PORT_MAX:
        raise UsageError(f"address {text!r}: there is no port {port}")
    if inner is not None:
        if not _is_ip6(inner):
            raise UsageError(f"address {text!r}: {inner!r} is no IPv6 address")
    elif not _HOST_NAME.fullmatch(host):
        raise UsageError(f"address {text!r}: {_FORM}")
    elif re.fullmatch(r"[0-9.]+", host) and not _is_ip4(host):
        raise UsageError(f"address {text!r}: {host} is no IPv4 address")
    return Address(host, port)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read one or more addresses with commas between; UsageError if one is none, or twice there."""
    addresses = tuple(parse_address(part.strip()) for part in text.split(","))
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            raise UsageError(f"address {address} is given twice")
    return addresses


def is_host(text: str) -> bool:
    """Whether `text` may be a host: a numeric address without brackets, or a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def _is_ip6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_ip4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
