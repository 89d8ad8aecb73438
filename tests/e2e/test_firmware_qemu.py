"""What firmware leaves in low memory, here and in QEMU, whose firmware is SeaBIOS."""

import shutil
import subprocess

import pytest
from assembler import EBX, Assembler, le32
from ftvm_command import FtvmCommand
from port_program import COM1, out_dword, program

# Serial ports; the extended area; memory size; the queue of keys; mode, columns, page size;
# the CRT controller; the queue's place; rows and their height.
SPANS = (
    *(range(0x400, 0x408), range(0x40E, 0x410), range(0x413, 0x415), range(0x41A, 0x41E)),
    *(range(0x449, 0x44E), range(0x463, 0x465), range(0x480, 0x485), range(0x485, 0x487)),
    range(0x9FC00, 0x9FC01),
)
QEMU = ("qemu-system-i386", "-M", "isapc", "-nodefaults", "-vga", "std", "-display", "none")


def dumper() -> bytes:
    """Return an image that sends these bytes to COM1."""
    code = Assembler(0)
    for span in SPANS:
        for address in span:
            code.mov(EBX, address).raw(0x8A, 0x03, 0xBA).add_bytes(le32(COM1)).raw(0xEE)
    return program(code.bytes(), out_dword(0xF4, 0))


@pytest.mark.skipif(not shutil.which("qemu-system-i386"), reason="needs qemu-system-i386")
def test_the_bios_data_area_is_as_in_qemu(ftvm: FtvmCommand) -> None:
    (ftvm.home / "dumper").write_bytes(dumper())
    ports = ["-serial", "stdio", *(3 * ["-serial", "null"])]
    leave = ["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    command = [*QEMU, *ports, *leave, "-kernel", str(ftvm.home / "dumper")]
    in_qemu = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert in_qemu.returncode == 1
    assert ftvm("run", "dumper", "--solo").out == in_qemu.stdout
