"""The ways to run a guest that are compared, all behind one method."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.guests import Workload

MEMORY_BYTES = 64 << 20
EPOCH_S = 1_000_000_000


@dataclass(frozen=True)
class Run:
    """What one run of a guest cost and gave.

    ``seconds`` are of CPU time, of this process or of the child that ran;
    ``steps`` is the instruction count where the engine counts.
    """

    seconds: float
    output: bytes
    exit_value: int | None
    steps: int | None = None
    log_bytes: int | None = None
    log_entries: int | None = None


class Engine(Protocol):
    """Runs a guest from boot to its exit."""

    @property
    def name(self) -> str:
        """The table's column."""
        ...

    def can_run(self, workload: Workload) -> bool:
        """Whether the engine has all that the guest needs."""
        ...

    def run(self, image: Path, options: str) -> Run:
        """Run it once; raises CannotRunError if that is not possible."""
        ...
