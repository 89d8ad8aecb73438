"""The messages of all channels; every field says why it is there and what is legal.

Three kinds of connection carry them. The *logging channel* joins primary and
backup; the *console channel* joins a node (primary or backup) and a console
endpoint; on the *status channel* anybody of the pair asks a host how it is.
The annotation of a field names its wire form (wire.py); framing.py puts
messages into frames.
"""

from enum import IntEnum
from typing import Annotated, ClassVar, NewType, TypeAlias

import msgspec

from ftvm.replication.wire import Blob, Choice, Fixed, Flag, Offsets, Text, Unsigned
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset

Channel = NewType("Channel", int)
"""Number of a pair of streams, one out of the guest and one into it."""

CONSOLE = Channel(0)
"""The guest's serial console."""

DATA_BYTES_MAX = 256 * 1024
"""Most payload bytes of one message: small enough that a heartbeat never waits long behind it."""

STATUS_BYTES_MAX = 16 * 1024
"""Most bytes of a status: some dozens of numbers and a few sentences."""

RUN_UNKNOWN = bytes(16)
"""The run id of somebody who has not taken part in any run yet."""

HASH_UNKNOWN = bytes(32)
"""Image and configuration of a backup that takes whatever machine it is sent."""

DETAIL = Text(400)
"""A sentence for people."""

CountField: TypeAlias = Annotated[InstructionCount, Unsigned(8)]
PositionField: TypeAlias = Annotated[LogPosition, Unsigned(8)]
OffsetField: TypeAlias = Annotated[StreamOffset, Unsigned(8)]
ANY_SILENCE = Nanoseconds(0)
ANY_LAG = Nanoseconds(0)
SpanField: TypeAlias = Annotated[Nanoseconds, Unsigned(8)]
GenerationField: TypeAlias = Annotated[Generation, Unsigned(8)]
ChannelField: TypeAlias = Annotated[Channel, Unsigned(2)]
DataField: TypeAlias = Annotated[bytes, Blob(DATA_BYTES_MAX)]
HashField: TypeAlias = Annotated[bytes, Fixed(32)]
RunField: TypeAlias = Annotated[bytes, Fixed(16)]
NameField: TypeAlias = Annotated[str, Text(64)]
DetailField: TypeAlias = Annotated[str, DETAIL]
OffsetsField: TypeAlias = Annotated[tuple[tuple[Channel, StreamOffset], ...], Offsets(16)]
StatusField: TypeAlias = Annotated[int, Unsigned(4)]


class Role(IntEnum):
    """What the sender of a greeting is."""

    PRIMARY = 1
    BACKUP = 2
    ENDPOINT = 3


class Reason(IntEnum):
    """Why somebody leaves of his own accord."""

    GUEST_ENDED = 1
    """The guest has ended and its end is known to whoever waits for it: do not go live."""
    USER_ACTION = 2
    """Somebody asked for it."""
    REFUSED = 3
    """The greeting does not fit; nothing was begun."""
    REPLACED = 4
    """Another console has taken over; do not come back unasked."""
    SWITCH_OVER = 5
    """Somebody asked the primary to leave its guest to the backup: go live."""


RoleField: TypeAlias = Annotated[Role, Choice(Role)]
ReasonField: TypeAlias = Annotated[Reason, Choice(Reason)]


class Message(msgspec.Struct, frozen=True):
    """What one frame carries."""

    CODE: ClassVar[int]
    """Type byte of the frame."""


# --- logging channel ---------------------------------------------------------------


class Hello(Message, frozen=True):
    """First message of either side; the backup speaks first.

    To a backup that stands where the primary stands, the primary's answer is
    its consent: from the moment it is sent the output rule holds, and from the
    moment it is received the backup may go live. To a backup that needs state
    it only says that state will come; the consent is COMMIT.
    """

    CODE: ClassVar[int] = 1

    role: RoleField
    """BACKUP from him who connects, PRIMARY in the answer; two of a kind must not pair up."""
    node: NameField
    """The owner that the store will name if this side wins; unique among all processes of a run."""
    run: RunField
    """Which run: logs of two runs never mix. RUN_UNKNOWN from a backup that takes what comes."""
    generation: GenerationField
    """Newest generation the sender knows of; 0 for none. Whoever knows of a newer one refuses."""
    image: HashField
    """Hash of guest image and command line: the same start state on both sides. HASH_UNKNOWN
    from a backup that needs state and takes what comes."""
    config: HashField
    """Hash of the machine's configuration: the same devices and memory on both sides;
    HASH_UNKNOWN as above."""
    engine: NameField
    """Build of the CPU engine: two builds may count or compute differently. Must be equal."""
    count: CountField
    """Where the sender's machine stands; both must stand at the same place."""
    position: PositionField
    """Log bytes that led there; both must have the same."""
    needs_state: Annotated[bool, Flag()]
    """Whether a backup has no machine yet: count and position are 0 and say nothing. False from
    a primary."""
    lag_ns: SpanField
    """How far the pair's backup may be behind, from a primary: the backup keeps to it when it is
    the primary itself. ANY_LAG from a backup."""


