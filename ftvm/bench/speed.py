"""The main table: every work on every rival, in turn."""

import contextlib
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftvm.bench.measurement import Measurement, geometric_mean
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.programs import Linux, image_path
from ftvm.bench.rivals import COUNTED, Boot, Rival
from ftvm.bench.watch import GO, CannotRunError, Typing, Watched, watch
from ftvm.bench.work import Work
from ftvm.errors import HostError

SECTION = "speed"
START_SECTION = "start-up"
_SHORTEST = 0.25
"""A run of less than this part of what was aimed at is done again, longer."""
_FIRST_GUESS = 0.25
"""Speed of a rival of which nothing is known, compared with the work's rate."""
_LINUX_MEMORY_MB = 256
_LINUX_OPTIONS = "noapic nolapic acpi=off pci=off nosmp console=ttyS0"
_LINUX_READY = b"ready"
_READY = b"ready\n"


@dataclass
class _Cell:
    """The runs of one work on one rival."""

    speeds: list[float] = field(default_factory=list)
    cpu_speeds: list[float] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    details: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    """Rounds a second of the newest run."""


class SpeedTable:
    """Runs works on rivals and keeps what they took."""

    def __init__(self, plan: Plan, linux: Linux | None, tell: Tell) -> None:
        self._plan = plan
        self._linux = linux
        self.tell = tell
        self._cells: dict[tuple[str, str], _Cell] = {}
        self._recorded: dict[Path, int] = {}
        """How many rounds a rival did last, by its folder."""
        self._results: dict[tuple[str, int], tuple[str, bytes]] = {}
        self.failed: dict[str, str] = {}
        """Why a work could not be measured on a rival."""

    def run(self, work: Work, rivals: Sequence[Rival]) -> None:
        """Measure a work, A B C A B C."""
        able = [rival for rival in rivals if self._able(work, rival)]
        turns = 1 if "linux" in work.needs else self._plan.turns
        for turn in range(turns):
            with tempfile.TemporaryDirectory(prefix="ftvm-bench-") as folder:
                for rival in able:
                    self.tell(f"{work.name}, turn {turn + 1} of {turns}: {rival.name}")
                    self._measure(work, rival, Path(folder))

    def row(self, work: Work, rivals: Sequence[Rival]) -> list[Measurement]:
        """Return what was measured of a work so far."""
        return [
            self._measurement(work, rival)
            for rival in rivals
            if (cell := self._cells.get((work.name, rival.name))) is not None and cell.speeds
        ]

    def starts(self, rivals: Sequence[Rival]) -> list[Measurement]:
        """Return what starting took: from the command to the guest's first word."""
        found = []
        for rival in rivals:
            cells = [cell for (_, name), cell in self._cells.items() if name == rival.name]
            if samples := [sample for cell in cells for sample in cell.starts_s]:
                found.append(
                    Measurement(
                        section=START_SECTION,
                        row=rival.name,
                        column="from the command to the guest's first word",
                        unit="s",
                        better="less",
                        samples=samples,
                    )
                )
        return found

    def _able(self, work: Work, rival: Rival) -> bool:
        if rival.missing or not work.needs <= rival.has:
            return False
        if "linux" in work.needs and self._linux is None:
            return False
        return not (rival.replays and work.needs & {"keys", "linux"})

    def _measure(self, work: Work, rival: Rival, folder: Path) -> None:
        cell = self._cells.setdefault((work.name, rival.name), _Cell())
        own = folder / (rival.replays or rival.name)
        own.mkdir(exist_ok=True)
        try:
            rounds = self._rounds(work, rival, own)
            watched = self._run(work, rival, own, rounds)
            if not self._long_enough(work, rival, watched):
                cell.rate = rounds / max(watched.wall_s, 1e-4)
                rounds = self._rounds(work, rival, own)
                shutil.rmtree(own)
                own.mkdir()
                watched = self._run(work, rival, own, rounds)
        except CannotRunError as error:
            self.failed[f"{work.name}, {rival.name}"] = str(error)
            if not cell.speeds:
                del self._cells[work.name, rival.name]
            return
        if work.needs & {"keys"}:
            rounds = len(watched.answers_s)
        self._keep(cell, rival, watched, rounds, own)

    def _keep(self, cell: _Cell, rival: Rival, watched: Watched, rounds: int, folder: Path) -> None:
        cell.rate = rounds / max(watched.wall_s, 1e-6)
        cell.speeds.append(cell.rate)
        if watched.cpu_s > 0:
            cell.cpu_speeds.append(rounds / watched.cpu_s * rival.replicas)
        if watched.start_s:
            cell.starts_s.append(watched.start_s)
        with contextlib.suppress(FileNotFoundError):
            report = json.loads((folder / f"{rival.name}.json").read_text(encoding="utf-8"))
            cell.details = {
                "instructions": report["instructions"],
                "log_entries": report["log"]["entries"],
                "log_bytes": report["log"]["bytes"],
                "wall_s": watched.wall_s,
            }
            if report["replicas_equal"] is False:
                raise HostError("the replicas of a pair differed")

    def _long_enough(self, work: Work, rival: Rival, watched: Watched) -> bool:
        if self._plan.tiny or rival.replays or work.needs & {"keys", "linux"}:
            return True
        return watched.wall_s >= _SHORTEST * self._plan.seconds

    def _rounds(self, work: Work, rival: Rival, folder: Path) -> int:
        """How many rounds to run: a power of two, so that rivals often do the same."""
        if self._plan.tiny:
            return work.tiny
        if rival.replays:
            if folder not in self._recorded:
                raise CannotRunError(f"{rival.replays} recorded nothing")
            return self._recorded[folder]
        cell = self._cells[work.name, rival.name]
        rate = cell.rate or work.rate * (self._typical(rival) or _FIRST_GUESS)
        return 1 << max(round(math.log2(max(rate * self._plan.seconds, 1))), 0)

    def _typical(self, rival: Rival) -> float | None:
        """How fast the rival is elsewhere, compared with the counted machine."""
        ratios = []
        for (work, name), cell in self._cells.items():
            counted = self._cells.get((work, COUNTED))
            if name == rival.name and cell.speeds and counted is not None and counted.rate:
                ratios.append(cell.rate / counted.rate)
        return geometric_mean(ratios)

    def _run(self, work: Work, rival: Rival, folder: Path, rounds: int) -> Watched:
        if "linux" in work.needs:
            return self._boot_linux(rival, folder)
        options = f"go {work.count}={rounds} {work.options}".strip()
        boot = Boot(image_path(work.guest), options)
        typing = None
        if "keys" in work.needs:
            typing = Typing(_READY, b"i", b"q", self._plan.seconds)
        watched = watch(rival.command_for(boot, folder), folder, typing=typing)
        rival.check(watched.status)
        self._recorded[folder] = rounds
        if typing is None:
            self._compare(work, rival, rounds, watched.output)
        return watched

    def _boot_linux(self, rival: Rival, folder: Path) -> Watched:
        assert self._linux is not None
        boot = Boot(self._linux.kernel, _LINUX_OPTIONS, _LINUX_MEMORY_MB, self._linux.initrd)
        return watch(rival.command_for(boot, folder), folder, go=b"", end=_LINUX_READY)

    def _compare(self, work: Work, rival: Rival, rounds: int, output: bytes) -> None:
        """Raise HostError unless all rivals that do the same say the same."""
        result = output.partition(GO)[2]
        name, expected = self._results.setdefault((work.name, rounds), (rival.name, result))
        if result != expected:
            raise HostError(
                f"{work.name}, {rounds} rounds: {rival.name} says {result[-100:]!r}, "
                f"{name} said {expected[-100:]!r}"
            )

    def _measurement(self, work: Work, rival: Rival) -> Measurement:
        cell = self._cells[work.name, rival.name]
        return Measurement(
            section=SECTION,
            row=work.name,
            column=rival.name,
            unit="rounds/s",
            better="more",
            samples=cell.speeds,
            cpu_samples=cell.cpu_speeds,
            details=cell.details,
        )
