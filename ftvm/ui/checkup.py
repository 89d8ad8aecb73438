"""Whether this machine can do what ftvm does: one check for each thing that it takes."""

import enum
import importlib
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ftvm.errors import FtvmError

_MIB, _GIB = 1 << 20, 1 << 30
_PYTHON_MIN = (3, 11)
_FREE_MEMORY_MIN = 512 * _MIB
_FREE_DISK_MIN = 64 * _MIB
_COLUMNS_MIN, _LINES_MIN = 80, 24
_CLOCK_NS_MAX = 500
"""A clock that takes longer is not read from the processor; each guest's run reads it."""

_REINSTALL = "pip install --force-reinstall ftvm"
_INSTALLERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "zypper": "sudo zypper install",
    "apk": "sudo apk add",
}
_PACKAGES = {
    "qemu": (
        "qemu-system-x86",
        "qemu-system-x86-core",
        "qemu-base",
        "qemu-x86",
        "qemu-system-i386",
    ),
    "etcd": ("etcd-server", "etcd", "etcd", "etcd", "etcd"),
    "gcc": ("gcc", "gcc", "gcc", "gcc", "build-base"),
    "ip": ("iproute2", "iproute", "iproute2", "iproute2", "iproute2"),
    "setarch": ("util-linux", "util-linux", "util-linux", "util-linux", "setarch"),
}
"""The package that has a program, where it is not called as the program is; by installer."""


