"""Guests on every engine in turn, and what came out as ratios."""

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import Engine, Run
from benchmarks.guests import CannotRunError, Workload


@dataclass(frozen=True)
class Result:
    """All runs of one guest, by the engine's name, in the order they were made."""

    guest: str
    options: str
    runs: dict[str, list[Run]]

    def seconds(self, engine: str) -> float | None:
        """Median CPU time of the engine's runs; None if it cannot run the guest."""
        if engine not in self.runs:
            return None
        return statistics.median(run.seconds for run in self.runs[engine])

    def speed(self, engine: str, base: str) -> float | None:
        """How many times as fast as `base` the engine is; None if either did not run."""
        seconds, base_seconds = self.seconds(engine), self.seconds(base)
        if seconds is None or base_seconds is None:
            return None
        return base_seconds / seconds


def run_all(
    workloads: Sequence[Workload],
    images: dict[str, Path],
    engines: Sequence[Engine],
    *,
    rounds: int,
    tiny: bool,
    tell: Callable[[str], None],
) -> list[Result]:
    """Run every guest `rounds` times on each engine, A B C A B C.

    Raises CannotRunError if two runs of a guest differ in what they printed,
    in their exit value, or in the count of those that count.
    """
    results = []
    for workload in workloads:
        options = workload.tiny_options if tiny else workload.options
        able = [engine for engine in engines if engine.can_run(workload)]
        runs: dict[str, list[Run]] = {engine.name: [] for engine in able}
        for number in range(rounds):
            for engine in able:
                tell(f"{workload.guest}, round {number + 1} of {rounds}: {engine.name}")
                runs[engine.name].append(engine.run(images[workload.guest], options))
                gc.collect()  # a machine is a ring of references, and large
        check_equal(workload, runs)
        results.append(Result(workload.guest, options, runs))
    return results


def check_equal(workload: Workload, runs: dict[str, list[Run]]) -> None:
    """Raise CannotRunError unless all runs of the guest computed the same."""
    name, first = next((name, made[0]) for name, made in runs.items())
    counts: dict[int, str] = {}
    for engine, made in runs.items():
        for run in made:
            if (run.output, run.exit_value) != (first.output, first.exit_value):
                raise CannotRunError(
                    f"{workload.guest} printed {first.output[-200:]!r}, exit {first.exit_value}, "
                    f"on {name}, and {run.output[-200:]!r}, exit {run.exit_value}, on {engine}"
                )
            if run.steps is not None and workload.stock:
                counts[run.steps] = engine
    if first.exit_value != 0:
        raise CannotRunError(f"{workload.guest} left with {first.exit_value}, not 0")
    if len(counts) > 1:
        raise CannotRunError(f"{workload.guest} took as many steps as {counts}")


def geometric_mean(values: Sequence[float | None]) -> float | None:
    """Geometric mean of those that are there."""
    known = [value for value in values if value is not None]
    return statistics.geometric_mean(known) if known else None
