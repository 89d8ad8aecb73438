"""One replica's life by its own journal: what it had the right to, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise

from ftvm.audit import records
from ftvm.audit.findings import Findings, Rule, Violation
from ftvm.audit.journal import Journal
from ftvm.audit.records import AnyRecord, Begun, Place


class Right(Enum):
    """What a replica may let out."""

    NOTHING = auto()
    """It is a backup, or was told that it must stop."""
    ACKNOWLEDGED = auto()
    """It is the primary of a pair."""
    ALL = auto()
    """It runs alone by right."""
    ASKING = auto()
    """It lost its backup, and the store has not answered."""


@dataclass(frozen=True)
class Reliance:
    """Something was let out because a backup had acknowledged a mark."""

    generation: int
    peer: str
    mark: Place
    line: int
    rule: Rule


@dataclass(eq=False)
class Life:
    """What the judgement of all needs to know of one."""

    file: str
    begun: Begun
    line: int
    """Of its first record."""
    run: str = ""
    owned: dict[int, int] = field(default_factory=dict)
    """Line at which each generation was won."""
    live: tuple[records.Live, int] | None = None
    peers: dict[int, str] = field(default_factory=dict)
    """Its primary's or backup's name in each generation."""
    acknowledged: dict[Place, int] = field(default_factory=dict)
    """Line at which each mark was acknowledged."""
    reliances: list[Reliance] = field(default_factory=list)
    released: list[tuple[records.Released, int]] = field(default_factory=list)
    unwanted: set[int] = field(default_factory=set)
    """Lines of output before which nobody waited for some."""
    inputs_told: list[tuple[records.InputAcknowledged, int, int]] = field(default_factory=list)
    """With generation and line."""
    exits: list[tuple[records.ExitTold, int]] = field(default_factory=list)
    wanted: bool = False
    over: bool = False


def lives_of(journal: Journal, findings: Findings) -> list[Life]:
    """Return the lives in a replica's journal, each judged by itself; others are passed over."""
    starts = [at for at, record in enumerate(journal.records) if isinstance(record, Begun)]
    lives = []
    for start, end in pairwise([*starts, len(journal.records)]):
        begun = journal.records[start]
        assert isinstance(begun, Begun)
        if begun.role != records.CONSOLE_ROLE:
            walk = _Walk(Life(journal.name, begun, start + 1, begun.run), findings)
            walk.through(journal.records[start + 1 : end])
            lives.append(walk.life)
    return lives


