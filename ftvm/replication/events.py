"""What the protocol objects ask of their caller, one event at a time.

The order matters: an event may be acted on only after all events before it.
The place between two events is where a crash can hit, so each kind of event,
and each kind of message sent, has a name in STEPS.
"""

import re
from enum import StrEnum
from typing import NewType

import msgspec

from ftvm.replication.framing import encode
from ftvm.replication.messages import (
    CONSOLE_MESSAGES,
    LOGGING_MESSAGES,
    Channel,
    Mark,
    Message,
    Reason,
)
from ftvm.units import Generation, InstructionCount, LogPosition, StreamOffset

Link = NewType("Link", int)
"""The caller's number for one connection; never used twice in the life of a node."""


class LossCause(StrEnum):
    """How the other replica was lost."""

    CLOSED = "connection closed"
    SILENT = "heartbeats missed"
    STALLED = "no progress"
    BROKE_PROTOCOL = "protocol error"
    DIVERGED = "diverged"
    LEFT = "left"


class HaltCause(StrEnum):
    """Why a node must stop for good."""

    LOST_ARBITRATION = "lost arbitration"
    FENCED = "fenced"
    DIVERGED = "diverged"
    REFUSED = "refused"
    UNPROTECTED = "primary lost too early"
    """A new backup lost the primary before it had the right to go live."""
    DISK = "disk"
    """What the guest wrote cannot be put into its image."""


class Event(msgspec.Struct, frozen=True):
    """Base of what `next_event()` returns."""


class Send(Event, frozen=True):
    """Write `data` to a connection. If it is gone already, drop it: its loss is told elsewhere."""

    link: Link
    message: Message

    @property
    def data(self) -> bytes:
        """The frame."""
        return encode(self.message)


class Close(Event, frozen=True):
    """Close a connection after writing what was sent; further bytes from it are ignored."""

    link: Link
    why: str


class AskStore(Event, frozen=True):
    """Call `TestAndSet.advance(expected, owner)`, and `store_answered` once with the outcome."""

    expected: Generation
    owner: str


class GenerationWon(Event, frozen=True):
    """This primary now owns `generation` and runs alone, or waits for a backup (at boot)."""

    generation: Generation


class PeerJoined(Event, frozen=True):
    """Primary and backup are a pair from here on."""

    link: Link
    node: str
    generation: Generation


class PeerLost(Event, frozen=True):
    """The pair has broken up; for the timeline and the report. What follows is asked for apart."""

    cause: LossCause
    detail: str
    count: InstructionCount
    """Where our own machine stood."""


class StateWanted(Event, frozen=True):
    """To a primary: a backup without a machine is there. Begin to give its state to `send_state`.

    What comes of it is told by `PeerJoined` or by `ProtectionFailed`.
    """

    link: Link
    node: str


class ProtectionFailed(Event, frozen=True):
    """To a primary: forget the transfer begun; the backup is lost before it was one."""

    cause: LossCause
    detail: str


class FeedState(Event, frozen=True):
    """To a backup: make a machine of the pieces."""

    piece: bytes


class StateGiven(Event, frozen=True):
    """To a backup: the last piece has come, the machine stands at (count, position).

    Say `state_complete`, or `diverged` if it cannot be made; the log that
    follows begins at `position`.
    """

    count: InstructionCount
    position: LogPosition
    outputs: tuple[tuple[Channel, StreamOffset], ...]
    """What each output stream had by then."""


class FeedLog(Event, frozen=True):
    """Give log bytes to the backup's machine: whole entries, all covered by a mark."""

    position: LogPosition
    data: bytes


class GoLive(Event, frozen=True):
    """Switch the backup's machine from log to world, then go on with `BackupProtocol.promote`.

    The machine stands at `count` with its log used up to `position`: re-arm
    timers, let guest time go on from the last logged one, number the log on
    from `position`.
    """

    generation: Generation
    count: InstructionCount
    position: LogPosition
    inputs: tuple[tuple[Channel, StreamOffset], ...]
    """Input each stream has consumed; endpoints are asked for what follows."""


class OutputReleased(Event, frozen=True):
    """These bytes may be seen outside; sending them to endpoints is asked for apart.

    For the audit: what was released, when it was made, and what allowed it.
    """

    channel: Channel
    generation: Generation
    offset: StreamOffset
    data: bytes
    count: InstructionCount
    position: LogPosition
    acknowledged: Mark | None
    """The mark that the backup has acknowledged, or None of a primary that runs alone."""


class InputArrived(Event, frozen=True):
    """Bytes for the guest, in order and without repetition."""

    channel: Channel
    offset: StreamOffset
    data: bytes


class ConsoleAttached(Event, frozen=True):
    """A console endpoint has greeted on `link`."""

    link: Link
    node: str


class ExitDue(Event, frozen=True):
    """To a primary whose settings hold the exit: the guest's end may be told outside.

    Do first what must be done by then, and say `exit_ready`.
    """


class Halt(Event, frozen=True):
    """Stop the machine for good, close everything; last event."""

    cause: HaltCause
    detail: str


class Ended(Event, frozen=True):
    """All is done: everybody who must know has been told; last event."""

    reason: Reason
    status: int


# --- events of a console endpoint ---------------------------------------------------


class ContradictionKind(StrEnum):
    """What an endpoint saw that must never be seen."""

    OUTPUT_DIFFERS = "output differs"
    OUTPUT_LOST = "output lost"
    INPUT_LOST = "input lost"
    TWO_PRIMARIES = "two primaries"
    EXIT_DIFFERS = "exit differs"


class OutputAccepted(Event, frozen=True):
    """New output, exactly once and in order."""

    channel: Channel
    generation: Generation
    offset: StreamOffset
    data: bytes


class Attached(Event, frozen=True):
    """The endpoint follows the primary on `link` from here on."""

    link: Link
    node: str
    generation: Generation


class GuestExited(Event, frozen=True):
    """The guest has ended and all of its output was accepted before."""

    status: int
    count: InstructionCount
    digest: bytes


class Dismissed(Event, frozen=True):
    """Another console has taken over; connecting again would take it back."""

    detail: str


class Contradiction(Event, frozen=True):
    """The replicas contradicted each other; fault tolerance has failed."""

    kind: ContradictionKind
    detail: str


# --- names of steps -----------------------------------------------------------------


def _kebab(kind: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def step_name(event: Event) -> str:
    """Return the name of the step that acting on `event` is, such as "send-mark"."""
    if isinstance(event, Send):
        return f"send-{_kebab(type(event.message))}"
    return _kebab(type(event))


STEPS: tuple[str, ...] = tuple(
    dict.fromkeys(f"send-{_kebab(message)}" for message in LOGGING_MESSAGES + CONSOLE_MESSAGES)
) + tuple(_kebab(kind) for kind in Event.__subclasses__() if kind is not Send)
"""Names of all steps, for whoever wants to stop at one."""
