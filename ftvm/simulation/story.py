"""What happened in a simulated run, as people read it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ftvm.replication.arbitration import Lost, Outcome, Unreachable, Won
from ftvm.replication.events import (
    AskStore,
    Attached,
    Contradiction,
    Ended,
    Event,
    GenerationWon,
    GoLive,
    GuestExited,
    Halt,
    OutputAccepted,
    OutputReleased,
    PeerJoined,
    PeerLost,
    ProtectionFailed,
    Send,
    StateGiven,
    StateWanted,
    step_name,
)
from ftvm.units import Nanoseconds

FAULT = "fault"
"""To whom a moment happens that is the world's doing."""


@dataclass(frozen=True)
class Moment:
    """One thing that happened; a detail is for who looks for the reason of another."""

    at_ns: Nanoseconds
    who: str
    what: str
    detail: bool = False


class Story:
    """All that happened, in order."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._seen = bytearray()
        """Output that the console saw in a row."""

    def tell(self, at_ns: Nanoseconds, who: str, what: str, *, detail: bool = False) -> None:
        """Add what happened to `who`."""
        if not detail:
            self._seen.clear()
        self._moments.append(Moment(at_ns, who, what, detail))

    def see(self, at_ns: Nanoseconds, who: str, data: bytes) -> None:
        """Add output that was seen; what comes in a row is one moment."""
        if self._seen:
            last = max(at for at, moment in enumerate(self._moments) if not moment.detail)
            self._moments[last] = replace(self._moments[last], what=_sight(self._seen + data))
            self._seen += data
        else:
            self.tell(at_ns, who, _sight(data))
            self._seen += data

    def moments(self, *, details: bool = False) -> Iterator[Moment]:
        """Yield what happened, with all details or without."""
        return (moment for moment in self._moments if details or not moment.detail)


def _sight(data: bytes | bytearray) -> str:
    return f"sees {bytes(data).decode('latin-1')!a}"


def outcome_phrase(outcome: Outcome) -> str:
    """Say what the store answered."""
    match outcome:
        case Won(generation):
            return f"wins generation {generation}"
        case Lost(generation, owner):
            return f"loses: generation {generation} is {owner}'s"
        case Unreachable(detail):
            return f"cannot ask the store: {detail}"


def phrase(event: Event) -> tuple[str, bool]:
    """Say what a node or a console does about `event`, and whether that is a detail."""
    match event:
        case AskStore(expected, _):
            return f"asks the store for generation {expected + 1}", False
        case GenerationWon(generation):
            return f"has generation {generation}", True
        case PeerJoined(_, node, generation):
            return f"is a pair with {node} in generation {generation}", False
        case PeerLost(cause, detail, count):
            return f"has lost the other replica: {_cause(cause, detail)}, at {count:,}", False
        case StateWanted(_, node):
            return f"begins to send its guest to {node}", False
        case StateGiven(count):
            return f"has the whole guest, at {count:,}", False
        case ProtectionFailed(cause, detail):
            return f"has lost the new backup: {_cause(cause, detail)}", False
        case GoLive(generation, count):
            return f"goes live in generation {generation}, at {count:,}", False
        case Halt(cause, detail):
            return f"halts: {_cause(cause, detail)}", False
        case Ended(reason, status):
            return f"ends: {reason.name.lower().replace('_', ' ')}, status {status}", False
        case Attached(_, node, generation):
            return f"follows {node}, generation {generation}", False
        case GuestExited(status, count):
            return f"sees the guest leave with {status}, at {count:,}", False
        case Contradiction(kind, detail):
            return f"is contradicted: {kind}: {detail}", False
        case Send(link, message):
            return f"sends on connection {link}: {message}", True
        case OutputReleased(_, _, offset, data, count):
            return f"lets out {data!r} from {offset}, made at {count:,}", True
        case OutputAccepted(_, generation, offset, data):
            return f"accepts {data!r} from {offset} of generation {generation}", True
    return f"{step_name(event)}: {event}", True


def _cause(cause: str, detail: str) -> str:
    return f"{cause} ({detail})" if detail else cause
