"""Debian's kernel and a shell under fault tolerance: who types sees no seam; QEMU says the same.

By default one primary dies, in the middle of the boot; with --long twenty do, at
moments drawn at random, from the first instruction to the shell's last.
"""

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from debian_guests import (
    EPOCH_S,
    HALTED,
    LINUX_APPEND,
    LINUX_MEMORY_BYTES,
    MIB,
    PROMPT,
    DebianGuests,
    find_guests,
)

from ftvm.runtime.crash import parse_crash_point
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

TICK = Nanoseconds(20_000_000)
PATIENCE_S = 300
COMMANDS = (
    b"echo $((6 * 7)) > /answer; cat /answer\n",
    b"for n in 1 2 3 4 5; do echo line $n; done | tac\n",
    b"grep -c processor /proc/cpuinfo; uname -srm\n",
    b"poweroff -f\n",
)


@pytest.fixture(scope="module")
def guests() -> DebianGuests:
    return find_guests()


@pytest.fixture(scope="module")
def initrd(guests: DebianGuests, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("debian") / "initrd.gz"
    path.write_bytes(guests.initrd())
    return path


class Session:
    """What is on the console, and when the next command is to be typed."""

    def __init__(self) -> None:
        self.output = bytearray()
        self._commands = list(COMMANDS)
        self._prompts = 0

    def due(self) -> bytes | None:
        if self.output.count(PROMPT) > self._prompts and self._commands:
            self._prompts = self.output.count(PROMPT)
            return self._commands.pop(0)
        return None

    def after_boot(self) -> bytes:
        """What the shell showed, without what the kernel said meanwhile."""
        shown = bytes(self.output).replace(b"\r", b"")
        shown = shown[shown.index(PROMPT) :]
        return re.sub(rb"\[ *\d+\.\d+\] .*\n", b"", shown)


def kernel_says(output: bytes) -> set[bytes]:
    """The kernel's lines that are a matter of the machine's devices, without time stamps."""
    lines = re.sub(rb"\[ *\d+\.\d+\] ", b"", output.replace(b"\r", b"")).split(b"\n")
    devices = (b"serial8250: tty", b"serio: i8042 KBD", b"input: AT", b"rtc_cmos: reg", b"pcpu-a")
    return {line for line in lines if any(device in line for device in devices)}


def run(guests: DebianGuests, initrd: Path, *crashes: str) -> tuple[Session, RunReport]:
    session = Session()
    spec = RunSpec(
        image_path=guests.folder / "vmlinuz-686",
        image_name="vmlinuz",
        memory_bytes=LINUX_MEMORY_BYTES,
        append=LINUX_APPEND,
        solo=False,
        crashes=tuple(parse_crash_point(crash) for crash in crashes),
        epoch_s=EPOCH_S,
        initrd_path=initrd,
    )
    give_up = time.monotonic() + PATIENCE_S
    with Supervisor(spec, session.output.extend) as supervisor:
        supervisor.start()
        while not supervisor.finished:
            assert time.monotonic() < give_up, bytes(session.output[-2000:])
            supervisor.poll(TICK)
            if (command := session.due()) is not None:
                supervisor.write(command)
        return session, supervisor.report()


def check_no_seam(guests: DebianGuests, initrd: Path, crash: str) -> tuple[Session, RunReport]:
    session, report = run(guests, initrd, crash)
    assert report.end == "halt"
    assert report.exit_status == 0
    assert report.divergences == report.contradictions == []
    assert len(report.failovers) == 1, crash
    assert session.output.endswith(HALTED + b"\r\n")
    return session, report


@pytest.fixture(scope="module")
def in_qemu(guests: DebianGuests, initrd: Path) -> Session:
    """The same kernel, files and commands in QEMU's machine without PCI."""
    if not shutil.which("qemu-system-i386"):
        pytest.skip("needs qemu-system-i386")
    session = Session()
    command = ["qemu-system-i386", "-M", "isapc", "-cpu", "qemu32", "-display", "none"]
    command += ["-kernel", str(guests.folder / "vmlinuz-686"), "-initrd", str(initrd)]
    command += ["-append", LINUX_APPEND, "-m", str(LINUX_MEMORY_BYTES // MIB), "-no-reboot"]
    command += ["-nodefaults", "-serial", "stdio"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        try:
            while HALTED + b"\r\n" not in session.output and (data := qemu.stdout.read1()):  # type: ignore[attr-defined]
                session.output += data
                if (typed := session.due()) is not None:
                    qemu.stdin.write(typed)
                    qemu.stdin.flush()
        finally:
            qemu.kill()
    return session


def test_the_primary_dies_while_linux_boots_and_nobody_notices(
    guests: DebianGuests, initrd: Path, in_qemu: Session
) -> None:
    session, _ = check_no_seam(guests, initrd, "primary@instruction:3000000000")
    assert session.after_boot() == in_qemu.after_boot()
    assert kernel_says(bytes(session.output)) == kernel_says(bytes(in_qemu.output)) != set()


def test_the_primary_dies_at_any_moment(
    guests: DebianGuests,
    initrd: Path,
    in_qemu: Session,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    if not pytestconfig.getoption("long"):
        pytest.skip("twenty boots: run with --long")
    _, whole = run(guests, initrd)
    seed = pytestconfig.getoption("seed", None) or random.SystemRandom().getrandbits(32)
    record_property("seed", seed)
    draw = random.Random(seed)
    for _ in range(20):
        crash = f"primary@instruction:{draw.randrange(1, int(whole.instructions * 0.98))}"
        session, _ = check_no_seam(guests, initrd, crash)
        assert session.after_boot() == in_qemu.after_boot(), f"{crash}, seed {seed}"
