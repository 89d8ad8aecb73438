"""Journals of a real run: clean as they are, and found out whatever is done to them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from journals import lines_of, read_journals
from msgspec import structs
from pair_session import Session, run_spec

from ftvm.audit import records
from ftvm.audit.findings import Rule
from ftvm.audit.journal import read_journal
from ftvm.audit.judge import Verdict, audit
from ftvm.audit.records import AnyRecord, Place
from ftvm.errors import UsageError
from ftvm.runtime.supervisor import Supervisor

Records = dict[str, list[AnyRecord]]

OUTPUT = b"counter: ready\n" + b"".join(b"%d\n" % number for number in range(1, 7))


@pytest.fixture(scope="module")
def story(guest_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Journals of a run in which a dies, b goes live and is protected by c, and c dies."""
    journals = tmp_path_factory.mktemp("story")
    output = bytearray()
    answers = 0
    with Supervisor(run_spec(guest_images, "counter", journals=journals), output.extend) as running:
        run = Session(running, output)
        running.start()
        for role in ("primary", "backup"):
            run.until(lambda: running.protected)
            for _ in range(2):
                running.write(b"i")
                answers += 1
                run.until_output(OUTPUT.index(b"%d\n" % answers) + 2)
            victim = running.replica(role)
            assert victim is not None
            victim.kill()
            run.until(lambda victim=victim: not victim.alive)
            run.until(lambda role=role: running.generation == (2 if role == "primary" else 3))
        running.write(b"ii")
        run.until_output(len(OUTPUT))
        running.write(b"q")
        run.finish()
    assert bytes(output) == OUTPUT
    return journals


@pytest.fixture
def told(story: Path) -> Records:
    """All records, by node, to be doctored."""
    return {journal.name: list(journal.records) for journal in read_journals(story)}


def judged(told: Records) -> Verdict:
    return audit([read_journal(name, lines_of(lines)) for name, lines in told.items()])


def broken(told: Records) -> set[Rule]:
    return {violation.rule for violation in judged(told).findings.violations}


def where(lines: list[AnyRecord], kind: type, number: int = 0) -> int:
    return [at for at, record in enumerate(lines) if isinstance(record, kind)][number]


# --- as they are --------------------------------------------------------------------


