"""Judges a demo run by what the console saw and by what the replicas say."""

import msgspec

from ftvm.runtime.report import RunReport
from ftvm.ui.demo_drive import INCREMENTS, READY, Course


class Check(msgspec.Struct, frozen=True):
    """One part of the judgement; `detail` is what it rests on, or what is wrong."""

    name: str
    holds: bool
    detail: str


class Happened(msgspec.Struct, frozen=True):
    """A moment of the run: host ns since the start, and a line."""

    at_ns: int
    name: str
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `ftvm demo --json` prints.

    ``killed_after_answers`` and ``killed_after_us`` are the seed's choice.
    ``back_ns`` is what the console felt of the failover: from the kill to the
    first output of the new primary.
    """

    holds: bool
    checks: list[Check]
    seed: int
    increments: int
    killed_node: str
    killed_pid: int
    killed_after_answers: int
    killed_after_us: int
    back_ns: int
    moments: list[Happened]
    report: RunReport | None


def expected_output() -> bytes:
    """Return what the console shows if nothing goes wrong, byte for byte."""
    answers = b"".join(b"%d\n" % number for number in range(1, INCREMENTS + 1))
    return READY + answers + b"%d\n" % INCREMENTS


def judge(course: Course) -> Verdict:
    """Judge a run."""
    report = course.report
    checks = [_increments(bytes(course.output)), _console(course)]
    if report is not None:
        checks += [_failover(course, report), _replicas(report), _exit(report)]
    if course.failure:
        checks.append(Check("the run came to its end", False, course.failure))
    return Verdict(
        holds=report is not None and all(check.holds for check in checks),
        checks=checks,
        seed=course.plan.seed,
        increments=INCREMENTS,
        killed_node=course.killed_node,
        killed_pid=course.killed_pid,
        killed_after_answers=course.plan.replies,
        killed_after_us=course.plan.delay_us,
        back_ns=course.back_ns,
        moments=[Happened(m.at_ns, m.name, m.text) for m in course.moments],
        report=report,
    )


def _increments(output: bytes) -> Check:
    name = "every increment applied exactly once"
    lines = output.decode("ascii", "backslashreplace").splitlines()[1:]
    wanted = [str(number) for number in range(1, INCREMENTS + 1)] + [str(INCREMENTS)]
    for place, (line, right) in enumerate(zip(lines, wanted, strict=False), 1):
        if line != right:
            return Check(name, False, f"answer {place} is {line!r}, not {right}")
    if len(lines) != len(wanted):
        return Check(name, False, f"{len(lines)} answers, not {len(wanted)}")
    return Check(name, True, f"1 to {INCREMENTS} in order, r says {INCREMENTS}")


def _console(course: Course) -> Check:
    name = "no output lost, doubled or contradicted"
    contradictions = course.report.contradictions if course.report else []
    if contradictions:
        return Check(name, False, contradictions[0])
    output, expected = bytes(course.output), expected_output()
    if output == expected:
        return Check(name, True, f"{len(output):,} bytes, all as expected")
    same = next(
        (i for i, (a, b) in enumerate(zip(output, expected, strict=False)) if a != b),
        min(len(output), len(expected)),
    )
    return Check(
        name, False, f"{len(output):,} bytes, not {len(expected):,}; different from byte {same:,}"
    )


def _failover(course: Course, report: RunReport) -> Check:
    name = "the primary was killed, the backup took over"
    killed = [d for d in report.deaths if d.node == course.killed_node]
    if not killed or killed[0].status != "killed by SIGKILL" or len(report.deaths) > 1:
        deaths = ", ".join(f"{d.role} {d.node} {d.status}" for d in report.deaths)
        return Check(name, False, f"deaths: {deaths or 'none'}")
    if len(report.failovers) != 1:
        return Check(name, False, f"{len(report.failovers)} failovers")
    return Check(name, True, f"after {course.answers_at_kill} answers")


def _replicas(report: RunReport) -> Check:
    name = "the replicas were equal up to the failover"
    if report.divergences:
        return Check(name, False, report.divergences[0])
    compared = sum(failover.digests for failover in report.failovers)
    return Check(name, compared > 0, f"{compared} digests compared")


def _exit(report: RunReport) -> Check:
    holds = report.end == "exit" and report.exit_status == 0
    return Check("the guest left by itself", holds, f"{report.end}, status {report.exit_status}")
