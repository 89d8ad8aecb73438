"""A console's account of itself, and the output of a run as the replicas released it."""

from dataclasses import dataclass, field

from ftvm.audit import records
from ftvm.audit.findings import Findings, Rule, Violation
from ftvm.audit.journal import Journal


class Stream:
    """Output of one channel by all replicas, in the order of their generations."""

    def __init__(self) -> None:
        self._stretches = [(0, bytearray())]
        """Without a gap each, by their offsets."""
        self.end_by: dict[str, int] = {}
        """Where each node's output ended."""

    @property
    def size(self) -> int:
        """Bytes that there are, without what was left out."""
        return sum(len(data) for _, data in self._stretches)

    def put(self, offset: int, text: str) -> tuple[int | None, int | None]:
        """Add output; return where it differs from what was there, and how much is left out.

        Each is None if that is not so.
        """
        data = _bytes_of(text)
        start, newest = self._stretches[-1]
        end = start + len(newest)
        if offset > end:
            self._stretches.append((offset, bytearray(data)))
            return None, offset - end
        known = end - offset
        differs = _first_difference(self._read(offset, min(known, len(data))), data[:known])
        newest += data[known:]
        return (None if differs is None else offset + differs), None

    def has(self, offset: int, text: str) -> bool:
        """Whether this output is there, and without a gap."""
        return self._read(offset, len(text)) == _bytes_of(text)

    def _read(self, offset: int, size: int) -> bytes:
        for start, data in reversed(self._stretches):
            if start <= offset:
                return bytes(data[offset - start : offset - start + size])
        return b""


def _bytes_of(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _first_difference(one: bytes, other: bytes) -> int | None:
    if one == other:
        return None
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


@dataclass
class ConsoleView:
    """What a console has seen, for the judgement of all."""

    file: str
    begun: records.Begun
    followed: list[tuple[records.Followed, int]] = field(default_factory=list)
    accepted: list[tuple[records.Accepted, int]] = field(default_factory=list)
    forgot: list[tuple[records.Forgot, int]] = field(default_factory=list)
    exit: tuple[records.ExitHeard, int] | None = None

    @property
    def run(self) -> str:
        """Which run it is of; empty as long as it has followed nobody."""
        return self.followed[0][0].run if self.followed else self.begun.run


def view_of(journal: Journal, findings: Findings) -> ConsoleView | None:
    """Return a console's view, judged by itself; None of a replica's journal."""
    begun = journal.records[0] if journal.records else None
    if not isinstance(begun, records.Begun) or begun.role != records.CONSOLE_ROLE:
        return None
    view = ConsoleView(journal.name, begun)
    ends: dict[int, int] = {}
    generation = 0

    def violated(rule: Rule, text: str) -> None:
        findings.violations.append(Violation(rule, journal.name, line, text))

    for line, record in enumerate(journal.records[1:], 2):
        match record:
            case records.Followed():
                if record.generation < generation:
                    violated(
                        Rule.SINGLE_PRIMARY,
                        f"the console followed {record.node} of generation {record.generation}"
                        f" after {generation}",
                    )
                if record.run != (view.run or record.run):
                    violated(
                        Rule.SINGLE_PRIMARY,
                        f"the console followed run {record.run} after {view.run}",
                    )
                generation = max(generation, record.generation)
                view.followed.append((record, line))
            case records.Accepted():
                end = ends.setdefault(record.channel, record.offset)
                if record.offset != end:
                    fault = "lost" if record.offset > end else "doubled"
                    violated(
                        Rule.EXACTLY_ONCE,
                        f"the console saw output {fault}: from {record.offset:,},"
                        f" where {end:,} was next",
                    )
                if record.generation != generation:
                    violated(
                        Rule.SINGLE_PRIMARY,
                        f"the console took output of generation {record.generation},"
                        f" following {generation}",
                    )
                ends[record.channel] = record.offset + len(record.data)
                view.accepted.append((record, line))
            case records.Forgot():
                view.forgot.append((record, line))
            case records.ExitHeard():
                view.exit = record, line
            case records.Contradicted(kind=kind, detail=detail):
                violated(Rule.EXACTLY_ONCE, f"the console was contradicted: {kind}: {detail}")
            case _:
                violated(Rule.EXACTLY_ONCE, f"{type(record).__name__} is not a console's")
    return view