def test_a_run_with_failovers_holds(ftvm: FtvmCommand, story: Path) -> None:
    done = ftvm("audit", *map(str, sorted(story.glob("*.journal"))))
    assert (done.status, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["ok"] * 5
    assert "generations 1 a, 2 b, 3 b" in lines[1]
    assert f"{len(OUTPUT)} bytes" in lines[2]
    killed = [line for line in lines if "was killed, or still runs" in line]
    assert len(killed) == 2


def test_the_same_for_a_program(ftvm: FtvmCommand, story: Path) -> None:
    done = ftvm("audit", "--json", *map(str, sorted(story.glob("*.journal"))))
    found = json.loads(done.out)
    assert found["holds"] is True
    assert found["owners"] == {"1": "a", "2": "b", "3": "b"}
    assert found["violations"] == found["missing"] == []
    assert found["released_bytes"] - found["again_bytes"] == len(OUTPUT)
    assert min(found["pieces_acknowledged"], found["input_bytes"], found["consoles"]) > 0


def test_a_run_from_the_command_line(ftvm: FtvmCommand) -> None:
    done = ftvm(
        "run", "guest:counter", "--journal", "j", "--crash", "primary@output:18", typed=b"iiiq"
    )
    assert done.status == 0
    names = sorted(path.name for path in (ftvm.home / "j").iterdir())
    assert names[:2] == ["a.journal", "b.journal"]
    assert "console.journal" in names
    assert ftvm("audit", *(f"j/{name}" for name in names)).status == 0
    again = ftvm("run", "guest:counter", "--journal", "j", typed=b"q")
    assert (again.status, again.out) == (2, b"")
    assert again.lines == [
        "ftvm: j has journals already (a.journal): give an empty directory to each run"
    ]


# --- doctored -----------------------------------------------------------------------


def early_release(told: Records) -> None:
    """The primary lets out what its backup has acknowledged a moment later."""
    a = told["a"]
    ack = where(a, records.AckReceived)
    out = where(a, records.Released)
    a[ack], a[out] = a[out], a[ack]


def release_beyond_the_mark(told: Records) -> None:
    a = told["a"]
    at = where(a, records.Released, -1)
    mark = a[at].acknowledged
    a[at] = structs.replace(a[at], made=Place(mark.count + 1, mark.position))


def ack_made_up(told: Records) -> None:
    """The primary believes in an acknowledgement that its backup never sent."""
    told["b"] = [r for r in told["b"] if not isinstance(r, records.AckSent)]


def ack_before_receipt(told: Records) -> None:
    b = told["b"]
    at = where(b, records.AckSent)
    b[at] = structs.replace(b[at], came=None)


def ack_of_log_that_had_not_come(told: Records) -> None:
    b = told["b"]
    at = where(b, records.AckSent)
    b[at] = structs.replace(b[at], held=0)


def release_after_losing_the_backup(told: Records) -> None:
    b = told["b"]
    lost = where(b, records.Lost, -1)
    out = where(b, records.Released, -1)
    b.insert(lost + 1, b.pop(out))


def beyond_the_end_of_the_log(told: Records) -> None:
    """The survivor went live before a place of which the world had seen output."""
    b = told["b"]
    at = where(b, records.Live)
    b[at] = structs.replace(b[at], at=Place(100, 0))


def two_owners(told: Records) -> None:
    a = told["a"]
    a += [records.Lost(cause="connection closed"), records.Won(generation=2)]


def live_without_being_asked(told: Records) -> None:
    told["b"] = [r for r in told["b"] if not isinstance(r, records.Paired) or r.generation != 1]


def release_in_an_older_generation(told: Records) -> None:
    b = told["b"]
    at = where(b, records.Released)
    b[at] = structs.replace(b[at], generation=1)


def two_backups_at_once(told: Records) -> None:
    a = told["a"]
    a.insert(where(a, records.Paired) + 1, records.Paired(peer="z", generation=1))


def gap(told: Records) -> None:
    a = told["a"]
    del a[where(a, records.Released, 0)]
    b = told["b"]
    for at in [at for at, r in enumerate(b) if isinstance(r, records.Released)][:1]:
        b[at] = structs.replace(b[at], offset=b[at].offset + 1, data=b[at].data[1:])


def doubled(told: Records) -> None:
    a = told["a"]
    at = where(a, records.Released)
    a.insert(at + 1, a[at])


def other_bytes(told: Records) -> None:
    a = told["a"]
    at = where(a, records.Released)
    data = a[at].data
    a[at] = structs.replace(a[at], data="?" + data[1:])


def console_saw_it_twice(told: Records) -> None:
    lines = told["console"]
    at = where(lines, records.Accepted)
    lines.insert(at + 1, lines[at])


def console_missed_some(told: Records) -> None:
    del told["console"][where(told["console"], records.Accepted, 1)]


def console_saw_what_nobody_released(told: Records) -> None:
    del told["b"][where(told["b"], records.Released, -1)]


def input_lost(told: Records) -> None:
    b = told["b"]
    at = where(b, records.Live)
    b[at] = structs.replace(b[at], inputs=((0, 1),))


def input_taken_twice(told: Records) -> None:
    a = told["a"]
    at = where(a, records.Taken)
    a.insert(at + 1, a[at])


def input_acknowledged_too_soon(told: Records) -> None:
    a = told["a"]
    at = where(a, records.InputAcknowledged)
    a.insert(where(a, records.Taken), a.pop(at))


def input_forgotten_unasked(told: Records) -> None:
    told["console"].append(records.Forgot(channel=0, offset=1000))


def another_end(told: Records) -> None:
    lines = told["console"]
    at = where(lines, records.ExitHeard)
    lines[at] = structs.replace(lines[at], status=1)


def life_after_death(told: Records) -> None:
    b = told["b"]
    b.append(b[where(b, records.Released)])


DOCTORED: dict[Callable[[Records], None], Rule] = {
    early_release: Rule.OUTPUT_RULE,
    release_beyond_the_mark: Rule.OUTPUT_RULE,
    ack_made_up: Rule.OUTPUT_RULE,
    ack_before_receipt: Rule.OUTPUT_RULE,
    ack_of_log_that_had_not_come: Rule.OUTPUT_RULE,
    beyond_the_end_of_the_log: Rule.OUTPUT_RULE,
    console_saw_what_nobody_released: Rule.OUTPUT_RULE,
    release_after_losing_the_backup: Rule.SINGLE_PRIMARY,
    two_owners: Rule.SINGLE_PRIMARY,
    live_without_being_asked: Rule.SINGLE_PRIMARY,
    release_in_an_older_generation: Rule.SINGLE_PRIMARY,
    two_backups_at_once: Rule.SINGLE_PRIMARY,
    life_after_death: Rule.SINGLE_PRIMARY,
    gap: Rule.EXACTLY_ONCE,
    doubled: Rule.EXACTLY_ONCE,
    other_bytes: Rule.EXACTLY_ONCE,
    console_saw_it_twice: Rule.EXACTLY_ONCE,
    console_missed_some: Rule.EXACTLY_ONCE,
    input_lost: Rule.INPUT,
    input_taken_twice: Rule.INPUT,
    input_acknowledged_too_soon: Rule.INPUT,
    input_forgotten_unasked: Rule.INPUT,
    another_end: Rule.END,
}


def test_the_records_as_they_are_hold(told: Records) -> None:
    assert judged(told).holds


@pytest.mark.parametrize("doctor", DOCTORED, ids=lambda doctor: doctor.__name__)
def test_a_doctored_journal_is_found_out(told: Records, doctor: Callable[[Records], None]) -> None:
    doctor(told)
    assert DOCTORED[doctor] in broken(told)


def test_a_host_that_never_was_a_replica_has_nothing_to_say(told: Records) -> None:
    told["standby"] = []
    assert judged(told).holds


@pytest.mark.parametrize("node", ["a", "b"])
def test_without_a_side_there_is_no_judging(told: Records, node: str) -> None:
    del told[node]
    verdict = judged(told)
    assert not verdict.holds
    assert verdict.findings.violations == []
    assert any(f"generation {1 if node == 'a' else 2}" in text or f"of {node}," in text
               for text in verdict.findings.missing)  # fmt: skip


def test_a_violation_is_told_with_its_place(ftvm: FtvmCommand, told: Records, story: Path) -> None:
    doubled(told)
    (ftvm.home / "a.journal").write_bytes(lines_of(told["a"]))
    others = [str(path) for path in sorted(story.glob("*.journal")) if path.stem != "a"]
    done = ftvm("audit", "a.journal", *others)
    line = where(told["a"], records.Released) + 2
    assert (done.status, done.err) == (1, "")
    last = done.out.decode().splitlines()[-1]
    assert last.startswith(f"console exactly once violated at a.journal:{line}: output ")


# --- damaged ------------------------------------------------------------------------


def outcomes(story: Path, name: str, versions: Iterator[bytes]) -> list[Verdict | UsageError]:
    """What comes of each version of a journal beside the other ones; no other exception may."""
    others = [journal for journal in read_journals(story) if journal.name != name]
    found: list[Verdict | UsageError] = []
    for data in versions:
        try:
            found.append(audit([read_journal(name, data), *others]))
        except UsageError as error:
            found.append(error)
    return found


@pytest.mark.parametrize("name", ["a", "b", "c", "console"])
def test_a_journal_cut_anywhere_never_hides_anything(story: Path, name: str) -> None:
    """It holds only if all that others have of it is there: as if it had been killed there."""
    data = (story / f"{name}.journal").read_bytes()
    found = outcomes(story, name, (data[:end] for end in range(len(data))))
    whole = audit(read_journals(story))
    for end, outcome in enumerate(found):
        if isinstance(outcome, UsageError):
            assert 0 < end <= data.index(b"\n")  # nothing is whole yet
        elif outcome.holds:
            assert outcome.released_bytes >= whole.released_bytes - whole.again_bytes
            torn = end > 0 and not data[:end].endswith(b"\n")
            assert torn == any("unfinished line" in note for note in outcome.findings.notes)


@pytest.mark.parametrize("name", ["a", "b", "c", "console"])
def test_a_journal_with_a_flipped_bit_is_refused(story: Path, name: str) -> None:
    data = (story / f"{name}.journal").read_bytes()

    def flipped() -> Iterator[bytes]:
        for at in range(len(data) - 1):
            yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]

    for outcome in outcomes(story, name, flipped()):
        assert isinstance(outcome, UsageError)
        assert str(outcome).startswith(name)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\n", "line 1 is no record"),
        (b"\x00" * 100, "does not begin as a journal does"),
        (b'{"is":"begun"}\n', "line 1 is no record"),
        (lines_of([records.Won(generation=1)]), "does not begin as a journal does"),
        (lines_of([records.Begun(format=9, node="a", role="primary", run="")]), "of format 9"),
    ],
)
def test_what_is_no_journal_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_journal("a.journal", data)


def test_bad_input_on_the_command_line(ftvm: FtvmCommand, story: Path) -> None:
    shutil.copy(story / "b.journal", ftvm.home / "b.journal")
    shutil.copy(story / "console.journal", ftvm.home / "console.journal")
    for arguments, says in (
        (("nowhere.journal",), "cannot read nowhere.journal: No such file or directory"),
        ((".",), "cannot read .: Is a directory"),
        (("console.journal",), "no replica's journal is among the files"),
        (("b.journal", "console.journal"), "cannot judge without the journal of"),
        (("b.journal", str(story / "b.journal")), "are both of node b"),
    ):
        done = ftvm("audit", *arguments)
        assert done.status == 2
        assert says in done.err
        assert "Traceback" not in done.err


def test_journals_of_two_runs_are_told_apart(told: Records) -> None:
    begun = told["c"][0]
    told["c"][0] = structs.replace(begun, run="0" * 32)
    with pytest.raises(UsageError, match="are of 2 runs"):
        judged(told)