class Entries(Message, frozen=True):
    """Primary to backup: the next bytes of the log, opaque here."""

    CODE: ClassVar[int] = 2

    position: PositionField
    """Log position of the first byte; must be the end of what was sent before (no gap)."""
    data: DataField
    """Whole and part entries alike; only a mark says that a place is a boundary."""


class Mark(Message, frozen=True):
    """Primary to backup: whatever had an effect up to `count` is in the log before `position`.

    Both fields only ever grow, and both matter: an event applied at a count
    where a mark was sent already (the guest sits in HLT) moves only the position.
    """

    CODE: ClassVar[int] = 3

    count: CountField
    """The backup may run until here and no further."""
    position: PositionField
    """End of the log that belongs to it; at most what was sent."""
    awaited: Annotated[bool, Flag()] = False
    """Whether output waits for its acknowledgement, which then is sent before anything else is
    done. A place that was marked is the same place whether or not somebody waited."""

    def covers(self, count: InstructionCount, position: LogPosition) -> bool:
        """Whether whoever holds this mark can reproduce what was done at (count, position)."""
        return self.count >= count and self.position >= position


class Ack(Message, frozen=True):
    """Backup to primary: I hold this mark and all log before it, in memory."""

    CODE: ClassVar[int] = 4

    count: CountField
    """Count of the newest mark received; releases outputs. Must be of a mark that was sent."""
    position: PositionField
    """Position of that mark."""
    executed: CountField
    """How far the backup's machine has run; bounds the lag. At most `count`."""


class Released(Message, frozen=True):
    """Primary to backup: how much of an output stream has safely arrived outside.

    The backup keeps the outputs its own machine makes from here on, to send
    them again when it goes live.
    """

    CODE: ClassVar[int] = 5

    channel: ChannelField
    """Which output stream."""
    offset: OffsetField
    """Everything before it was confirmed by the endpoint; only grows."""
    wanted: Annotated[bool, Flag()]
    """Whether an endpoint counts on the rest: if so it is kept, never dropped for space."""


class Heartbeat(Message, frozen=True):
    """Either direction, at a fixed interval, whatever else is sent: I am alive."""

    CODE: ClassVar[int] = 6

    count: CountField
    """How far the sender's machine has run; shows the lag while nothing else is sent."""
    patience_ns: SpanField = ANY_SILENCE
    """The silence after which the sender takes the other for lost, so that two of different
    settings beat often enough for each other. ANY_SILENCE asks for nothing."""


class Goodbye(Message, frozen=True):
    """Any direction on any channel, last message: I leave on purpose.

    From the primary: the backup must not go live, unless with SWITCH_OVER,
    which is a loss of the primary like any other. From an endpoint with
    GUEST_ENDED: I have all output and the exit status.
    """

    CODE: ClassVar[int] = 7

    reason: ReasonField
    """Why; decides what the other side does."""
    status: StatusField
    """The guest's exit status with GUEST_ENDED, else 0."""
    detail: DetailField
    """One line for people; may be empty."""


class Diverged(Message, frozen=True):
    """Backup to primary: my machine is not equal to yours; I shall not go live."""

    CODE: ClassVar[int] = 8

    count: CountField
    """Instruction at which the difference was seen."""
    detail: DetailField
    """What differs."""


class State(Message, frozen=True):
    """Primary to backup: the next piece of the machine's state, opaque here."""

    CODE: ClassVar[int] = 9

    piece: DataField
    """Pieces arrive in the order they were made in; the last one makes the machine whole."""


class Taken(Message, frozen=True):
    """Backup to primary: so many pieces are in my machine; send more."""

    CODE: ClassVar[int] = 10

    pieces: Annotated[int, Unsigned(8)]
    """All since the greeting; only grows, at most what was sent."""


class Kept(Message, frozen=True):
    """Primary to backup: output of the past that no endpoint has confirmed.

    The backup's machine will not make it again; should the backup go live, it
    is to be sent again all the same.
    """

    CODE: ClassVar[int] = 11

    channel: ChannelField
    """Which output stream."""
    offset: OffsetField
    """Place of the first byte; the first KEPT of a channel says where it begins, then no gap."""
    data: DataField
    """The bytes; never empty."""


