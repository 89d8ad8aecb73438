"""Operating systems out of Debian's archive, as .ci/debian-guests fetches them."""

import os
from pathlib import Path

import pytest
from initramfs import initramfs

from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.machine import Machine, MachineConfig

EPOCH_S = 1_700_000_000
MIB = 1 << 20
LINUX_MEMORY_BYTES = 256 * MIB
LINUX_APPEND = "noapic nolapic acpi=off pci=off nosmp console=ttyS0"
PROMPT = b"/ # "
HALTED = b"reboot: System halted"


class DebianGuests:
    """The folder with the guests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def linux(self, flavour: str, append: str = LINUX_APPEND) -> Machine:
        """Return a machine with Debian's kernel and a shell to boot into."""
        files = BootFiles("vmlinuz", self.read(f"vmlinuz-{flavour}"), append, self.initrd())
        return boot(files, LINUX_MEMORY_BYTES)

    def initrd(self) -> bytes:
        return initramfs(self.read("busybox"))

    def initrd_with_disks(self) -> bytes:
        """Return one with the modules in it by which the 686 kernel finds ISA disks and ext2."""
        folder = self.folder / "modules-686"
        if not folder.exists():
            pytest.skip(f"no {folder}: run .ci/debian-guests again")
        modules = {path.name: path.read_bytes() for path in folder.iterdir()}
        return initramfs(self.read("busybox"), modules=modules)


def boot(files: BootFiles, memory_bytes: int) -> Machine:
    machine = Machine(MachineConfig(memory_bytes, EPOCH_S))
    machine.boot(plan_boot(files, memory_bytes))
    return machine


def find_guests() -> DebianGuests:
    """Return the guests; skip, or fail where everything has to run, if they are not there."""
    root = Path(__file__).parent.parent.parent
    folder = Path(os.environ.get("FTVM_DEBIAN_GUESTS", root / "build" / "debian-guests"))
    if not (folder / "vmlinuz-686").exists():
        advice = f"no guests from Debian in {folder}: run .ci/debian-guests"
        if os.environ.get("CI"):
            pytest.fail(advice)
        pytest.skip(advice)
    return DebianGuests(folder)
