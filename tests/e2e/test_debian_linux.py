"""Debian's kernels and a shell under fault tolerance: who types sees no seam; QEMU says the same.

By default one primary dies, in the middle of the boot; with --long twenty do, of
either kernel, at moments drawn at random, from the first instruction to the shell's last.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from debian_guests import HALTED, LINUX_APPEND, LINUX_MEMORY_BYTES, MIB, DebianGuests, find_guests
from debian_session import (
    Session,
    check_seamless,
    converse,
    drawn_crashes,
    drawn_seed,
    guest_spec,
)

from ftvm.runtime.report import RunReport

COMMANDS = (
    b"echo $((6 * 7)) > /answer; cat /answer\n",
    b"for n in 1 2 3 4 5; do echo line $n; done | tac\n",
    b"grep -c processor /proc/cpuinfo; uname -srm\n",
)
POWEROFF = b"poweroff -f\n"


@dataclass(frozen=True)
class Kernel:
    """A kernel, and how it comes to its end."""

    flavour: str
    append: str
    commands: tuple[bytes, ...]
    end: str
    last_words: bytes


PLAIN = Kernel("686", LINUX_APPEND, (), "halt", HALTED)
"""Without APICs and ACPI, so that it cannot switch off."""
PAE = Kernel(
    "686-pae",
    "console=ttyS0",
    (b"dmesg | grep -c 'IOAPIC.0.: apic_id'\n", b"grep -ow -m 1 -e pae -e nx /proc/cpuinfo\n"),
    "off",
    b"reboot: Power down",
)


@pytest.fixture(scope="module")
def guests() -> DebianGuests:
    return find_guests()


@pytest.fixture(scope="module")
def initrd(guests: DebianGuests, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("debian") / "initrd.gz"
    path.write_bytes(guests.initrd())
    return path


def kernel_says(output: bytes) -> set[bytes]:
    """The kernel's lines that are a matter of the machine's devices.

    Without time stamps and the numbers of input devices, which a worker of the
    kernel gives out in the order in which it finds them.
    """
    untimed = re.sub(rb"\[ *\d+\.\d+\] |(?<=/input/input)\d+", b"", output.replace(b"\r", b""))
    lines = untimed.split(b"\n")
    devices = (b"serial8250: tty", b"serio: i8042 KBD", b"input: AT", b"rtc_cmos: reg", b"pcpu-a")
    return {line for line in lines if any(device in line for device in devices)}


def run(
    guests: DebianGuests, initrd: Path, kernel: Kernel, *crashes: str
) -> tuple[Session, RunReport]:
    session = Session((*COMMANDS, *kernel.commands, POWEROFF))
    image = guests.folder / f"vmlinuz-{kernel.flavour}"
    report = converse(guest_spec(image, kernel.append, *crashes, initrd=initrd), session)
    return session, report


def check_no_seam(guests: DebianGuests, initrd: Path, kernel: Kernel, crash: str) -> Session:
    session, report = run(guests, initrd, kernel, crash)
    assert (report.end, report.exit_status) == (kernel.end, 0)
    check_seamless(report, crash)
    assert session.output.endswith(kernel.last_words + b"\r\n")
    return session


@pytest.fixture(scope="module")
def in_qemu(guests: DebianGuests, initrd: Path) -> Session:
    """The same kernel, files and commands in QEMU's machine without PCI."""
    if not shutil.which("qemu-system-i386"):
        pytest.skip("needs qemu-system-i386")
    session = Session((*COMMANDS, POWEROFF))
    command = ["qemu-system-i386", "-M", "isapc", "-cpu", "qemu32", "-display", "none"]
    command += ["-kernel", str(guests.folder / "vmlinuz-686"), "-initrd", str(initrd)]
    command += ["-append", LINUX_APPEND, "-m", str(LINUX_MEMORY_BYTES // MIB), "-no-reboot"]
    command += ["-nodefaults", "-serial", "stdio", *(3 * ["-serial", "null"])]
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
    session = check_no_seam(guests, initrd, PLAIN, "primary@instruction:3000000000")
    assert session.after_boot() == in_qemu.after_boot()
    assert kernel_says(bytes(session.output)) == kernel_says(bytes(in_qemu.output)) != set()


@pytest.mark.parametrize("kernel", [PLAIN, PAE], ids=lambda kernel: kernel.flavour)
def test_the_primary_dies_at_any_moment(
    kernel: Kernel,
    guests: DebianGuests,
    initrd: Path,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    if not pytestconfig.getoption("long"):
        pytest.skip("twenty boots: run with --long")
    untouched, whole = run(guests, initrd, kernel)
    seed = drawn_seed(pytestconfig)
    record_property("seed", seed)
    for crash in drawn_crashes(seed, int(whole.instructions * 0.98)):
        session = check_no_seam(guests, initrd, kernel, crash)
        assert session.after_boot() == untouched.after_boot(), f"{crash}, seed {seed}"
