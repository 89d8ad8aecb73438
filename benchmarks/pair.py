"""A pair of replicas, as ``ftvm run`` starts one: three processes and a channel."""

import json
import sys
from pathlib import Path

from benchmarks.children import NetOfStart, run_child
from benchmarks.engines import Run
from benchmarks.guests import CannotRunError, Workload

_FTVM = "import sys; from ftvm.ui.cli import main; sys.exit(main())"
_REPLICAS = 2


class PairEngine:
    """A primary and a backup in lockstep, less start-up.

    CPU time is that of all processes of the run, divided by the two replicas:
    what each costs with its share of the protocol. `only` names the guests to
    run, for starting three processes takes a second.
    """

    def __init__(self, name: str, *, only: tuple[str, ...] | None = None) -> None:
        self.name = name
        self._only = only
        self._net = NetOfStart(self._run)

    def can_run(self, workload: Workload) -> bool:
        """Everything, unless told otherwise."""
        return self._only is None or workload.guest in self._only

    def run(self, image: Path, options: str) -> Run:
        """Run the guest to its end."""
        return self._net.run(image, options)

    @staticmethod
    def _run(image: Path, options: str, folder: Path) -> Run:
        command = [sys.executable, "-c", _FTVM, "run", str(image), "--append", options]
        child = run_child([*command, "--report", "report"], folder)
        try:
            told = json.loads((folder / "report").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CannotRunError(f"ftvm run ended with status {child.status}") from None
        if told["failovers"] or not told["replicas_equal"]:
            raise CannotRunError(f"the pair that ran {image.stem} did not stay a pair")
        return Run(
            seconds=child.seconds / _REPLICAS,
            output=child.output,
            exit_value=child.status,
            log_bytes=told["log"]["bytes"],
            log_entries=told["log"]["entries"],
        )