class _Walk:
    """Goes through the records of one life in their order."""

    def __init__(self, life: Life, findings: Findings) -> None:
        self.life = life
        self._findings = findings
        self._line = life.line
        self._right = Right.NOTHING
        self._generation = 0
        self._paired_as_backup: int | None = None
        self._came: Place | None = None
        self._wanted_all_along = False
        self._takings: dict[int, list[records.Taken]] = {}
        self._input_ends: dict[int, int] = {}
        self._told: dict[int, int] = {}

    def through(self, rest: Sequence[AnyRecord]) -> None:
        """Take the records behind the first."""
        for record in rest:
            self._line += 1
            if self.life.over:
                self._violated(Rule.SINGLE_PRIMARY, "it goes on after its end")
                return
            self._take(record)

    def _violated(self, rule: Rule, text: str) -> None:
        self._findings.violations.append(Violation(rule, self.life.file, self._line, text))

    def _take(self, record: AnyRecord) -> None:
        match record:
            case records.Greeted(run=run):
                self.life.run = self.life.run or run
            case records.Won(generation=generation):
                self._own(generation)
            case records.Live():
                self._go_live(record)
            case records.Paired():
                self._pair(record)
            case records.Lost():
                if self._right is Right.ACKNOWLEDGED:
                    self._right = Right.ASKING
            case records.AckSent():
                self._acknowledge(record)
            case records.AckReceived(mark=mark):
                self._came = mark
            case records.Released():
                self._release(record)
            case records.Taken():
                self._take_input(record)
            case records.InputAcknowledged():
                self._tell_input(record)
            case records.ExitTold():
                self._tell_exit(record)
            case records.TakenOver(inputs=inputs):
                self._input_ends = dict(inputs)
            case records.Attached():
                self.life.wanted = True
            case records.Left():
                self.life.wanted = self._wanted_all_along = False
            case records.Ended():
                self.life.over = True
            case records.HandedOver():
                pass
            case _:
                self._violated(Rule.SINGLE_PRIMARY, f"{type(record).__name__} is not a replica's")

    # --- rights ---

    def _own(self, generation: int) -> None:
        if generation <= self._generation:
            self._violated(
                Rule.SINGLE_PRIMARY,
                f"generation {generation} is won by the owner of {self._generation}",
            )
        self._generation = generation
        self.life.owned.setdefault(generation, self._line)
        self._right = Right.ALL
        self._came = None

    def _go_live(self, record: records.Live) -> None:
        if self._paired_as_backup != record.generation - 1:
            self._violated(
                Rule.SINGLE_PRIMARY,
                f"it went live in generation {record.generation} without having been"
                f" a backup in {record.generation - 1}",
            )
        self.life.live = record, self._line
        self._input_ends = dict(record.inputs)
        self._told = dict(record.inputs)
        self._own(record.generation)

    def _pair(self, record: records.Paired) -> None:
        if record.generation in self.life.peers:
            self._violated(
                Rule.SINGLE_PRIMARY,
                f"{record.peer} is its second peer in generation {record.generation},"
                f" after {self.life.peers[record.generation]}",
            )
        self.life.peers[record.generation] = record.peer
        if self._generation == 0:
            self._paired_as_backup = record.generation
            return
        if record.generation != self._generation or self._right is not Right.ALL:
            self._violated(
                Rule.SINGLE_PRIMARY,
                f"it is paired with {record.peer} in generation {record.generation}, which is"
                " not its own to share",
            )
        self._right = Right.ACKNOWLEDGED
        self._came = None

    def _acknowledge(self, record: records.AckSent) -> None:
        if record.came is None or not record.came.covers(record.mark):
            self._violated(
                Rule.OUTPUT_RULE, f"it acknowledged a mark that had not come: {record.mark}"
            )
        elif record.mark.position > record.held:
            self._violated(
                Rule.OUTPUT_RULE,
                f"it acknowledged log to {record.mark.position:,}, having it to {record.held:,}",
            )
        self.life.acknowledged.setdefault(record.mark, self._line)

    # --- what is let out ---

    def _may(self, made: Place, what: str, rule: Rule) -> None:
        """Judge that something made at a place is let out now."""
        match self._right:
            case Right.NOTHING:
                self._violated(Rule.SINGLE_PRIMARY, f"{what} by a replica that is no primary")
            case Right.ASKING:
                self._violated(
                    Rule.SINGLE_PRIMARY,
                    f"{what} after generation {self._generation} broke up, before another was won",
                )
            case Right.ACKNOWLEDGED:
                if self._came is None or not self._came.covers(made):
                    had = f"had only up to {self._came}" if self._came else "had nothing"
                    peer = self.life.peers[self._generation]
                    self._violated(rule, f"{what}, made at {made}, of which backup {peer} {had}")
                else:
                    self._rely(rule)

    def _rely(self, rule: Rule) -> None:
        assert self._came is not None
        peer = self.life.peers[self._generation]
        self.life.reliances.append(Reliance(self._generation, peer, self._came, self._line, rule))

    def _release(self, record: records.Released) -> None:
        end = record.offset + len(record.data)
        what = f"output {record.offset:,} to {end:,} was released"
        if record.generation != self._generation:
            self._violated(
                Rule.SINGLE_PRIMARY,
                f"{what} in generation {record.generation}, its own is {self._generation}",
            )
        self._may(record.made, what, Rule.OUTPUT_RULE)
        if (
            self._right is Right.ACKNOWLEDGED
            and record.acknowledged is not None
            and not record.acknowledged.covers(record.made)
        ):
            self._violated(
                Rule.OUTPUT_RULE, f"{what} for an acknowledgement of {record.acknowledged} only"
            )
        if self._right is Right.ACKNOWLEDGED and record.acknowledged is None:
            self._violated(Rule.OUTPUT_RULE, f"{what} as if it ran alone, being one of a pair")
        if not self._wanted_all_along:
            self.life.unwanted.add(self._line)
        self._wanted_all_along = self.life.wanted
        self.life.released.append((record, self._line))

    def _tell_input(self, record: records.InputAcknowledged) -> None:
        self.life.inputs_told.append((record, self._generation, self._line))
        if record.offset <= self._told.get(record.channel, 0):
            return  # said again to a console that came again
        self._told[record.channel] = record.offset
        what = f"input before {record.offset:,} was acknowledged"
        takings = self._takings.get(record.channel, [])
        taken = next((t for t in takings if t.offset + t.size >= record.offset), None)
        if taken is None:
            self._violated(Rule.INPUT, f"{what}, which the guest has not taken")
        else:
            self._may(taken.at, what, Rule.INPUT)

    def _take_input(self, record: records.Taken) -> None:
        end = self._input_ends.get(record.channel, 0)
        if record.offset != end:
            fault = "twice" if record.offset < end else "with some left out"
            self._violated(
                Rule.INPUT,
                f"the guest took input {fault}: from {record.offset:,}, where {end:,} was next",
            )
        self._input_ends[record.channel] = record.offset + record.size
        self._takings.setdefault(record.channel, []).append(record)

    def _tell_exit(self, record: records.ExitTold) -> None:
        again = bool(self.life.exits)
        self.life.exits.append((record, self._line))
        if again and self._right is Right.ASKING:
            return  # said again to a console that came again
        # Nothing is logged behind the guest's last instruction.
        position = self._came.position if self._came else 0
        self._may(Place(record.count, position), "the guest's end was told", Rule.END)