class Handover(Message, frozen=True):
    """Primary to backup: that was all; the machine stands here, and from here on there is log."""

    CODE: ClassVar[int] = 12

    count: CountField
    """Where the machine that was sent stands."""
    position: PositionField
    """Log bytes that led there; ENTRIES go on from it."""
    outputs: OffsetsField
    """Everything each output stream had by then; the backup's own output follows it."""
    inputs: OffsetsField
    """Input that each stream's machine has taken."""


class Complete(Message, frozen=True):
    """Backup to primary: I have made a machine of what you sent, and this is its digest."""

    CODE: ClassVar[int] = 13

    count: CountField
    """Where it stands: the count of HANDOVER."""
    digest: Annotated[bytes, Blob(64)]
    """Must be that of the primary's machine at this count, or the two are no pair."""


class Commit(Message, frozen=True):
    """Primary to backup: we are a pair; from here on you may go live."""

    CODE: ClassVar[int] = 14

    generation: GenerationField
    """The one that the greeting named: the pair's right to run ends with it."""


# --- console channel ---------------------------------------------------------------


class ConsoleHello(Message, frozen=True):
    """First message of either side, and from a node again when its role or generation changes."""

    CODE: ClassVar[int] = 16

    role: RoleField
    """PRIMARY: I serve you now. BACKUP: stay, I may serve you later. ENDPOINT from the console."""
    node: NameField
    """Who speaks: two nodes with one generation would be two primaries."""
    run: RunField
    """Which run; RUN_UNKNOWN from an endpoint that takes what comes."""
    generation: GenerationField
    """The node's own, or the highest the endpoint has accepted: an older node is fenced off."""
    offsets: OffsetsField
    """What the sender already has of each stream that flows to him: go on from there.

    No entry from an endpoint that is new to the run: it begins with the oldest output kept.
    """


class Output(Message, frozen=True):
    """Node to endpoint: released output."""

    CODE: ClassVar[int] = 17

    generation: GenerationField
    """Generation of the sender; must be the one of its greeting."""
    channel: ChannelField
    """Which output stream."""
    offset: OffsetField
    """Place of the first byte in the stream: what the endpoint has already it drops."""
    data: DataField
    """The bytes; never empty."""


class Received(Message, frozen=True):
    """Endpoint to node: I have this output; nobody needs to send it again."""

    CODE: ClassVar[int] = 18

    channel: ChannelField
    """Which output stream."""
    offset: OffsetField
    """Everything before it has arrived; at most what was sent."""


class Input(Message, frozen=True):
    """Endpoint to node: bytes for the guest."""

    CODE: ClassVar[int] = 19

    channel: ChannelField
    """Which input stream."""
    offset: OffsetField
    """Place of the first byte in the stream: what the node has already it drops; no gap."""
    data: DataField
    """The bytes; never empty."""


class Consumed(Message, frozen=True):
    """Node to endpoint: the guest has taken this input and no single failure can undo it."""

    CODE: ClassVar[int] = 20

    channel: ChannelField
    """Which input stream."""
    offset: OffsetField
    """The endpoint may forget everything before it."""


class Exited(Message, frozen=True):
    """Node to endpoint, and primary to backup: the guest has ended; all its output, and all log,
    has been sent before this."""

    CODE: ClassVar[int] = 21

    generation: GenerationField
    """Generation of the sender."""
    status: StatusField
    """The guest's exit status."""
    count: CountField
    """Final instruction count; the same from every replica."""
    digest: Annotated[bytes, Blob(64)]
    """Final digest of the machine; the same from every replica. Empty if none was made."""


class Fenced(Message, frozen=True):
    """Endpoint to node: a newer generation exists; you are not primary any more."""

    CODE: ClassVar[int] = 22

    generation: GenerationField
    """The newest that the endpoint has accepted."""


# --- status channel ----------------------------------------------------------------


class StatusWanted(Message, frozen=True):
    """Anybody of the pair to a host, as often as he likes: how are you?"""

    CODE: ClassVar[int] = 32


class Status(Message, frozen=True):
    """The answer of a host of whatever role."""

    CODE: ClassVar[int] = 33

    report: Annotated[bytes, Blob(STATUS_BYTES_MAX)]
    """A JSON object; its fields are the runtime's, and opaque here."""


LOGGING_MESSAGES: tuple[type[Message], ...] = (
    Hello, Entries, Mark, Ack, Released, Heartbeat, Goodbye, Diverged,
    State, Taken, Kept, Handover, Complete, Commit, Exited,
)  # fmt: skip
CONSOLE_MESSAGES: tuple[type[Message], ...] = (
    Heartbeat, Goodbye, ConsoleHello, Output, Received, Input, Consumed, Exited, Fenced,
)  # fmt: skip
STATUS_MESSAGES: tuple[type[Message], ...] = (StatusWanted, Status)
