"""Drives the demo: types increments, kills the primary, notes what happens when."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ftvm.errors import LostGuestError
from ftvm.runtime.clock import now_ns
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.notices import Notices
from ftvm.ui.recordings import Recordings
from ftvm.ui.signals import Signals
from ftvm.units import Nanoseconds

INCREMENTS = 1000
READY = b"counter: ready\n"

_MEMORY_BYTES = 64 << 20
# 2026-01-01: the demo does not need the date, and is the same on every day.
_EPOCH_S = 1_767_225_600
_BURST_MAX = 16
_DELAY_US_MAX = 2_000
# Epoll waits in milliseconds: what is nearer than that is waited for awake.
_NEAR_NS = 3_000_000
_TICK_NS = Nanoseconds(50_000_000)
_PATIENCE_NS = 10_000_000_000


@dataclass(frozen=True)
class Plan:
    """What is left to chance: when the primary dies, and how keys are bundled."""

    seed: int
    replies: int
    """The primary dies after so many answers."""
    delay_us: int
    """... and so many microseconds."""

    @staticmethod
    def from_seed(seed: int) -> "Plan":
        """Return the plan of a seed: somewhere in the middle half of the increments."""
        chance = random.Random(seed)
        replies = chance.randint(INCREMENTS // 4, INCREMENTS * 3 // 4)
        return Plan(seed, replies, chance.randint(0, _DELAY_US_MAX))


@dataclass(frozen=True)
class Moment:
    """Something that happened: host ns since the start, a name for machines, a line."""

    at_ns: int
    name: str
    text: str


class Watcher(Protocol):
    """Who is told while the demo runs."""

    def happened(self, moment: Moment) -> None:
        """Take note of a moment."""

    def progress(self, answers: int, total: int) -> None:
        """Take note of how far the demo is."""


@dataclass
class Course:
    """What a demo run came to, before it is judged."""

    plan: Plan
    start_ns: int = field(default_factory=now_ns)
    output: bytearray = field(default_factory=bytearray)
    moments: list[Moment] = field(default_factory=list)
    killed_node: str = ""
    killed_pid: int = 0
    answers_at_kill: int = 0
    sent_at_kill: int = 0
    back_ns: int = 0
    """From the kill to the first output of the new primary."""
    failure: str = ""
    """What kept the run from its end; empty if nothing did."""
    report: RunReport | None = None


class Drive:
    """One demo run."""

    def __init__(self, plan: Plan, image: Path, watcher: Watcher, record: Path | None) -> None:
        self._course = Course(plan)
        self._image = image
        self._record = record
        self._watcher = watcher
        self._bursts = random.Random(plan.seed)
        self._low_water = 0
        self._sent = 0
        self._answers = 0
        self._asked = self._left = False
        self._heard_ns = self._course.start_ns
        self._kill_at_ns: int | None = None
        self._killed_ns = 0
        self._live = False

    def run(self) -> Course:
        """Run to the end, good or bad; HostError if the host cannot begin."""
        course = self._course
        spec = RunSpec(
            *(self._image, self._image.name, _MEMORY_BYTES, "", False, (), _EPOCH_S),
            record=self._record,
        )
        recordings = Recordings(spec)

        def hear(data: bytes) -> None:
            self._hear(supervisor, data)

        with Signals() as signals, Supervisor(spec, hear) as supervisor:
            supervisor.transport.watch(signals.descriptor, signals.drain)
            supervisor.start()
            a, b = supervisor.replicas
            self._note(
                "start",
                f"guest:counter on primary {a.name}, pid {a.pid}, and backup {b.name}, pid {b.pid}",
            )
            try:
                while not supervisor.finished and not course.failure:
                    signals.check()
                    self._step(supervisor)
            except LostGuestError as error:
                course.failure = f"the guest is lost: {error}"
            finally:
                recordings.settle(supervisor.replicas, Notices())
            course.report = supervisor.report()
        if course.report.end == "exit":
            status, count = course.report.exit_status, course.report.instructions
            self._note("end", f"the guest leaves with {status} at instruction {count:,}")
        return course

    def _note(self, name: str, text: str) -> None:
        moment = Moment(now_ns() - self._course.start_ns, name, text)
        self._course.moments.append(moment)
        self._watcher.happened(moment)

    # --- the console ---

    def _hear(self, supervisor: Supervisor, data: bytes) -> None:
        course, now = self._course, now_ns()
        if not course.output:
            self._note("ready", f"in lockstep; {INCREMENTS} increments go in")
        course.output += data
        if supervisor.generation > 1 and not course.back_ns:
            course.back_ns = now - self._killed_ns
        self._heard_ns = now
        self._answers = max(course.output.count(b"\n") - 1, 0)
        if self._kill_at_ns is None and self._answers >= course.plan.replies:
            self._kill_at_ns = now + course.plan.delay_us * 1000
        self._watcher.progress(self._answers, INCREMENTS)

    def _type(self, supervisor: Supervisor) -> None:
        """Type what is due: bursts, the next one often before the last is answered."""
        if not self._course.output.startswith(READY):
            return
        if self._sent < INCREMENTS and self._sent - self._answers <= self._low_water:
            burst = min(self._bursts.randint(1, _BURST_MAX), INCREMENTS - self._sent)
            self._low_water = self._bursts.randint(0, burst // 2)
            supervisor.write(b"i" * burst)
            self._sent += burst
        elif self._answers >= INCREMENTS and not self._asked:
            self._asked = True
            supervisor.write(b"r")
        elif self._answers > INCREMENTS and not self._left:
            self._left = True
            supervisor.write(b"q")

    # --- one step ---

    def _step(self, supervisor: Supervisor) -> None:
        self._type(supervisor)
        now = now_ns()
        wait = _TICK_NS
        if self._kill_at_ns is not None and not self._killed_ns:
            if now >= self._kill_at_ns:
                self._kill(supervisor)
            elif self._kill_at_ns - now < _NEAR_NS:
                wait = Nanoseconds(0)
        supervisor.poll(wait)
        if self._killed_ns and not self._live and supervisor.generation > 1:
            self._live = True
            failover = supervisor.report().failovers[-1]
            self._note(
                "live",
                f"backup {failover.survivor} is live at instruction {failover.instruction:,}",
            )
        if now_ns() - self._heard_ns > _PATIENCE_NS:
            self._course.failure = f"the console is silent after {self._answers} answers"

    def _kill(self, supervisor: Supervisor) -> None:
        course = self._course
        victim = supervisor.replica("primary")
        assert victim is not None
        victim.kill()
        self._killed_ns = now_ns()
        course.killed_node, course.killed_pid = victim.name, victim.pid
        course.answers_at_kill, course.sent_at_kill = self._answers, self._sent
        self._note(
            "kill",
            f"SIGKILL to primary {victim.name}, {course.plan.delay_us} µs after answer"
            f" {course.plan.replies}",
        )
