"""The judgement of a run by the journals of all its sides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ftvm.audit import records
from ftvm.audit.findings import Findings, Rule, Violation
from ftvm.audit.journal import Journal
from ftvm.audit.life import Life, lives_of
from ftvm.audit.view import ConsoleView, Stream, view_of
from ftvm.errors import UsageError


@dataclass(frozen=True)
class Verdict:
    """What an audit comes to."""

    run: str
    owners: dict[int, str]
    """Who had each generation."""
    released_bytes: int
    again_bytes: int
    """Of them released a second time, by a replica that went live."""
    alone: int
    """Pieces of output that left without a backup."""
    acknowledged: int
    """Pieces of output that left behind an acknowledgement."""
    input_bytes: int
    """That the console was told to forget."""
    consoles: int
    findings: Findings

    @property
    def holds(self) -> bool:
        """Whether every rule held, and nothing is missing to say so."""
        return not self.findings.violations and not self.findings.missing


def audit(journals: Sequence[Journal]) -> Verdict:
    """Judge a run; UsageError if these are not the journals of one."""
    findings = Findings()
    lives = [life for journal in journals for life in lives_of(journal, findings)]
    views = [view for j in journals if (view := view_of(j, findings)) is not None]
    run = _run_of(lives, views)
    _look_at_ends(journals, lives, findings)
    court = _Court(lives, views, findings)
    court.judge()
    told = [record.offset for record, _, _ in court.all_told()]
    pieces = [(life, record) for life in lives for record, _ in life.released]
    alone = sum(record.acknowledged is None for _, record in pieces)
    total = sum(len(record.data) for _, record in pieces)
    return Verdict(
        run=run,
        owners={g: owner.begun.node for g, owner in sorted(court.owners.items())},
        released_bytes=total,
        again_bytes=total - sum(stream.size for stream in court.streams.values()),
        alone=alone,
        acknowledged=len(pieces) - alone,
        input_bytes=max(told, default=0),
        consoles=len(views),
        findings=findings,
    )


def _run_of(lives: Sequence[Life], views: Sequence[ConsoleView]) -> str:
    if not lives:
        raise UsageError("no replica's journal is among the files: give those of all sides")
    runs = {life.run for life in lives if life.run} | {view.run for view in views if view.run}
    if len(runs) > 1:
        raise UsageError(f"the journals are of {len(runs)} runs: {', '.join(sorted(runs))}")
    seen: dict[str, str] = {}
    for life in lives:
        if seen.setdefault(life.begun.node, life.file) != life.file:
            raise UsageError(
                f"{seen[life.begun.node]} and {life.file} are both of node {life.begun.node}"
            )
    return next(iter(runs), "")


def _look_at_ends(journals: Sequence[Journal], lives: Sequence[Life], findings: Findings) -> None:
    for journal in journals:
        if not journal.records:
            findings.notes.append(f"{journal.name} is empty: its process was never a replica")
        if journal.torn_bytes:
            findings.notes.append(
                f"{journal.name} ends in an unfinished line of {journal.torn_bytes} bytes,"
                " which says nothing"
            )
    findings.notes += [
        f"{life.file} has no end: {life.begun.node} was killed, or still runs"
        for life in lives
        if not life.over
    ]


class _Court:
    """Compares what all sides say."""

    def __init__(
        self, lives: Sequence[Life], views: Sequence[ConsoleView], findings: Findings
    ) -> None:
        self._lives = lives
        self._views = views
        self._findings = findings
        self._by_name: dict[str, list[Life]] = {}
        for life in lives:
            self._by_name.setdefault(life.begun.node, []).append(life)
        self.owners: dict[int, Life] = {}
        self.streams: dict[int, Stream] = {}

    def judge(self) -> None:
        """Find what is wrong, and what is missing."""
        self._find_owners()
        for generation, owner in sorted(self.owners.items()):
            self._judge_right(generation, owner)
        for life in self._lives:
            self._judge_reliances(life)
        self._join_streams()
        self._judge_inputs()
        self._judge_exits()
        for view in self._views:
            self._judge_view(view)

    def all_told(self) -> Iterator[tuple[records.InputAcknowledged, int, int]]:
        """Yield all input that consoles were told to forget, with generation and line."""
        for life in self._lives:
            yield from life.inputs_told

    def _violated(self, rule: Rule, file: str, line: int, text: str) -> None:
        self._findings.violations.append(Violation(rule, file, line, text))

    def _missing(self, text: str) -> None:
        if text not in self._findings.missing:
            self._findings.missing.append(text)

    # --- single primary ---

    def _find_owners(self) -> None:
        for life in self._lives:
            for generation, line in life.owned.items():
                other = self.owners.setdefault(generation, life)
                if other is not life:
                    self._violated(
                        Rule.SINGLE_PRIMARY, life.file, line,
                        f"generation {generation} is also {other.begun.node}'s, by"
                        f" {other.file}:{other.owned[generation]}",
                    )  # fmt: skip
        known = {1, *self.owners, *(g for life in self._lives for g in life.peers)}
        known |= {record.generation for view in self._views for record, _ in view.followed}
        for generation in sorted(
            known | {generation - 1 for generation in known if generation > 1}
        ):
            if generation not in self.owners:
                self._missing(f"the journal of the owner of generation {generation}")

    def _judge_right(self, generation: int, owner: Life) -> None:
        before = self.owners.get(generation - 1)
        if before is None:
            return
        line = owner.owned[generation]
        if generation - 1 not in before.peers:
            self._violated(
                Rule.SINGLE_PRIMARY, owner.file, line,
                f"generation {generation} is won, but {before.begun.node} had no backup in"
                f" {generation - 1} to lose",
            )  # fmt: skip
            return
        if owner is before:
            return
        backup = before.peers[generation - 1]
        if backup != owner.begun.node:
            self._violated(
                Rule.SINGLE_PRIMARY, owner.file, line,
                f"generation {generation} is won by {owner.begun.node}, but in {generation - 1}"
                f" the backup was {backup}",
            )  # fmt: skip
        if owner.live is None:
            self._violated(
                Rule.SINGLE_PRIMARY, owner.file, line,
                f"generation {generation} is won by a node that did not go live",
            )  # fmt: skip
            return
        at = owner.live[0].at
        for record, where in before.released:
            if record.generation == generation - 1 and not at.covers(record.made):
                self._violated(
                    Rule.OUTPUT_RULE, before.file, where,
                    f"output {record.offset:,} was released, made at {record.made}; but"
                    f" {owner.begun.node} went live at {at}, where that never was",
                )  # fmt: skip

    def _judge_reliances(self, life: Life) -> None:
        for on in life.reliances:
            peers = self._by_name.get(on.peer, [])
            if not peers:
                self._missing(
                    f"the journal of {on.peer}, the backup of {life.begun.node} in generation"
                    f" {on.generation}"
                )
            elif not any(on.mark in peer.acknowledged for peer in peers):
                self._violated(
                    on.rule, life.file, on.line,
                    f"it relies on {on.peer} having acknowledged {on.mark}, of which"
                    f" {peers[-1].file} knows nothing",
                )  # fmt: skip

    # --- the console, exactly once ---

    def _join_streams(self) -> None:
        unwanted = True
        for life in dict.fromkeys(owner for _, owner in sorted(self.owners.items())):
            ends: dict[int, int] = {}
            for record, line in life.released:
                end = ends.get(record.channel)
                if end is not None and record.offset < end:
                    self._violated(
                        Rule.EXACTLY_ONCE, life.file, line,
                        f"output {record.offset:,} was released again, having been to {end:,}",
                    )  # fmt: skip
                ends[record.channel] = record.offset + len(record.data)
                self._put(life, record, line, line in life.unwanted or unwanted)
                unwanted = False
            unwanted = not life.wanted

    def _put(self, life: Life, record: records.Released, line: int, unwanted: bool) -> None:
        stream = self.streams.setdefault(record.channel, Stream())
        differs, gap = stream.put(record.offset, record.data)
        stream.end_by[life.begun.node] = record.offset + len(record.data)
        if differs is not None:
            self._violated(
                Rule.EXACTLY_ONCE, life.file, line,
                f"output at {differs:,} is not what was released there before",
            )  # fmt: skip
        if gap is None:
            return
        if unwanted:
            self._findings.notes.append(
                f"{life.file}:{line}: {gap:,} bytes of output before {record.offset:,} were"
                " dropped, when no console was there to see them"
            )
        elif not self._findings.missing:
            self._violated(
                Rule.EXACTLY_ONCE, life.file, line,
                f"output {record.offset - gap:,} to {record.offset:,} was left out",
            )  # fmt: skip

    def _judge_view(self, view: ConsoleView) -> None:
        for accepted, line in view.accepted:
            if accepted.generation not in self.owners:
                continue  # said to be missing
            stream = self.streams.get(accepted.channel, Stream())
            end = accepted.offset + len(accepted.data)
            node = self.owners[accepted.generation].begun.node
            if end > stream.end_by.get(node, 0):
                self._violated(
                    Rule.OUTPUT_RULE, view.file, line,
                    f"the console has output to {end:,} of generation {accepted.generation},"
                    f" which {node} did not release",
                )  # fmt: skip
            elif not stream.has(accepted.offset, accepted.data):
                self._violated(
                    Rule.EXACTLY_ONCE, view.file, line,
                    f"the console has other output from {accepted.offset:,} on than {node}"
                    " released",
                )  # fmt: skip
        for followed, line in view.followed:
            owner = self.owners.get(followed.generation)
            if owner is not None and owner.begun.node != followed.node:
                self._violated(
                    Rule.SINGLE_PRIMARY, view.file, line,
                    f"the console followed {followed.node} in generation {followed.generation},"
                    f" which is {owner.begun.node}'s",
                )  # fmt: skip

    # --- input ---

    def _judge_inputs(self) -> None:
        told = sorted(
            (generation, record.channel, record.offset, life.file, line)
            for life in self._lives
            for record, generation, line in life.inputs_told
        )
        for life in self._lives:
            if life.live is None:
                continue
            live, live_line = life.live
            taken = dict(live.inputs)
            for generation, channel, offset, file, line in told:
                if generation < live.generation and offset > taken.get(channel, 0):
                    self._violated(
                        Rule.INPUT, life.file, live_line,
                        f"it went live with input before {taken.get(channel, 0):,} taken, but"
                        f" {file}:{line} told the console to forget input before {offset:,}",
                    )  # fmt: skip
                    break
        most = max((offset for _, _, offset, _, _ in told), default=0)
        for view in self._views:
            for forgot, line in view.forgot:
                if forgot.offset > most and not self._findings.missing:
                    self._violated(
                        Rule.INPUT, view.file, line,
                        f"the console forgot input before {forgot.offset:,}, which no replica"
                        " told it to",
                    )  # fmt: skip
                    break

    # --- the end ---

    def _judge_exits(self) -> None:
        told = [(life.file, line, record) for life in self._lives for record, line in life.exits]
        ends = [(file, line, (r.status, r.count, r.digest)) for file, line, r in told]
        for view in self._views:
            if view.exit is not None:
                heard, line = view.exit
                ends.append((view.file, line, (heard.status, heard.count, heard.digest)))
                if not told and not self._findings.missing:
                    self._violated(
                        Rule.END, view.file, line, "the console knows an end that nobody told"
                    )
        for file, line, end in ends[1:]:
            if end != ends[0][2]:
                self._violated(
                    Rule.END, file, line,
                    f"the guest's end is status {end[0]} at instruction {end[1]:,}, and by"
                    f" {ends[0][0]}:{ends[0][1]} it is {ends[0][2][0]} at {ends[0][2][1]:,},"
                    " or another machine",
                )  # fmt: skip