class Grade(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    LACKING = "lacking"
    """Something that ftvm does is slower here, or cannot be had; the rest works."""
    FAILED = "failed"
    """ftvm cannot run guests here."""


@dataclass(frozen=True)
class Finding:
    """What one check found; ``remedy`` is what to do about it, a command if there is one."""

    name: str
    grade: Grade
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Make all checks, one after the other."""
    for check in _CHECKS:
        yield check()


def _install(program: str) -> str:
    packages = _PACKAGES.get(program, (program,) * len(_INSTALLERS))
    for (manager, command), package in zip(_INSTALLERS.items(), packages, strict=True):
        if shutil.which(manager):
            return f"{command} {package}"
    return f"install {packages[0]}"


# --- what every run takes ---


def _python() -> Finding:
    version = platform.python_version()
    where = f"Python {version}, {platform.system()} {platform.machine()}"
    if sys.version_info < _PYTHON_MIN:
        return Finding("python", Grade.FAILED, where, "install Python 3.11 or newer")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return Finding("python", Grade.FAILED, where, "ftvm runs on Linux on x86-64")
    return Finding("python", Grade.OK, where)


def _engine() -> Finding:
    try:
        module = importlib.import_module("ftvm.machine.machine")
        name = importlib.import_module("ftvm.machine.engine").ENGINE
        module.Machine(module.MachineConfig(memory_bytes=_MIB, epoch_s=0))
    except ImportError as error:
        return Finding("engine", Grade.FAILED, f"the C core is not there: {error}", _REINSTALL)
    except FtvmError as error:
        return Finding("engine", Grade.FAILED, str(error), _REINSTALL)
    return Finding("engine", Grade.OK, f"{name}: all seams in effect, counts exact")


def _guests() -> Finding:
    from ftvm.ui.images import bundled_guests

    try:
        guests = bundled_guests()
    except FtvmError as error:
        return Finding("guests", Grade.FAILED, str(error), _REINSTALL)
    absent = [guest.name for guest in guests if not guest.path.is_file()]
    if absent:
        detail = f"{', '.join(absent)} not installed"
        return Finding("guests", Grade.LACKING, detail, _REINSTALL)
    return Finding("guests", Grade.OK, f"{len(guests)} bundled images")


def _processors() -> Finding:
    number = len(os.sched_getaffinity(0))
    if number < 2:
        detail = "1: primary and backup take turns, and a pair runs at half its speed"
        return Finding("processors", Grade.LACKING, detail, "give ftvm two processors")
    return Finding("processors", Grade.OK, str(number))


def _memory() -> Finding:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) << 10
    detail = f"{free / _GIB:.1f} GiB available"
    if free < _FREE_MEMORY_MIN:
        remedy = "give guests less memory (--memory 16M), or the host more"
        return Finding("memory", Grade.LACKING, detail, remedy)
    return Finding("memory", Grade.OK, detail)


def _randomness() -> Finding:
    try:
        os.getrandom(16, os.GRND_NONBLOCK)
    except OSError as error:
        detail = f"the kernel has none yet: {error.strerror}"
        return Finding("randomness", Grade.FAILED, detail, "wait until the host has booted")
    return Finding("randomness", Grade.OK, "getrandom answers at once")


def _clock() -> Finding:
    place = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    source = place.read_text().strip() if place.exists() else "unknown"
    rounds = 2000
    best = min(_time_clock(rounds) for _ in range(5))
    tick_ns = time.get_clock_info("monotonic").resolution * 1e9
    detail = f"{source}, {best:.0f} ns to read, in steps of {tick_ns:g} ns"
    if best > _CLOCK_NS_MAX:
        remedy = "a guest that reads its clock often is slow; use a host whose clock source is tsc"
        return Finding("clock", Grade.LACKING, detail, remedy)
    return Finding("clock", Grade.OK, detail)


def _time_clock(rounds: int) -> float:
    begin = time.monotonic_ns()
    for _ in range(rounds):
        time.monotonic_ns()
    return (time.monotonic_ns() - begin) / rounds


def _temporary() -> Finding:
    """A run's own store lies there."""
    try:
        place = tempfile.gettempdir()
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("temporary", Grade.FAILED, str(error), "set TMPDIR")
    detail = f"{place}, {free / _MIB:,.0f} MiB free"
    if free < _FREE_DISK_MIN:
        return Finding("temporary", Grade.FAILED, detail, "make room, or set TMPDIR")
    return _test_and_set(place, detail)


def _test_and_set(place: str, detail: str) -> Finding:
    from ftvm.replication.arbitration import Lost, Won
    from ftvm.runtime.stores import FileStore
    from ftvm.units import Generation

    with tempfile.TemporaryDirectory(prefix="ftvm-", dir=place) as directory:
        store = FileStore(Path(directory, "store"), secrets.token_bytes(16))
        won, lost = (store.advance(Generation(0), owner) for owner in "ab")
    if isinstance(won, Won) and isinstance(lost, Lost):
        return Finding("temporary", Grade.OK, f"{detail}; test-and-set by hard links works")
    detail = f"{detail}; test-and-set by hard links came to {won}, {lost}"
    return Finding("temporary", Grade.FAILED, detail, "set TMPDIR to a POSIX file system")


def _loopback() -> Finding:
    families = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            socket.create_server((host, 0), family=family).close()
            families.append(host)
        except OSError as error:
            why = error.strerror
    if "127.0.0.1" not in families:
        detail = f"cannot listen on 127.0.0.1: {why}"
        return Finding("loopback", Grade.FAILED, detail, "sudo ip link set lo up")
    return Finding("loopback", Grade.OK, " and ".join(families))


# --- what some things take ---


def _terminal() -> Finding:
    name = os.environ.get("TERM", "")
    if not os.isatty(1):
        return Finding("terminal", Grade.OK, "none here: ftvm prints plain lines")
    columns, lines = os.get_terminal_size(1)
    encoding = (sys.stdout.encoding or "").lower()
    detail = f"{name or 'no TERM'}, {columns}x{lines}, {encoding}"
    remedies = []
    if name in ("", "dumb"):
        remedies.append("set TERM for colours and the screen")
    if columns < _COLUMNS_MIN or lines < _LINES_MIN:
        remedies.append(f"make it {_COLUMNS_MIN}x{_LINES_MIN} or larger for the screen")
    if "utf" not in encoding:
        remedies.append("export LC_ALL=C.UTF-8")
    grade = Grade.LACKING if remedies else Grade.OK
    return Finding("terminal", grade, detail, "; ".join(remedies))


def _program(name: str, program: str, package: str, purpose: str, *version: str) -> Finding:
    path = shutil.which(program)
    if path is None:
        return Finding(name, Grade.LACKING, f"not here: {purpose}", _install(package))
    try:
        told = subprocess.run([path, *version], capture_output=True, text=True, errors="replace")
    except OSError as error:
        detail = f"{path} does not start: {error.strerror}: {purpose}"
        return Finding(name, Grade.LACKING, detail, _install(package))
    first = (told.stdout or told.stderr).strip().splitlines()[:1]
    return Finding(name, Grade.OK, first[0] if first else path)


def _compiler() -> Finding:
    purpose = "only to build ftvm or guests from source"
    return _program("compiler", "gcc", "gcc", purpose, "--version")


def _qemu() -> Finding:
    purpose = "tests and benchmarks that compare with it are left out"
    return _program("qemu", "qemu-system-i386", "qemu", purpose, "--version")


def _etcd() -> Finding:
    purpose = "hosts then share a directory as store, or an etcd elsewhere"
    return _program("etcd", "etcd", "etcd", purpose, "--version")


def _tmux() -> Finding:
    purpose = "tests in a real terminal are left out"
    return _program("tmux", "tmux", "tmux", purpose, "-V")


def _setarch() -> Finding:
    purpose = "the test of another address-space layout is left out"
    return _program("setarch", "setarch", "setarch", purpose, "--version")


def _namespaces() -> Finding:
    purpose = "tests of hosts on networks of their own are left out"
    if shutil.which("ip") is None:
        return Finding("namespaces", Grade.LACKING, f"no ip: {purpose}", _install("ip"))
    if os.geteuid() != 0:
        detail = f"need root here: {purpose}"
        return Finding("namespaces", Grade.LACKING, detail, "run the tests as root")
    # In a child: whoever unshares its network stays without it.
    unshare = "import ctypes,sys; sys.exit(ctypes.CDLL(None).unshare(0x40000000) != 0)"
    if subprocess.run([sys.executable, "-I", "-c", unshare]).returncode:
        detail = f"refused by the kernel: {purpose}"
        return Finding("namespaces", Grade.LACKING, detail, "allow CAP_SYS_ADMIN")
    return Finding("namespaces", Grade.OK, "network namespaces can be made")


_CHECKS: tuple[Callable[[], Finding], ...] = (
    *(_python, _engine, _guests, _processors, _memory, _randomness, _clock, _temporary),
    *(_loopback, _terminal, _compiler, _qemu, _etcd, _tmux, _setarch, _namespaces),
)
