"""The tables on the screen, and the same as JSON."""

import os
import platform
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.compare import Result, geometric_mean
from benchmarks.engines import Engine
from benchmarks.micro import Figure


def describe_machine() -> str:
    """Return what this is measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            model = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {load}"
    )


def print_guests(console: Console, results: Sequence[Result], engines: Sequence[Engine]) -> None:
    """Print the speeds of the engines, the stock engine's being 1."""
    base = engines[0].name
    table = Table(title=f"Speed, {base} = 1: more is faster; medians of CPU time")
    table.add_column("guest")
    table.add_column("steps", justify="right")
    table.add_column(f"{base}, s", justify="right")
    others = [engine.name for engine in engines[1:]]
    for name in others:
        table.add_column(name, justify="right")
    table.add_column("counted / uncounted", justify="right")
    table.add_column("primary / counted", justify="right")
    table.add_column("pair / counted", justify="right")
    for result in results:
        table.add_row(
            result.guest,
            f"{_steps(result) / 1e6:.1f} M",
            _cell(result.seconds(base), "{:.3f}"),
            *(_cell(result.speed(name, base)) for name in others),
            _cell(result.speed("counted", "uncounted")),
            _cell(result.speed("primary", "counted")),
            _cell(result.speed("pair", "counted")),
            end_section=result is results[-1],
        )
    table.add_row(
        "geometric mean",
        "",
        "",
        *(_cell(geometric_mean([r.speed(name, base) for r in results])) for name in others),
        _cell(geometric_mean([r.speed("counted", "uncounted") for r in results])),
        _cell(geometric_mean([r.speed("primary", "counted") for r in results])),
        _cell(geometric_mean([r.speed("pair", "counted") for r in results])),
    )
    console.print(table)


def print_speeds(console: Console, results: Sequence[Result], engines: Sequence[Engine]) -> None:
    """Print millions of steps in a second, and the log's size."""
    table = Table(title="Millions of steps in a second of CPU time; log of the pair")
    table.add_column("guest")
    for engine in engines:
        table.add_column(engine.name, justify="right")
    table.add_column("log entries", justify="right")
    table.add_column("log bytes", justify="right")
    for result in results:
        steps = _steps(result)
        rates = (
            None if (seconds := result.seconds(engine.name)) is None else steps / seconds / 1e6
            for engine in engines
        )
        logged = result.runs.get("pair", result.runs["primary"])[-1]
        table.add_row(
            result.guest,
            *(_cell(rate, "{:.0f}") for rate in rates),
            str(logged.log_entries),
            str(logged.log_bytes),
        )
    console.print(table)


def print_figures(console: Console, figures: Sequence[Figure]) -> None:
    """Print what single things cost."""
    table = Table(title="What single things cost; medians of CPU time")
    table.add_column("what")
    table.add_column("cost", justify="right")
    table.add_column("")
    table.add_column("goal", justify="right")
    for figure in figures:
        goal = "" if figure.goal is None else f"below {figure.goal:g}"
        table.add_row(figure.name, f"{figure.value:.2f}", figure.unit, goal)
    console.print(table)


def as_json(results: Sequence[Result], figures: Sequence[Figure], machine: str) -> dict[str, Any]:
    """Return everything measured, every single run too."""
    return {
        "machine": machine,
        "guests": [
            {
                "guest": result.guest,
                "options": result.options,
                "steps": _steps(result),
                "engines": {
                    name: {
                        "cpu_seconds": [run.seconds for run in runs],
                        "log_bytes": runs[-1].log_bytes,
                        "log_entries": runs[-1].log_entries,
                    }
                    for name, runs in result.runs.items()
                },
            }
            for result in results
        ],
        "figures": [
            {"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal} for f in figures
        ],
    }


def _steps(result: Result) -> float:
    return statistics.median(run.steps or 0 for run in result.runs["counted"])


def _cell(value: float | None, form: str = "{:.2f}") -> str:
    return "-" if value is None else form.format(value)
