"""Curves: what the cost of fault tolerance grows with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ftvm.bench.delayed import answers_over
from ftvm.bench.guest_run import Reported, run_guest
from ftvm.bench.measurement import Measurement, percentile
from ftvm.bench.plan import Plan, Tell
from ftvm.bench.rivals import COUNTED, PAIR

ROUNDS_A_SECOND = 15000
"""How many rounds of `ticks` a fast machine does."""
OPS_A_SECOND = 300000
"""The same of `storm`."""
MEMORY_SECTION = "scaling: memory"
INTERRUPTS_SECTION = "scaling: interrupts"
OUTPUT_SECTION = "scaling: output"
LAG_SECTION = "scaling: lag bound"
DELAY_SECTION = "scaling: channel delay"


@dataclass(frozen=True)
class Axis:
    """What is varied; ``values`` in full and tiny."""

    section: str
    unit: str
    values: tuple[int, ...]
    tiny: tuple[int, ...]

    def points(self, plan: Plan) -> Sequence[int]:
        """The values of a session."""
        return self.tiny if plan.tiny else self.values

    def row(self, value: int) -> str:
        """A value with its unit."""
        return f"{value:,} {self.unit}"


AXES = {
    axis.section: axis
    for axis in (
        Axis(MEMORY_SECTION, "MB", (16, 64, 256, 1024), (16,)),
        Axis(INTERRUPTS_SECTION, "Hz", (0, 100, 1000, 3000, 10000), (1000,)),
        Axis(OUTPUT_SECTION, "lines/s", (0, 100, 300, 1000), (100,)),
        Axis(LAG_SECTION, "ms", (10, 30, 100, 250, 1000), (100,)),
        Axis(DELAY_SECTION, "ms", (0, 1, 3, 10, 30), (1,)),
    )
}


def measure_memory(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Starting a pair, and its speed in a random mix of everything."""
    ops = 200 if plan.tiny else int(OPS_A_SECOND * plan.seconds)

    def run(rival: str, megabytes: int) -> Reported:
        return run_guest(rival, "storm", f"ops={ops}", memory_mb=megabytes)

    axis = AXES[MEMORY_SECTION]
    for megabytes, runs in _sweep(axis, (COUNTED, PAIR), run, plan, tell):
        yield [
            *_speeds(axis, megabytes, runs, ops, "ops/s"),
            *(
                _point(axis, megabytes, f"{rival}, start", "s", "less",
                       [one.watched.start_s for one in made])
                for rival, made in runs.items()
            ),
        ]  # fmt: skip


def _rounds(plan: Plan) -> int:
    """How much of `ticks` to run for one point."""
    return 50 if plan.tiny else int(ROUNDS_A_SECOND * plan.seconds)


def measure_interrupts(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Computing while the timer ticks."""
    rounds = _rounds(plan)

    def run(rival: str, rate: int) -> Reported:
        return run_guest(rival, "ticks", f"rate={rate} rounds={rounds}")

    axis = AXES[INTERRUPTS_SECTION]
    for rate, runs in _sweep(axis, (COUNTED, PAIR), run, plan, tell):
        yield _speeds(axis, rate, runs, rounds, "rounds/s")


def measure_output(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """Computing, and printing a line of 64 bytes at each tick."""
    rounds = _rounds(plan)

    def run(rival: str, rate: int) -> Reported:
        return run_guest(rival, "ticks", f"rate={rate} rounds={rounds} lines")

    axis = AXES[OUTPUT_SECTION]
    for rate, runs in _sweep(axis, (COUNTED, PAIR), run, plan, tell):
        yield _speeds(axis, rate, runs, rounds, "rounds/s")


def measure_lag(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """A pair that computes, whose backup may be so far behind."""
    rounds = _rounds(plan)

    def run(rival: str, bound_ms: int) -> Reported:
        options = f"rate=100 rounds={rounds}"
        return run_guest(rival, "ticks", options, "--lag-bound", f"{bound_ms}ms")

    axis = AXES[LAG_SECTION]
    for bound_ms, runs in _sweep(axis, (PAIR,), run, plan, tell):
        lags_ms = [one.report["flow"]["lag_ns_max"] / 1e6 for one in runs[PAIR]]
        yield [
            *_speeds(axis, bound_ms, runs, rounds, "rounds/s"),
            _point(axis, bound_ms, "farthest behind", "ms", "less", lags_ms),
        ]


def measure_delay(plan: Plan, tell: Tell) -> Iterator[list[Measurement]]:
    """From a key to its answer, with the channel's bytes held up on their way."""
    axis = AXES[DELAY_SECTION]
    for delay_ms in axis.points(plan):
        tell(f"{axis.section}: {axis.row(delay_ms)}")
        answers = answers_over(delay_ms, plan.seconds)
        yield [
            _point(axis, delay_ms, f"key to answer, {name}", "ms", "less",
                   [percentile(answers, part) * 1e3])
            for name, part in (("p50", 0.5), ("p99", 0.99))
        ]  # fmt: skip


def _sweep(
    axis: Axis,
    rivals: Sequence[str],
    run: Callable[[str, int], Reported],
    plan: Plan,
    tell: Tell,
) -> Iterator[tuple[int, dict[str, list[Reported]]]]:
    """Run the rivals in turn at each point."""
    for value in axis.points(plan):
        runs: dict[str, list[Reported]] = {rival: [] for rival in rivals}
        for turn in range(plan.turns):
            for rival in rivals:
                tell(f"{axis.section}: {axis.row(value)}, turn {turn + 1}: {rival}")
                runs[rival].append(run(rival, value))
        yield value, runs


def _speeds(
    axis: Axis, value: int, runs: dict[str, list[Reported]], rounds: int, unit: str
) -> list[Measurement]:
    return [
        _point(
            axis, value, rival, unit, "more",
            [rounds / max(one.watched.wall_s, 1e-6) for one in made],
        )
        for rival, made in runs.items()
    ]  # fmt: skip


def _point(
    axis: Axis, value: int, column: str, unit: str, better: str, samples: list[float]
) -> Measurement:
    return Measurement(
        section=axis.section,
        row=axis.row(value),
        column=column,
        unit=unit,
        better=better,
        samples=samples,
        details={"at": value},
    )
