"""The same guest, booted by QEMU's Multiboot loader and by ours, is told the same.

Our plan is carried out on the stock engine's own binding, so nothing of our
machine stands between the plan and what the guest sees.
"""

import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan

# The binding has no type annotations: imported like this, its names are Any.
unicorn = import_module("unicorn")
x86 = import_module("unicorn.x86_const")

MIB = 1 << 20
MEMORY_BYTES = 64 * MIB
COM1_DATA = 0x3F8
DEBUG_EXIT = 0xF4
ARGUMENTS = "one  two=3"

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-system-i386") and shutil.which("gcc")),
    reason="needs qemu-system-i386 and gcc",
)


def run_qemu(image: Path) -> str:
    command = ["qemu-system-i386", "-kernel", str(image), "-append", ARGUMENTS]
    command += ["-m", str(MEMORY_BYTES // MIB), "-display", "none", "-serial", "stdio"]
    command += ["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # The debug exit device makes status 2 * value + 1.
    assert result.returncode == 1, result.stderr
    return result.stdout


def run_plan(plan: BootPlan) -> str:
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.mem_map(0, MEMORY_BYTES)
    for start, data in plan.segments:
        engine.mem_write(start, data)
    for start, size in plan.zeroed:
        engine.mem_write(start, bytes(size))
    registers = plan.registers
    engine.reg_write(x86.UC_X86_REG_CR0, registers.cr0)
    engine.reg_write(x86.UC_X86_REG_CR4, 0)
    engine.reg_write(x86.UC_X86_REG_GDTR, (0, registers.gdt_base, registers.gdt_limit, 0))
    engine.reg_write(x86.UC_X86_REG_CS, registers.code.selector)
    for register in (
        *(x86.UC_X86_REG_DS, x86.UC_X86_REG_ES, x86.UC_X86_REG_FS),
        *(x86.UC_X86_REG_GS, x86.UC_X86_REG_SS),
    ):
        engine.reg_write(register, registers.data.selector)
    engine.reg_write(x86.UC_X86_REG_EFLAGS, registers.eflags)
    engine.reg_write(x86.UC_X86_REG_EAX, registers.eax)
    engine.reg_write(x86.UC_X86_REG_EBX, registers.ebx)
    output = bytearray()

    def write_port(engine: Any, port: int, size: int, value: int, _: object) -> None:
        if port == COM1_DATA:
            output.append(value)
        elif port == DEBUG_EXIT:
            engine.emu_stop()

    engine.hook_add(unicorn.UC_HOOK_INSN, write_port, None, 1, 0, x86.UC_X86_INS_OUT)
    engine.emu_start(plan.entry, 0, count=1_000_000)
    return output.decode()


def parse(report: str) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for line in report.splitlines():
        name, _, value = line.partition(" ")
        lines.setdefault(name, []).append(value)
    return lines


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).with_name("multiboot1_report.c")
    path = tmp_path_factory.mktemp("guest") / "report.elf"
    flags = "-m32 -O1 -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables"
    link = "-nostdlib -static -no-pie -Wl,-m,elf_i386,--build-id=none"
    link += ",--section-start=.multiboot=0x100000,-Ttext=0x101000"
    subprocess.run(["gcc", *flags.split(), *link.split(), "-o", path, source], check=True)
    return path


def test_guest_is_told_the_same(image: Path) -> None:
    plan = load(image.read_bytes(), MEMORY_BYTES, ARGUMENTS, str(image))
    ours = parse(run_plan(plan))
    theirs = parse(run_qemu(image))
    same = ("eax", "cr0", "cr4", "cs_limit", "ds_limit", "ss_limit", "mem_lower", "command_line")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["map"][:3] == theirs["map"][:3]


def test_what_differs_is_what_firmware_keeps_for_itself(image: Path) -> None:
    plan = load(image.read_bytes(), MEMORY_BYTES, ARGUMENTS, str(image))
    ours = parse(run_plan(plan))
    theirs = parse(run_qemu(image))
    # The low byte of EFLAGS holds leftovers of QEMU's loader; interrupts are off in both.
    assert int(ours["eflags"][0], 16) & ~0xD5 == int(theirs["eflags"][0], 16) & ~0xD5 == 2
    # QEMU has also a boot device and a module list (with no module) to tell of.
    assert int(ours["flags"][0], 16) == int(theirs["flags"][0], 16) & ~(1 << 1 | 1 << 3)
    start, size, kind = ours["map"][3].split()
    their_start, their_size, their_kind = theirs["map"][3].split()
    assert (start, kind) == (their_start, their_kind)
    assert int(size, 16) == MEMORY_BYTES - MIB >= int(their_size, 16)
    assert int(ours["mem_upper"][0], 16) * 1024 == int(size, 16)
    assert int(theirs["mem_upper"][0], 16) * 1024 == int(their_size, 16)
    assert ours["boot_loader_name"] == ["ftvm"]
