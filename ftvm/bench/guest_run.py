"""One run of a guest by an ftvm command, and its report."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftvm.bench.programs import image_path
from ftvm.bench.rivals import RIVALS, Boot
from ftvm.bench.watch import CannotRunError, Typing, Watched, watch


@dataclass(frozen=True)
class Reported:
    """How a run went, seen from outside and by its own report, if it writes one."""

    watched: Watched
    report: dict[str, Any]


def run_guest(
    rival_name: str,
    guest: str,
    options: str,
    *extra: str,
    memory_mb: int = 64,
    typing: Typing | None = None,
) -> Reported:
    """Run a guest to its end on one of the rivals, with more options of its command."""
    rival = next(rival for rival in RIVALS if rival.name == rival_name)
    boot = Boot(image_path(guest), f"go {options}", memory_mb)
    with tempfile.TemporaryDirectory(prefix="ftvm-bench-") as name:
        folder = Path(name)
        command = [*rival.command_for(boot, folder), *extra]
        watched = watch(command, folder, typing=typing)
        rival.check(watched.status)
        file = folder / f"{rival.name}.json"
        report = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if report.get("failovers") or report.get("replicas_equal") is False:
        raise CannotRunError(f"the pair that ran {guest} did not stay a pair")
    return Reported(watched, report)
