"""The disk guest on QEMU's drives and on ours: the same checks hold, the same bytes are read."""

import shutil
import subprocess
from pathlib import Path

import pytest
from memory_image import MemoryImage, boot_with_disks, patterned

QEMU = "qemu-system-i386"


@pytest.mark.parametrize("append", ["check", "ops=200 seed=3"])
def test_disk_guest_says_the_same_as_under_qemu(
    guest_images: Path, tmp_path: Path, append: str
) -> None:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed")
    image = guest_images / "disk.elf"
    contents = patterned(6000), patterned(900, 5)
    command = [QEMU, "-kernel", str(image), "-append", append]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    command += ["-serial", "stdio", "-display", "none", "-no-reboot"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.img").write_bytes(content)
        command += ["-drive", f"file={tmp_path}/{number}.img,format=raw,if=ide,index={number}"]
    theirs = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    machine = boot_with_disks(image.read_bytes(), append, *map(MemoryImage, contents))
    ours = bytearray()
    while machine.exit_value is None:
        machine.run()
        ours += b"".join(made.data for made in machine.take_outputs())
    assert ours.decode() == theirs.stdout.decode()
    assert (theirs.returncode, machine.exit_value) == (1, 0)
    for number, disk in enumerate(machine.disks):
        written = (tmp_path / f"{number}.img").read_bytes()
        assert disk.read(0, disk.sectors) == written  # type: ignore[arg-type]
