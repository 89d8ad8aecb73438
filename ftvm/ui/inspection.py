"""What `ftvm inspect` prints of a run."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ftvm.errors import LogError
from ftvm.log.run_entries import RunEntries
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import RunReplay, check_engine
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import Entry, Kind
from ftvm.machine.engine import ENGINE
from ftvm.ui.disassembly import instruction_at
from ftvm.ui.notices import Notices
from ftvm.ui.progress import ProgressBar
from ftvm.units import InstructionCount

_MIB = 1 << 20
_PROGRESS_ENTRIES = 10_000


@dataclass(frozen=True)
class Summary:
    """A run as a whole. `how` and what it has to do with are None of a run without an end."""

    run: str
    engine: str
    recorded: str
    node: str
    image: str
    image_hash: str
    append: str
    memory_bytes: int
    disks: list[dict[str, str | int]]
    guest_date: str
    planted: list[dict[str, int]]
    begin: int
    end: int
    how: str | None
    exit_status: int | None
    digest: str | None
    flaw: str | None
    host_ns: int
    output_bytes: int
    input_bytes: int
    log_bytes: int
    entries: dict[str, int]
    checkpoints: list[int]


@dataclass(frozen=True)
class Selection:
    """Which entries are wanted: of these kinds, from `begin` on, up to `until` if given."""

    kinds: frozenset[str]
    begin: InstructionCount
    until: InstructionCount | None

    def has(self, entry: Entry) -> bool:
        """Whether an entry is wanted."""
        return entry.count >= self.begin and kind_name(entry) in self.kinds


def kind_name(entry: Entry) -> str:
    """Return what people call the kind of an entry."""
    return entry.kind.name.lower()


def exit_status(reader: RunReader) -> int:
    """The status with which to end when the file was read as far as it is good."""
    damaged = reader.flaw is not None and not reader.flaw.torn
    return LogError.exit_status if damaged else 0


# --- the summary ---


def summarize(reader: RunReader) -> Summary:
    """Read all of a run."""
    kinds: Counter[str] = Counter()
    inputs = 0
    entries = RunEntries(reader)
    with ProgressBar("reading", reader.end_count - reader.begin_count) as progress:
        for number, entry in enumerate(entries):
            kinds[kind_name(entry)] += 1
            is_typed = entry.kind is Kind.INPUT and entry.value == Stream.CONSOLE
            inputs += len(entry.payload) if is_typed else 0
            if number % _PROGRESS_ENTRIES == 0:
                progress.at(entry.count - reader.begin_count)
    header, end = reader.header, reader.end
    return Summary(
        run=reader.name,
        engine=header.engine,
        recorded=_date(header.began_s),
        node=header.node,
        image=header.image_name,
        image_hash=header.image_hash.hex(),
        append=header.append,
        memory_bytes=header.config.memory_bytes,
        disks=[
            {"path": disk.path, "mode": disk.mode, "sectors": disk.sectors}
            for disk in header.config.disks
        ],
        guest_date=_date(header.config.epoch_s),
        planted=[asdict(flip) for flip in reader.planted],
        begin=reader.begin_count,
        end=reader.end_count,
        how=end.how if end else None,
        exit_status=end.exit_status if end else None,
        digest=end.digest.hex() if end else None,
        flaw=reader.describe_flaw() if reader.flaw else None,
        host_ns=entries.host_ns - entries.began_ns,
        output_bytes=entries.output,
        input_bytes=inputs,
        log_bytes=entries.position,
        entries={kind.name.lower(): kinds[kind.name.lower()] for kind in Kind},
        checkpoints=[place.count for place in reader.checkpoints],
    )


def print_summary(reader: RunReader, *, as_json: bool) -> int:
    """Print what a run is as a whole; returns the exit status."""
    summary = summarize(reader)
    if as_json:
        print(json.dumps(asdict(summary), indent=2))
        return exit_status(reader)
    for name, text in _summary_lines(summary):
        print(f"{name:12}{text}")
    if summary.flaw:
        Notices().error(f"{reader.name}: {summary.flaw}; above is what is good")
    return exit_status(reader)


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _summary_lines(summary: Summary) -> list[tuple[str, str]]:
    instructions = summary.end - summary.begin
    count = sum(summary.entries.values())
    per_1000 = 1000 * summary.log_bytes / max(1, instructions)
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in summary.entries.items() if n)
    end = f"{summary.how}, status {summary.exit_status}" if summary.how else "missing"
    append = f", command line {summary.append!r}" if summary.append else ""
    places = ", ".join(f"{place:,}" for place in summary.checkpoints[:6])
    more = f" and {len(summary.checkpoints) - 6} more" if len(summary.checkpoints) > 6 else ""
    lines = [
        ("run", f"{summary.run}, of {summary.image or 'an image that another host has'}{append}"),
        ("recorded", f"{summary.recorded} as replica {summary.node} by {summary.engine}"),
        ("machine", f"{summary.memory_bytes / _MIB:g} MiB, its clock at {summary.guest_date}"),
        *(
            ("disk", f"{disk['path']}, {disk['mode']}, {disk['sectors']:,} sectors")
            for disk in summary.disks
        ),
        ("image", f"BLAKE2b {summary.image_hash}"),
        (
            "goes",
            f"from instruction {summary.begin:,} to {summary.end:,} "
            f"in {summary.host_ns / 1e9:.3f} s",
        ),
        ("end", end),
        ("console", f"{summary.input_bytes:,} bytes in, {summary.output_bytes:,} bytes out"),
        (
            "log",
            f"{count:,} entries, {summary.log_bytes:,} bytes: "
            f"{per_1000:.3g} for 1,000 instructions",
        ),
        ("entries", kinds or "none"),
        ("checkpoints", f"{len(summary.checkpoints)}: at {places}{more}"),
    ]
    lines += [
        ("flip", f"planted at instruction {f['count']:,}: {f['address']:#x}, bit {f['bit']}")
        for f in summary.planted
    ]
    return lines


# --- entries ---


def list_entries(reader: RunReader, selection: Selection, *, code: bool, as_json: bool) -> int:
    """Print the wanted entries, one a line; returns the exit status."""
    place = reader.place_before(selection.begin)
    replay = None
    if code:
        check_engine(reader, ENGINE)
        replay = RunReplay(reader, place)
    entries = RunEntries(reader, place)
    for entry in entries:
        if selection.until is not None and entry.count > selection.until:
            break
        if not selection.has(entry):
            continue
        line = entry_object(entry)
        line |= {"guest_ns": entries.guest_ns, "log_bytes": entries.position}
        if replay is not None:
            replay.run(entry.count)
            line["address"], line["code"] = instruction_at(replay.machine.cpu)
        print(json.dumps(line) if as_json else _entry_line(line))
    if reader.flaw is not None and not as_json:
        Notices().error(f"{reader.name}: {reader.describe_flaw()}; above is what is good")
    return exit_status(reader)


def entry_object(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    value: int | str = entry.value
    if entry.kind is Kind.INPUT:
        value = entry.payload.decode("latin-1")
    elif entry.kind is Kind.DIGEST:
        value = entry.payload.hex()
    return {"instruction": entry.count, "kind": kind_name(entry), "value": value}


def entry_text(line: dict[str, Any]) -> str:
    """Return what an entry says, as people read it."""
    value = line["value"]
    match line["kind"]:
        case "tsc" | "clock" | "timer":
            return f"{value / 1e9:.9f} s"
        case "random":
            return f"{value:#010x}"
        case "interrupt":
            return f"vector {value:#04x}"
        case "input":
            return f"{len(value)} bytes {value.encode('latin-1')!r}"
        case _:
            return str(value)


def _entry_line(line: dict[str, Any]) -> str:
    shown = f"{line['instruction']:>15,}  {line['kind']:9}  {entry_text(line)}"
    return f"{shown:62}  {line['address']:08x}  {line['code']}" if "code" in line else shown
