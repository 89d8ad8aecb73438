"""A recorded run as a trace: what happened when, on which track.

The form is Chrome's Trace Event Format (JSON object form). Times are µs of host
time since the recording began. Of log entries only the count is known; they
are put where the guest was between two marks as if it had run evenly.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftvm.log.frames import Kind as FrameKind
from ftvm.log.run_entries import RunEntries
from ftvm.log.run_format import Moment, What, decode_log, decode_moments
from ftvm.log.run_reader import RunReader
from ftvm.machine.cpu import Kind
from ftvm.ui.inspection import entry_object, entry_text, kind_name
from ftvm.ui.progress import ProgressBar

_PROCESS = 1
_GUEST, _EVENTS, _MARKS, _BACKUP, _CHANNEL, _CONSOLE = 1, 2, 3, 4, 5, 6
_TRACKS = {
    _GUEST: "guest, as recorded by replica {node}",
    _EVENTS: "log: events",
    _MARKS: "channel: marks sent",
    _BACKUP: "backup",
    _CHANNEL: "channel: acknowledgements",
    _CONSOLE: "outputs let out",
}
_EVENT_KINDS = (Kind.INTERRUPT, Kind.TIMER, Kind.INPUT, Kind.DIGEST)
_PROGRESS_ENTRIES = 10_000
_TICK_US = 1
"""How long a thing is shown that takes no time."""
_INSTANTS = {
    What.JOINED: "backup joined",
    What.LOST: "backup lost",
    What.LIVE: "this replica went live",
}

Event = dict[str, Any]


@dataclass
class _Course:
    """What the frames of a run say, in order of time."""

    began_ns: int
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    """Host time, count, and output of each LOG frame."""
    moments: list[Moment] = field(default_factory=list)

    def us(self, host_ns: float) -> float:
        """Return a host time as the trace has it."""
        return max(0.0, round((host_ns - self.began_ns) / 1000, 3))

    def us_of_count(self, count: int) -> float:
        """Return when a count was reached, about."""
        index = bisect.bisect_left(self.marks, count, key=lambda mark: mark[1])
        if index == len(self.marks):
            return self.us(self.marks[-1][0])
        host_ns, reached, _ = self.marks[index]
        before_ns, before, _ = self.marks[index - 1] if index else (self.began_ns, 0, 0)
        part = (count - before) / (reached - before) if reached > before else 1.0
        return self.us(before_ns + part * (host_ns - before_ns))


def make_trace(reader: RunReader) -> dict[str, Any]:
    """Return the trace of a run, to be written as JSON."""
    checkpoint, behind = reader.checkpoint(reader.checkpoints[0])
    course = _Course(checkpoint.host_ns)
    course.marks.append((checkpoint.host_ns, checkpoint.stand.count, 0))
    for frame in reader.frames(behind):
        if frame.kind is FrameKind.LOG:
            log = decode_log(frame, reader.name)
            course.marks.append((log.host_ns, log.mark, log.output))
        elif frame.kind is FrameKind.PAIR:
            course.moments += decode_moments(frame, reader.name)
    events = [
        *_names(reader),
        *_guest(course),
        *_log_events(reader, course),
        *_backup(course),
        *_outputs(course),
        *_flows(course),
        *_instants(course),
    ]
    header = reader.header
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "image": header.image_name,
            "node": header.node,
            "engine": header.engine,
            "end": reader.end.how if reader.end else "torn",
        },
    }


def _names(reader: RunReader) -> Iterator[Event]:
    name = f"{reader.header.image_name or 'guest'}, run {reader.header.run.hex()[:8]}"
    yield {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": name}}
    for track, text in _TRACKS.items():
        args = {"name": text.format(node=reader.header.node)}
        yield {"ph": "M", "pid": _PROCESS, "tid": track, "name": "thread_name", "args": args}
        order = {"sort_index": track}
        yield {"ph": "M", "pid": _PROCESS, "tid": track, "name": "thread_sort_index", "args": order}


def _slice(track: int, name: str, begin_us: float, end_us: float, **args: Any) -> Event:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": track,
        "name": name,
        "ts": begin_us,
        "dur": max(_TICK_US, round(end_us - begin_us, 3)),
        "args": args,
    }


def _counter(name: str, at_us: float, value: float) -> Event:
    return {"ph": "C", "pid": _PROCESS, "name": name, "ts": at_us, "args": {"value": value}}


def _guest(course: _Course) -> Iterator[Event]:
    for (before_ns, before, _), (host_ns, count, _) in zip(
        course.marks, course.marks[1:], strict=False
    ):
        if count > before:
            begin, end = course.us(before_ns), course.us(host_ns)
            yield _slice(_GUEST, "runs", begin, end, instructions=count - before, to=count)
            rate = (count - before) / max(1, host_ns - before_ns) * 1000
            yield _counter("million instructions a second", begin, round(rate, 3))
    yield _counter("million instructions a second", course.us(course.marks[-1][0]), 0)


def _log_events(reader: RunReader, course: _Course) -> Iterator[Event]:
    begin = reader.begin_count
    with ProgressBar("reading", reader.end_count - begin) as progress:
        for number, entry in enumerate(RunEntries(reader)):
            if number % _PROGRESS_ENTRIES == 0:
                progress.at(entry.count - begin)
            if entry.kind not in _EVENT_KINDS:
                continue
            yield {
                "ph": "i",
                "s": "t",
                "pid": _PROCESS,
                "tid": _EVENTS,
                "name": kind_name(entry),
                "ts": course.us_of_count(entry.count),
                "args": {"instruction": entry.count, "says": entry_text(entry_object(entry))},
            }


def _backup(course: _Course) -> Iterator[Event]:
    last_us, busy_us, executed, marked = 0.0, 0.0, 0, 0
    for moment in course.moments:
        at = course.us(moment.host_ns)
        if moment.what == What.MARKED:
            marked = moment.count
        elif moment.what == What.EXECUTED and moment.count > executed:
            begin = max(last_us, busy_us)
            ran = _slice(_BACKUP, "runs", begin, max(begin, at), executed=moment.count)
            yield ran
            executed, busy_us = moment.count, begin + ran["dur"]
        if moment.what in (What.MARKED, What.EXECUTED):
            yield _counter("backup behind, instructions", at, max(0, marked - executed))
            last_us = at


def _outputs(course: _Course) -> Iterator[Event]:
    """Each piece of output from its making to its letting out, which may overlap.

    A backup that never goes live lets none out.
    """
    made = [(host_ns, output) for host_ns, _, output in course.marks]
    released = [m for m in course.moments if m.what == What.RELEASED]
    ends = [moment.position for moment in released]
    offset = 0
    for number, (host_ns, output) in enumerate(made):
        if output == offset:
            continue
        args = {"bytes": output - offset, "to": output}
        offset = output
        begin = course.us(host_ns)
        if not released:
            yield _slice(_CONSOLE, "made", begin, begin, **args)
            continue
        index = bisect.bisect_left(ends, output)
        span = {"pid": _PROCESS, "tid": _CONSOLE, "cat": "output", "id": number, "name": "held"}
        yield {**span, "ph": "b", "ts": begin, "args": args}
        if index < len(released):
            yield {**span, "ph": "e", "ts": max(begin, course.us(released[index].host_ns))}


def _flows(course: _Course) -> Iterator[Event]:
    """Arrows from each mark to its acknowledgement to the outputs that it let out."""
    way = _ways(course.moments)
    last = {arrow: number for number, arrow in way.items()}
    for number, moment in enumerate(course.moments):
        at = course.us(moment.host_ns)
        arrow = way.get(number)
        if moment.what == What.MARKED:
            track = _MARKS
            yield _slice(track, "mark", at, at, instruction=moment.count, log=moment.position)
        elif moment.what == What.ACKNOWLEDGED:
            track = _CHANNEL
            yield _slice(track, "acknowledged", at, at, instruction=moment.count)
        elif moment.what == What.RELEASED:
            track = _CONSOLE
            yield _slice(track, "let out", at, at, to=moment.position, instruction=moment.count)
        if arrow is not None:
            phase = "s" if number == arrow else "f" if number == last[arrow] else "t"
            yield _flow(phase, arrow, track, at)


def _ways(moments: Sequence[Moment]) -> dict[int, int]:
    """Return of each moment on an arrow the one that the arrow begins with: a mark."""
    sent: dict[tuple[int, int], int] = {}
    acknowledged: tuple[int, int] | None = None
    way = {}
    for number, moment in enumerate(moments):
        key = (moment.count, moment.position)
        if moment.what == What.MARKED:
            sent[key] = number
        elif moment.what == What.ACKNOWLEDGED and key in sent:
            acknowledged = moment.count, sent[key]
            way[sent[key]] = way[number] = sent[key]
        elif moment.what == What.RELEASED and acknowledged and acknowledged[0] >= moment.count:
            way[number] = acknowledged[1]
    return way


def _flow(phase: str, number: int, track: int, at: float) -> Event:
    return {
        "ph": phase,
        "bp": "e",
        "id": number,
        "pid": _PROCESS,
        "tid": track,
        "cat": "log",
        "name": "log",
        "ts": at,
    }


def _instants(course: _Course) -> Iterator[Event]:
    for moment in course.moments:
        if moment.what in _INSTANTS:
            yield {
                "ph": "i",
                "s": "p",
                "pid": _PROCESS,
                "tid": _GUEST,
                "name": _INSTANTS[moment.what],
                "ts": course.us(moment.host_ns),
                "args": {"instruction": moment.count},
            }
