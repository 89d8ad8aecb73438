"""One session of measuring as a file: what was measured, where, and how well."""

import contextlib
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import msgspec

from ftvm.bench.measurement import Measurement
from ftvm.bench.rivals import QEMU
from ftvm.errors import UsageError

FORMAT = 1
_BUSY_LOAD = 0.5
"""Load for each CPU from which on the clock on the wall says more of the load than of us."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that was measured on, and the versions of what was measured."""

    cpu: str
    cpus: int
    memory_mb: int
    system: str
    versions: dict[str, str]

    def describe(self) -> str:
        """All of it in one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.cpu}, {self.cpus} CPUs, {self.memory_mb} MB; {self.system}; {versions}"


class Document(msgspec.Struct, kw_only=True):
    """A whole session. ``missing`` and ``failed`` say why a rival or a cell is not there.

    ``interrupted``: Ctrl-C came before it was whole.
    """

    format: int = FORMAT
    host: Host
    command: str
    size: str
    begun: str
    """Date and time, UTC, as ISO 8601 has it."""
    load_before: float
    load_after: float = 0.0
    wall_s: float = 0.0
    interrupted: bool = False
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    measurements: list[Measurement] = []

    @property
    def was_busy(self) -> bool:
        """Whether something else was running when it began."""
        return self.load_before > _BUSY_LOAD * self.host.cpus

    def section(self, name: str) -> list[Measurement]:
        """Return what was measured in a section."""
        return [m for m in self.measurements if m.section == name]


def describe_host() -> Host:
    """Look at this machine."""
    versions = {"ftvm": metadata.version("ftvm"), "Python": platform.python_version()}
    with contextlib.suppress(metadata.PackageNotFoundError):
        versions["unicorn"] = metadata.version("unicorn")
    if shutil.which(QEMU) is not None:
        said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False)
        versions["QEMU"] = said.stdout.split("version ")[-1].split()[0]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Host(
        cpu=_cpu_model(),
        cpus=len(os.sched_getaffinity(0)),
        memory_mb=pages >> 20,
        system=f"{platform.system()} {platform.release()}",
        versions=versions,
    )


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.machine()


def read_document(path: Path) -> Document:
    """Read a session's file; UsageError says what is wrong with it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        document = msgspec.json.decode(text, type=Document)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{path}: not what ftvm bench -o writes ({error}); measure again"
        ) from None
    if document.format != FORMAT:
        raise UsageError(
            f"{path}: format {document.format}, and this ftvm reads {FORMAT}; measure again"
        )
    return document


def encode_document(document: Document) -> bytes:
    """Return the file's content."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
