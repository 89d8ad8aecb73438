"""Names of nodes that run on hosts of their own."""

import secrets
import socket

from ftvm.runtime.addresses import Address

_ADDRESS_BYTES_MAX = 54
"""Of a name's 64, what is left beside the part that makes it unique."""


def name_of(listen: Address) -> str:
    """Return a name that no other process has: where it listens, and some random digits."""
    wildcard = listen.host in ("0.0.0.0", "::")
    where = Address(socket.gethostname(), listen.port) if wildcard else listen
    address = str(where).encode()[-_ADDRESS_BYTES_MAX:].decode(errors="ignore")
    return f"{address}/{secrets.token_hex(4)}"


def address_in(name: str) -> str:
    """Return the address in a node's name, for people."""
    return name.rpartition("/")[0] or name


def replica_name(index: int) -> str:
    """Return a name that no other replica of a run has: a to z, a2 to z2 and so on."""
    turn, letter = divmod(index, 26)
    return chr(ord("a") + letter) + (str(turn + 1) if turn else "")
