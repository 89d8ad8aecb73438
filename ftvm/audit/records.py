"""What stands in a journal: one record for each thing that the judgement needs.

Records are written by the one who did what they say, before anybody else could
see that it was done.
"""

import msgspec

FORMAT = 1
"""Of journals; another number means that other records may stand in them."""

CONSOLE_ROLE = "console"

Offsets = tuple[tuple[int, int], ...]
"""Channels and places in their streams."""


class Place(msgspec.Struct, frozen=True, order=True):
    """A place in the run: instructions executed, log bytes that led there."""

    count: int
    position: int

    def covers(self, other: "Place") -> bool:
        """Whether whoever has the log up to here can reproduce what was done at `other`."""
        return self.count >= other.count and self.position >= other.position

    def __str__(self) -> str:
        """How a person is told of it."""
        return f"instruction {self.count:,}, log byte {self.position:,}"


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """Base of all records; ``is`` says which."""


# --- of replicas --------------------------------------------------------------------


class Begun(Record, frozen=True, kw_only=True, tag="begun"):
    """First record of a replica's or a console's life; `run` is empty until it is known."""

    format: int
    node: str
    role: str
    run: str


class Greeted(Record, frozen=True, kw_only=True, tag="greeted"):
    """To this backup a primary has said which run it is of."""

    run: str
    primary: str
    generation: int


class Won(Record, frozen=True, kw_only=True, tag="won"):
    """The store has given this primary a generation: it may run alone."""

    generation: int


class Live(Record, frozen=True, kw_only=True, tag="live"):
    """The store has given this backup a generation: it is the primary, at this place."""

    generation: int
    at: Place
    inputs: Offsets
    """Input that its machine has taken."""


class Paired(Record, frozen=True, kw_only=True, tag="paired"):
    """This node and `peer` are a pair: from here on the output rule holds."""

    peer: str
    generation: int


class Lost(Record, frozen=True, kw_only=True, tag="lost"):
    """The pair has broken up."""

    cause: str


class AckSent(Record, frozen=True, kw_only=True, tag="ack-sent"):
    """This backup is about to acknowledge a mark. It has the mark that `came`, log up to `held`."""

    mark: Place
    came: Place | None
    held: int


class AckReceived(Record, frozen=True, kw_only=True, tag="ack-received"):
    """The backup's newest acknowledgement, as it came; written when something relies on it."""

    mark: Place


class Released(Record, frozen=True, kw_only=True, tag="released"):
    """Output may leave: what, when the last of it was made, and what allowed it."""

    channel: int
    generation: int
    offset: int
    data: str
    """A character for each byte (ISO 8859-1)."""
    made: Place
    acknowledged: Place | None
    """The mark that the backup has acknowledged; none of a primary that runs alone."""


class Taken(Record, frozen=True, kw_only=True, tag="taken"):
    """The guest has taken input, and the log has it."""

    channel: int
    offset: int
    size: int
    at: Place


class InputAcknowledged(Record, frozen=True, kw_only=True, tag="input-acknowledged"):
    """The console is told that it may forget input before `offset`."""

    channel: int
    offset: int


class ExitTold(Record, frozen=True, kw_only=True, tag="exit-told"):
    """The console is told that the guest has ended."""

    generation: int
    status: int
    count: int
    digest: str


class HandedOver(Record, frozen=True, kw_only=True, tag="handed-over"):
    """This primary has sent its machine, which stands here, to a new backup."""

    at: Place
    outputs: Offsets
    inputs: Offsets


class TakenOver(Record, frozen=True, kw_only=True, tag="taken-over"):
    """This new backup was sent a machine that stands here."""

    at: Place
    outputs: Offsets
    inputs: Offsets


class Attached(Record, frozen=True, kw_only=True, tag="attached"):
    """A console has greeted."""

    console: str


class Left(Record, frozen=True, kw_only=True, tag="left"):
    """The console has left on purpose: nobody waits for output any more."""


class Ended(Record, frozen=True, kw_only=True, tag="ended"):
    """Last record: why this process is at its end."""

    why: str


# --- of consoles --------------------------------------------------------------------


class Followed(Record, frozen=True, kw_only=True, tag="followed"):
    """The console listens to this primary from here on, of the run that it says."""

    node: str
    generation: int
    run: str


class Accepted(Record, frozen=True, kw_only=True, tag="accepted"):
    """New output, as the console's user is about to see it."""

    channel: int
    generation: int
    offset: int
    data: str


class Forgot(Record, frozen=True, kw_only=True, tag="forgot"):
    """The console was told that it may forget input before `offset`."""

    channel: int
    offset: int


class ExitHeard(Record, frozen=True, kw_only=True, tag="exit-heard"):
    """The console was told that the guest has ended."""

    status: int
    count: int
    digest: str


class Contradicted(Record, frozen=True, kw_only=True, tag="contradicted"):
    """The console saw what must never be seen."""

    kind: str
    detail: str


AnyRecord = (
    Begun | Greeted | Won | Live | Paired | Lost | AckSent | AckReceived | Released | Taken
    | InputAcknowledged | ExitTold | HandedOver | TakenOver | Attached | Left | Ended
    | Followed | Accepted | Forgot | ExitHeard | Contradicted
)  # fmt: skip
