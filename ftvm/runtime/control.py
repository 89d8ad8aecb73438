"""What a supervisor and its nodes say to each other, as lines of JSON.

The supervisor writes to a node's standard input, a `Measure` now and then, perhaps a
`Stop` later; the end of that stream tells the node that it is alone, and it
ends. The node writes `Told` lines to its standard output. Times are host
monotonic ns, which all processes of a host share.
"""

from typing import TypeVar

import msgspec

from ftvm.errors import ProtocolError
from ftvm.replication.settings import FAILURE_TIMEOUT_NS, LAG_BOUND_NS
from ftvm.runtime.disk_image import DiskFile
from ftvm.runtime.report import Flow, Protection
from ftvm.runtime.status import HostStatus, Transfer


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is to be.

    ``role`` is primary, backup (from the boot on) or recruit: a backup that is
    sent its machine, and needs no image for that; nor a ``run``, if it is to
    join any. ``solo``: no backup is wanted. ``hosted``: nobody supervises the
    node, so its guest waits neither for a first backup nor for a console.
    ``join_host`` and ``join_port`` are the primary's; of ``crashes`` the first
    of each role is meant, primary being what a backup may become. ``is_state``:
    the image is a snapshot, from which the guest goes on; ``screen``: its text
    screen is watched from the beginning. ``record`` is the file
    to record this replica's run into, ``flips`` are the faults to plant in the first
    replicas of each role. ``evidence``: where a backup that differs leaves what tells why.
    ``journal`` is the file that its journal goes to, if any. ``metrics``: measure
    what a status does not tell. ``disks`` are open images, of a recruit too.
    """

    name: str
    role: str
    store_url: str
    solo: bool = False
    hosted: bool = False
    run: str = ""
    image_path: str = ""
    image_name: str = ""
    append: str = ""
    initrd_path: str | None = None
    modules: tuple[str, ...] = ()
    memory_bytes: int = 0
    epoch_s: int = 0
    join_host: str = ""
    join_port: int = 0
    crashes: tuple[str, ...] = ()
    failure_timeout_ns: int = FAILURE_TIMEOUT_NS
    lag_bound_ns: int = LAG_BOUND_NS
    is_state: bool = False
    screen: bool = False
    record: str = ""
    flips: tuple[str, ...] = ()
    evidence: str = ""
    journal: str = ""
    metrics: bool = False
    disks: tuple[DiskFile, ...] = ()


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End: the user wants it."""

    detail: str


class Measure(msgspec.Struct, frozen=True, tag="measure"):
    """Say how you are, with `Measured`."""


class FlipBit(msgspec.Struct, frozen=True, tag="flip"):
    """Turn a bit of the guest's memory over behind the next instruction."""

    address: int
    bit: int


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """Of a backup: nothing goes to the primary or comes from it any more."""


class Mend(msgspec.Struct, frozen=True, tag="mend"):
    """What was cut is whole again, and what waited goes on."""


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """How a node is. Of a histogram: how often output was held so long (see hold_meter.py)."""

    status: HostStatus
    hold_counts: tuple[int, ...]
    hold_sum_ns: int
    hold_percentiles_ns: tuple[int, ...]
    """How long half, and 99 of 100, of the newest outputs were held at most; empty without any."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The guest is loaded, the node takes connections."""


class Paired(msgspec.Struct, frozen=True, tag="paired"):
    """Primary and backup are in lockstep from here on."""

    count: int


class Protected(msgspec.Struct, frozen=True, tag="protected"):
    """This primary has sent its state to the backup `node`, which is complete: what it took."""

    node: str
    generation: int
    count: int
    bytes: int
    rounds: int
    pages: int
    pause_ns: int
    transfer_ns: int
    total_ns: int

    def report(self) -> Protection:
        """Return the same for the report of the run."""
        return Protection(
            generation=self.generation,
            backup=self.node,
            instruction=self.count,
            rounds=self.rounds,
            pages=self.pages,
            bytes=self.bytes,
            pause_ns=self.pause_ns,
            transfer_ns=self.transfer_ns,
            total_ns=self.total_ns,
        )


class Transferring(msgspec.Struct, frozen=True, tag="transferring"):
    """A machine is on its way from a primary, which tells this, or to the backup that does.

    ``node`` is the other one.
    """

    node: str
    transfer: Transfer


class Unprotected(msgspec.Struct, frozen=True, tag="unprotected"):
    """A transfer to a new backup came to nothing."""

    node: str
    cause: str
    detail: str


class PeerGone(msgspec.Struct, frozen=True, tag="peer gone"):
    """The other replica is lost."""

    cause: str
    detail: str
    count: int
    at_ns: int


class Waits(msgspec.Struct, frozen=True, tag="waits"):
    """A host that wants to join waits, and why."""

    why: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Somebody who is none of the pair was turned away."""

    text: str


class Evidence(msgspec.Struct, frozen=True, tag="evidence"):
    """This backup differs from its primary, and has left here what tells why."""

    directory: str


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
    flow: Flow


class Committing(msgspec.Struct, frozen=True, tag="committing"):
    """This primary puts what the guest wrote into its disk images: that may take a while."""


class Over(msgspec.Struct, frozen=True, tag="over"):
    """The node ends: `cause` is empty when the guest has, else why the node must."""

    cause: str
    detail: str


Told = (
    Ready
    | Paired
    | Protected
    | Transferring
    | Unprotected
    | PeerGone
    | Waits
    | Refused
    | Measured
    | Evidence
    | WentLive
    | WentAlone
    | Totals
    | Committing
    | Over
)
Command = Stop | Measure | FlipBit | Cut | Mend
T = TypeVar("T")


def encode_line(message: Told | Command) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode_line(line: bytes, kind: type[T]) -> T:
    """Read a line; raises ProtocolError if it is none of `kind`."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"control line {line[:60]!r}: {error}") from None
