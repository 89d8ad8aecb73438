"""``python -m benchmarks``: run everything, print tables, perhaps write JSON."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import micro, report
from benchmarks.compare import run_all
from benchmarks.engines import Engine
from benchmarks.guests import WORKLOADS, CannotRunError, build
from benchmarks.ours import OursEngine
from benchmarks.pair import PairEngine
from benchmarks.qemu import QemuEngine
from benchmarks.stock import StockEngine
from ftvm.errors import FtvmError
from ftvm.machine.cpu import Mode

ROUNDS = 5
TINY_PAIRS = ("storm",)
MICRO_GUESTS = ("sort", "ticker")


def main() -> int:
    """Run the benchmarks; 1 if one cannot run or computes something else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="seconds, to see that all of it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement too")
    arguments = parser.parse_args()
    progress = Console(stderr=True)
    try:
        with progress.status("building the guests") as status:
            engines = _engines(tiny=arguments.tiny)
            with tempfile.TemporaryDirectory() as folder:
                images = build((*(w.guest for w in WORKLOADS), *MICRO_GUESTS), Path(folder))
                figures = micro.measure(
                    images, micro.TINY if arguments.tiny else micro.FULL, status.update
                )
                results = run_all(
                    WORKLOADS,
                    images,
                    engines,
                    rounds=1 if arguments.tiny else ROUNDS,
                    tiny=arguments.tiny,
                    tell=status.update,
                )
    except (CannotRunError, FtvmError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    machine = report.describe_machine()
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(machine)
    report.print_guests(console, results, engines)
    report.print_speeds(console, results, engines)
    report.print_figures(console, figures)
    if not QemuEngine.is_here():
        console.print("QEMU (qemu-system-i386) is not installed, so it is not compared.")
    if arguments.json:
        document = report.as_json(results, figures, machine)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _engines(*, tiny: bool) -> list[Engine]:
    """Every way to run a guest, the first being what the others are compared with."""
    engines: list[Engine] = [
        StockEngine("stock", hooked=False),
        StockEngine("stock, hooked", hooked=True),
        OursEngine("uncounted", Mode.SOLO, counted=False),
        OursEngine("counted", Mode.SOLO),
        OursEngine("primary", Mode.RECORD),
        PairEngine("pair", only=TINY_PAIRS if tiny else None),
    ]
    if QemuEngine.is_here() and not tiny:
        engines.append(QemuEngine("QEMU", record=False))
        engines.append(QemuEngine("QEMU, recording", record=True))
    return engines


sys.exit(main())
