"""The command `ftvm` as a shell runs it, in a place of its own, and what it leaves behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Not a limit on speed: a command that hangs shall fail its test and not the machine.
HANGS_AFTER_S = 120

COMMAND = (sys.executable, "-P", "-m", "ftvm")


@dataclass(frozen=True)
class Done:
    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


def _in_shell(arguments: tuple[str, ...], before: str, behind: str) -> list[str]:
    script = f'{before} exec "$@"' if before else f'"$@" {behind}'
    shell = ["bash", "-c", script, "bash"] if before or behind else []
    return [*shell, *COMMAND, *arguments]


class FtvmCommand:
    """Runs commands in the folder `home`, with their temporary files in a folder beside."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.temporary = home / "temporary"
        self.temporary.mkdir()
        self.environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "XDG_CONFIG_HOME": str(home / "config"),
            "COLUMNS": "80",
            "TERM": "xterm",
        }
        self.environment.pop("NO_COLOR", None)

    def __call__(self, *arguments: str, typed: bytes = b"", tail: str = "") -> Done:
        """Run to the end; `tail` is what a shell shall have behind the command."""
        done = subprocess.run(
            _in_shell(arguments, "", tail),
            input=typed,
            capture_output=True,
            cwd=self.home,
            env=self.environment,
            timeout=HANGS_AFTER_S,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *arguments: str, before: str = "", tail: str = "") -> subprocess.Popen[bytes]:
        """Start with pipes for the standard streams, open until the caller closes them.

        `before` and `tail` are what a shell shall have in front and behind.
        """
        return subprocess.Popen(
            _in_shell(arguments, before, tail),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env=self.environment,
        )

    def python(self, program: str) -> Done:
        """Run a Python program in the command's place."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            capture_output=True,
            cwd=self.home,
            env=self.environment,
            timeout=HANGS_AFTER_S,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def left_files(self) -> list[str]:
        """Temporary files that are still there."""
        return [path.name for path in self.temporary.iterdir()]

    def left_processes(self) -> list[str]:
        """Processes that are still there: whatever inherited our TMPDIR."""
        return list(self._processes())

    def _processes(self) -> Iterator[str]:
        mark = f"TMPDIR={self.temporary}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # no process, or one that has just ended
