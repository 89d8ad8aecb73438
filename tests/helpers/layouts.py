"""A replay where everything about the process is otherwise: its address space, its environment."""

import json
import shutil
import subprocess
from typing import Any

from ftvm_command import COMMAND, HANGS_AFTER_S, FtvmCommand

_SETARCH = shutil.which("setarch") is not None
# Without randomisation; the same with the layout that Linux had before 2.6.7.
_STRAIGHT = ("setarch", "-R") if _SETARCH else ()
_LEGACY = ("setarch", "-RL") if _SETARCH else ()
_OTHERS = (
    (*_STRAIGHT, "env", "PYTHONHASHSEED=0", "LC_ALL=C", "TZ=Asia/Tokyo"),
    (*_LEGACY, "env", "PYTHONHASHSEED=7", "bash", "-c", 'ulimit -s unlimited; exec "$@"', "bash"),
)


def assert_equal_elsewhere(ftvm: FtvmCommand, run: str) -> None:
    """Replay a whole run in two other environments, with the same verdict: equal."""
    first, second = (_verdict(ftvm, run, other) for other in _OTHERS)
    assert first == second
    assert first["verdict"] == "equal"
    assert first["whole"]


def _verdict(ftvm: FtvmCommand, run: str, other: tuple[str, ...]) -> dict[str, Any]:
    done = subprocess.run(
        [*other, *COMMAND, "replay", run, "--json"],
        cwd=ftvm.home,
        env=ftvm.environment,
        capture_output=True,
        timeout=HANGS_AFTER_S,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told.pop("wall_ns")
    return told
