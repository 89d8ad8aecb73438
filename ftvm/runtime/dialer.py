"""Keeps one connection to each of several hosts, some of which may not be there."""

from collections.abc import Iterable

from ftvm.errors import UsageError
from ftvm.replication.events import Link
from ftvm.runtime.addresses import Address
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

RETRY_INTERVAL_NS = Nanoseconds(250_000_000)
"""Between two attempts to connect to a host."""


class Dialer:
    """Connects, and connects again."""

    def __init__(self, transport: Transport, addresses: Iterable[Address]) -> None:
        self._transport = transport
        self._due: dict[Address, Nanoseconds] = {a: Nanoseconds(0) for a in addresses}
        self._links: dict[Link, Address] = {}
        self.troubles: dict[Address, str] = {}
        """Why there is no connection to a host, of those that were tried last in vain."""
        self._strangers: set[Address] = set()
        """Those of them where somebody is who is none of the pair, or thinks that of us."""

    def add(self, address: Address) -> None:
        """Connect to one more host."""
        self._due[address] = Nanoseconds(0)

    def remove(self, address: Address) -> None:
        """Connect to a host no more."""
        self._due.pop(address, None)

    def dial(self, now: Nanoseconds) -> list[Link]:
        """Begin to connect where it is time; return the new connections."""
        connected = set(self._links.values())
        begun = []
        for address, due in self._due.items():
            if address in connected or now < due:
                continue
            self._due[address] = Nanoseconds(now + RETRY_INTERVAL_NS)
            link = self._transport.connect(address.host, address.port)
            self._links[link] = address
            begun.append(link)
        return begun

    def owns(self, link: Link) -> bool:
        """Whether a connection is one of ours."""
        return link in self._links

    def address_of(self, link: Link) -> Address:
        """Return where a connection leads."""
        return self._links[link]

    def answered(self, link: Link) -> None:
        """Note that somebody of the pair is at the other end."""
        self.troubles.pop(self._links[link], None)

    def closed(self, link: Link, why: str, is_stranger: bool = False) -> None:
        """Note that a connection is gone, of ours or not."""
        address = self._links.pop(link, None)
        if address is None:
            return
        said = f"{address}: {why}" if why else f"{address} closed the connection"
        self.troubles[address] = said
        (self._strangers.add if is_stranger else self._strangers.discard)(address)

    @property
    def hopeless(self) -> bool:
        """Whether every host was tried in vain."""
        return all(address in self.troubles for address in self._due)

    def check_secret(self) -> None:
        """UsageError if all were tried in vain, and who is there has another secret."""
        there = self._strangers & set(self.troubles)
        strangers = [self.troubles[address] for address in self._due if address in there]
        if self.hopeless and strangers:
            raise UsageError(
                f"{'; '.join(strangers)}; give the secret that the hosts were given, with"
                " --key-file, or with --cert, --cert-key and --ca"
            )

    def deadline(self) -> Nanoseconds | None:
        """When to `dial` next."""
        connected = set(self._links.values())
        return min((d for a, d in self._due.items() if a not in connected), default=None)

    def hang_up(self) -> None:
        """Close all connections."""
        for link in list(self._links):
            self._transport.close(link)
        self._links.clear()
