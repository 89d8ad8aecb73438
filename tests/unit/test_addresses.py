"""HOST:PORT as people write it."""

import pytest

from ftvm.errors import HostError, UsageError
from ftvm.runtime.addresses import Address, parse_address, parse_addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7000", "127.0.0.1", 7000),
        ("[::1]:1", "::1", 1),
        ("[fe80::1%eth0]:7000", "fe80::1%eth0", 7000),
        ("localhost:65535", "localhost", 65535),
        ("Node-1.example.com:80", "Node-1.example.com", 80),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "7000", "host", "host:", ":7000", "host:0", "host:65536", "host:70000"),
        *("host:-1", "host:+1", "host:7 ", "::1:7000", "[::1]", "[]:7000", "[10.0.0.1]:7000"),
        *("[host]:7000", "1.2.3:7000", "1.2.3.256:7000", "a b:7000", "a_:٣", "http://a:1", "a:1:2"),
        *("host:000001", "ho\0st:1", "x" * 64 + ":1"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="address"):
        parse_address(text)


def test_several() -> None:
    assert parse_addresses("a:1, b:2") == (Address("a", 1), Address("b", 2))
    for wrong in ("a:1,", ",a:1", "a:1,a:1", "a:1;b:2"):
        with pytest.raises(UsageError):
            parse_addresses(wrong)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("198.18.0.1", False), ("fd00::1", False)),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert Address(host, 7000).is_loopback is loopback


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(HostError, match=r"no host is called nobody\.invalid"):
        Address("nobody.invalid", 7000).resolve()
