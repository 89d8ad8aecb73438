"""A real terminal, tmux's, with somebody who looks at it and presses keys."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

# Not a limit on speed: what hangs shall fail its test.
HANGS_AFTER_S = 120
HAS_TMUX = shutil.which("tmux") is not None
_PROMPT = "READY> "


class TmuxTerminal:
    """A shell in a window of its own; the server is nobody else's."""

    def __init__(
        self, home: Path, environment: Mapping[str, str], width: int = 80, height: int = 24
    ) -> None:
        self._socket = str(home / "tmux.socket")
        self._environment = {**environment, "TERM": "xterm-256color"}
        settings = home / "bashrc"
        settings.write_text(f"PS1='{_PROMPT}'\n")
        self._tmux(
            *("-f", os.devnull, "new-session", "-d", "-x", str(width), "-y", str(height)),
            *("-c", str(home), f"bash --rcfile {settings}"),
        )
        self.see(_PROMPT.rstrip())

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            capture_output=True,
            env=self._environment,
            timeout=HANGS_AFTER_S,
            check=True,
        )
        return done.stdout.decode()

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p").splitlines()

    @property
    def coloured(self) -> str:
        """The same with its colours."""
        return self._tmux("capture-pane", "-p", "-e")

    def ask(self, variable: str) -> str:
        """What tmux knows of the window."""
        return self._tmux("display-message", "-p", f"#{{{variable}}}").strip()

    @property
    def is_alternate(self) -> bool:
        return self.ask("alternate_on") == "1"

    def sees(self, *texts: str) -> bool:
        screen = "\n".join(self.lines)
        return all(text in screen for text in texts)

    def see(self, *texts: str) -> None:
        """Wait until all texts are on the screen."""
        give_up_at = time.monotonic() + HANGS_AFTER_S
        while not self.sees(*texts):
            screen = "\n".join(self.lines)
            assert time.monotonic() < give_up_at, f"{texts} did not come up:\n{screen}"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by the names that tmux has for them."""
        self._tmux("send-keys", *keys)

    def run(self, command: str) -> None:
        """Have the shell run a command; the screen is empty before."""
        self.type(f"clear; {command}")
        self.press("Enter")

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def settings(self, path: Path) -> str:
        """The terminal's own settings, as `stty -a` tells them."""
        path.unlink(missing_ok=True)
        self.run(f"stty -a > {path}.new; mv {path}.new {path}")
        give_up_at = time.monotonic() + HANGS_AFTER_S
        while not path.exists():
            assert time.monotonic() < give_up_at, "the shell does not answer"
            time.sleep(0.05)
        return path.read_text()

    def children(self) -> list[int]:
        """Processes that the shell has started."""
        shell = self.ask("pane_pid")
        path = Path(f"/proc/{shell}/task/{shell}/children")
        return [int(pid) for pid in path.read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to what the shell runs."""
        for pid in self.children():
            os.kill(pid, number)

    def close(self) -> None:
        """End the server; what ran in it has ended on return."""
        pids = [*self.children(), int(self.ask("pane_pid")), int(self.ask("pid"))]
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True)
        give_up_at = time.monotonic() + HANGS_AFTER_S
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() < give_up_at, "it does not end with its terminal"
            time.sleep(0.02)
