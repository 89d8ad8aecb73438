"""Whom the work is given to: the command of each rival, and what it can do.

Every rival is a process of its own whose standard output is the guest's console,
so that one stopwatch does for all.
"""

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ftvm.bench.watch import CannotRunError

QEMU = "qemu-system-i386"
MEMORY_MB = 64
_FTVM = (sys.executable, "-P", "-m", "ftvm")
_STOCK = (sys.executable, "-P", "-m", "ftvm.bench.stock")
_TWICE = (sys.executable, "-P", "-m", "ftvm.bench.twice")
_UNCOUNTED = (sys.executable, "-P", "-m", "ftvm.bench.uncounted")
_DEVICES = frozenset({"interrupts", "rdrand", "keys", "linux"})


@dataclass(frozen=True)
class Boot:
    """A guest to be booted: its image, its options, and RAM in MB."""

    image: Path
    options: str
    memory_mb: int = MEMORY_MB
    initrd: Path | None = None


@dataclass(frozen=True)
class Rival:
    """A way to run a guest.

    ``command`` is followed by what names the guest, in the ``style`` of ftvm, of
    QEMU, or plain: image and options. ``has`` is what it offers beyond a CPU and
    memory. A rival that ``replays`` another does again what that one has just
    recorded. ``replicas`` is by how many the CPU time of its processes is divided.
    """

    name: str
    what: str
    command: tuple[str, ...]
    style: str
    has: frozenset[str] = _DEVICES
    replays: str = ""
    replicas: int = 1

    @property
    def missing(self) -> str:
        """Why it cannot run here; empty if it can."""
        if self.style == "qemu" and shutil.which(QEMU) is None:
            return f"{QEMU} is not installed"
        if self.command[:4] == _STOCK and importlib.util.find_spec("unicorn") is None:
            return "the package unicorn is not installed; pip install 'ftvm[bench]' brings it"
        return ""

    def command_for(self, boot: Boot, folder: Path) -> list[str]:
        """Return the command that boots a guest, or replays what is recorded in `folder`."""
        if self.style == "ftvm" and self.replays:
            return [*self.command, str(folder / "recorded.run")]
        made = [*self.command]
        if self.style == "qemu":
            made += ["-m", str(boot.memory_mb), "-kernel", str(boot.image)]
            made += ["-append", boot.options]
            return made + (["-initrd", str(boot.initrd)] if boot.initrd else [])
        if self.style == "plain":
            return [*made, str(boot.image), boot.options]
        made += [str(boot.image), "--append", boot.options, "--memory", f"{boot.memory_mb}M"]
        made += ["--report", str(folder / f"{self.name}.json")]
        return made + (["--initrd", str(boot.initrd)] if boot.initrd else [])

    def check(self, status: int) -> None:
        """Raise CannotRunError unless the exit status says that the guest left with 0."""
        if self.style == "qemu":
            # isa-debug-exit ends QEMU with twice the guest's value, and 1.
            good = status == 1 or (bool(self.replays) and status == 0)
        else:
            good = status == 0
        if not good:
            raise CannotRunError(f"{self.name}: exit status {status}")


def _qemu(name: str, what: str, *options: str, replays: str = "") -> Rival:
    # Without -nodefaults the firmware waits for minutes for devices that recording slows.
    command = (
        QEMU, "-accel", "tcg", "-cpu", "qemu32,+rdrand", "-display", "none", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        *options,
    )  # fmt: skip
    return Rival(name, what, command, "qemu", replays=replays)


STOCK = "stock"
COUNTED = "counted"
PAIR = "pair"
TWICE = "two alone"

RIVALS = (
    Rival(STOCK, "Unicorn as its package comes", _STOCK, "plain", frozenset()),
    Rival(
        "stock+hook",
        "the same with a hook on every instruction that counts it, in machine code",
        (*_STOCK, "--hook"),
        "plain",
        frozenset(),
    ),
    Rival(
        "uncounted",
        "ftvm's core without counting: not exact, takes no interrupts",
        _UNCOUNTED,
        "plain",
        frozenset({"rdrand"}),
    ),
    Rival(COUNTED, "ftvm run --solo", (*_FTVM, "run", "--solo"), "ftvm"),
    Rival("record", "ftvm record", (*_FTVM, "record", "-o", "recorded.run"), "ftvm"),
    Rival("replay", "ftvm replay", (*_FTVM, "replay"), "ftvm", replays="record"),
    Rival(
        PAIR,
        "ftvm run: primary and backup, two processes",
        (*_FTVM, "run"),
        "ftvm",
        replicas=2,
    ),
    Rival(
        TWICE,
        "ftvm run --solo twice at once, one of them measured: what the host leaves a pair",
        _TWICE,
        "ftvm",
        replicas=2,
    ),
    _qemu("QEMU", f"{QEMU}, its translator"),
    _qemu("QEMU icount", "with -icount shift=auto", "-icount", "shift=auto"),
    _qemu(
        "QEMU record",
        "with -icount shift=auto,rr=record",
        "-icount",
        "shift=auto,rr=record,rrfile=qemu.rr",
    ),
    _qemu(
        "QEMU replay",
        "with -icount shift=auto,rr=replay",
        "-icount",
        "shift=auto,rr=replay,rrfile=qemu.rr",
        replays="QEMU record",
    ),
)
