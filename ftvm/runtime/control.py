"""What a supervisor and its nodes say to each other, as lines of JSON.

The supervisor writes a `NodeConfig` to a node's standard input, perhaps a
`Stop` later; the end of that stream tells the node that it is alone, and it
ends. The node writes `Told` lines to its standard output. Times are host
monotonic ns, which all processes of a host share.
"""

from typing import TypeVar

import msgspec

from ftvm.errors import ProtocolError


class NodeConfig(msgspec.Struct, frozen=True, tag="config"):
    """What a node is to be. Descriptors are listening sockets that it inherits."""

    name: str
    role: str
    solo: bool
    run: str
    image_path: str
    image_name: str
    append: str
    initrd_path: str | None
    modules: tuple[str, ...]
    memory_bytes: int
    epoch_s: int
    store_url: str
    console_descriptor: int
    logging_descriptor: int
    logging_port: int
    crashes: tuple[str, ...]
    key: str
    """The run's secret in hexadecimal: here because other users can see argv, and children
    of a process its environment."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End: the user wants it."""

    detail: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The guest is loaded, the node takes connections."""


class Paired(msgspec.Struct, frozen=True, tag="paired"):
    """Primary and backup are in lockstep from here on."""

    count: int


class PeerGone(msgspec.Struct, frozen=True, tag="peer gone"):
    """The other replica is lost."""

    cause: str
    detail: str
    count: int
    at_ns: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Somebody who is none of the pair was turned away."""

    text: str


class WentLive(msgspec.Struct, frozen=True, tag="live"):
    """This node has become the primary. The times of the steps on the way there."""

    generation: int
    count: int
    log_bytes: int
    log_entries: int
    digests: int
    held_bytes: int
    lost_ns: int
    drained_ns: int
    won_ns: int
    live_ns: int


class WentAlone(msgspec.Struct, frozen=True, tag="alone"):
    """This primary has won the right to go on without a backup."""

    generation: int
    count: int
    lost_ns: int
    won_ns: int


class Totals(msgspec.Struct, frozen=True, tag="totals"):
    """Where a node stands; its last word, and now and then before."""

    count: int
    log_bytes: int
    log_entries: int
    held_bytes_max: int
    digests: int
    digest: str


class Over(msgspec.Struct, frozen=True, tag="over"):
    """The node ends: `cause` is empty when the guest has, else why the node must."""

    cause: str
    detail: str


Told = Ready | Paired | PeerGone | Refused | WentLive | WentAlone | Totals | Over
ToNode = NodeConfig | Stop
T = TypeVar("T")


def encode_line(message: Told | ToNode) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode_line(line: bytes, kind: type[T]) -> T:
    """Read a line; raises ProtocolError if it is none of `kind`."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"control line {line[:60]!r}: {error}") from None
