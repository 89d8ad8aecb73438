"""Real replicas killed at every named step: the console shows no seam, or nobody is left."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from journals import read_journals
from pair_session import SESSION, SESSION_OUTPUT, TICK, Session, run_spec

from ftvm.audit.judge import audit
from ftvm.errors import LostGuestError
from ftvm.runtime.crash_steps import STEPS
from ftvm.runtime.report import RunReport
from ftvm.runtime.supervisor import Supervisor

LATE = 3
"""So many answers have come when a session waits for what is to happen in its middle."""

BY_ITSELF = [
    f"{step.role}@{step.name}"
    for step in STEPS[: [step.name for step in STEPS].index("primary-lost")]
]
"""Steps of an undisturbed session."""
NEW_PAIR = {
    "primary@transfer-begun": False,
    "primary@state": False,
    "primary@handover-sent": False,
    "primary@commit-due": False,
    "primary@commit-sent": True,
    "backup@state": True,
    "backup@handover-received": True,
    "backup@complete-sent": True,
}
"""Steps of protecting again, and whether the guest outlives a death there."""
APART = {
    "backup@primary-lost": True,
    "backup@log-drained": True,
    "backup@go-live-claimed": None,
    "backup@go-live-won": False,
    "backup@gone-live": False,
    "primary@backup-lost": True,
    "primary@alone-claimed": None,
    "primary@generation-won": False,
    "primary@console-greeted": False,
}
"""Steps of a replica that lost sight of the other, and whether the other, which was only paused,
outlives it: None where it is the store's answer that decides."""


@pytest.fixture
def session(guest_images: Path, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """One session; when it is over, its journals are judged as well."""
    opened: list[Supervisor] = []

    def start(*crashes: str) -> Session:
        output = bytearray()
        spec = run_spec(guest_images, "counter", *crashes, journals=tmp_path)
        opened.append(Supervisor(spec, output.extend))
        opened[-1].start()
        return Session(opened[-1], output)

    yield start
    for supervisor in opened:
        supervisor.__exit__()
    verdict = audit(read_journals(tmp_path))
    assert verdict.findings.violations == verdict.findings.missing == []
    assert verdict.released_bytes - verdict.again_bytes <= len(SESSION_OUTPUT)


def conduct(run: Session, meanwhile: Callable[[], None] = lambda: None) -> RunReport:
    """Type the session, do something in its middle; judge what its user saw of it."""
    expected = b"counter: ready\n"
    try:
        for number, (keys, answer) in enumerate(SESSION):
            run.until_output(len(expected))
            if number == LATE:
                meanwhile()
            run.supervisor.write(keys)
            expected += answer
        report = run.finish()
    except LostGuestError:
        report = run.supervisor.report()
        assert SESSION_OUTPUT.startswith(bytes(run.output))
        assert report.end == "lost"
    else:
        assert bytes(run.output) == SESSION_OUTPUT
        assert (report.end, report.exit_status) == ("exit", 0)
    assert report.contradictions == report.divergences == []
    return report


def killed(report: RunReport) -> list[str]:
    return [death.role for death in report.deaths if death.status == "killed by SIGKILL"]


def deaths_seen(run: Session, number: int) -> Callable[[], None]:
    return lambda: run.until(lambda: len(killed(run.supervisor.report())) >= number)


def test_every_named_step_is_killed_at() -> None:
    # Those of a disk's image are killed at in test_disk_run.py.
    steps = [f"{step.role}@{step.name}" for step in STEPS if not step.name.startswith("disk-")]
    assert sorted(steps) == sorted([*BY_ITSELF, *NEW_PAIR, *APART])


@pytest.mark.parametrize("point", BY_ITSELF)
def test_a_death_at_a_step_of_a_session(session: Callable[..., Session], point: str) -> None:
    report = conduct(session(point))
    role = point.partition("@")[0]
    assert report.end == "exit"
    assert killed(report) == [role]
    if point not in ("primary@ended", "backup@ended"):  # nobody is needed any more
        assert len(report.failovers) == (role == "primary")
        assert len(report.backup_losses) == (role == "backup")


@pytest.mark.parametrize("point", ["primary@output-sent:3", "primary@mark-sent:5"])
def test_a_step_is_counted(session: Callable[..., Session], point: str) -> None:
    report = conduct(session(point))
    assert (report.end, killed(report)) == ("exit", ["primary"])


@pytest.mark.parametrize("point", NEW_PAIR)
def test_a_death_at_a_step_of_protecting_again(session: Callable[..., Session], point: str) -> None:
    run = session("backup@output:16", point)
    report = conduct(run, deaths_seen(run, 2))
    assert killed(report) == ["backup", point.partition("@")[0]]
    assert (report.end == "exit") == NEW_PAIR[point]
    if point.startswith("backup"):
        assert report.failovers == []


@pytest.mark.parametrize("point", APART)
def test_a_death_of_one_who_lost_sight_of_the_other(
    session: Callable[..., Session], point: str
) -> None:
    run = session(point)
    role = point.partition("@")[0]

    def part() -> None:
        other = run.supervisor.replica("backup" if role == "primary" else "primary")
        assert other is not None
        os.kill(other.pid, signal.SIGSTOP)
        deaths_seen(run, 1)()
        os.kill(other.pid, signal.SIGCONT)
        while other.alive and run.supervisor.generation < 2:  # until it has its answer
            run.supervisor.poll(TICK)

    report = conduct(run, part)
    assert len(killed(report)) == 1
    if APART[point] is not None:
        assert (report.end == "exit") == APART[point]


def test_all_points_are_listed_a_line_each(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "--crash", "list")
    assert (done.status, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    points = [line.split()[0] for line in lines]
    assert points[:4] == [
        "primary@instruction:N", "primary@output:K", "primary@entry:K", "primary@time:2s",
    ]  # fmt: skip
    assert {f"{step.role}@{step.name}[:K]" for step in STEPS} <= set(points)
    assert all(len(line) < 100 and len(line.split()) > 2 for line in lines)


def test_a_named_step_on_the_command_line(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:counter", "--crash", "primary@output-released:2", typed=b"iiq")
    assert (done.status, done.out) == (0, b"counter: ready\n1\n2\n")
    assert done.lines[0].startswith("ftvm: primary a killed by SIGKILL; backup live at")
