"""Real-mode guests that want a BIOS are told that there is none; devices' interrupts come back."""

import pytest
from multiboot_image import Elf

from ftvm.machine.boot.bios_stub import STATUS
from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.text_screen import TEXT_MEMORY
from ftvm.units import GuestPhysical, InstructionCount

MEMORY = 16 << 20
CODE, STACK = 0x7C00, 0x7000
HALT = b"\xfa\xf4"
ADDS_SEGMENTS = 1 << 6  # the engine's HF_ADDSEG


def real_mode(code: bytes) -> Machine:
    """Return a booted machine that is in real mode, at the first byte of `code`."""
    machine = Machine(MachineConfig(MEMORY, 1_700_000_000))
    machine.boot(plan_boot(BootFiles("k", Elf().build(), ""), MEMORY))
    machine.cpu.write_memory(GuestPhysical(CODE), code)
    registers = machine.cpu.registers
    registers.cr[0], registers.hflags = 0x10, ADDS_SEGMENTS
    registers.eip, registers.gpr[4] = CODE, STACK
    registers.idt.base, registers.idt.limit = 0, 0x3FF
    for segment in registers.segments:
        segment.selector, segment.base, segment.limit, segment.flags = 0, 0, 0xFFFF, 0x9B00
    machine.cpu.registers = registers
    return machine


def said(machine: Machine) -> tuple[bytes, bytes]:
    """Return what is on COM1 and in the screen's first row."""
    outputs = machine.take_outputs()
    line = b"".join(output.data for output in outputs if output.channel is Stream.CONSOLE)
    return line, bytes(machine.cpu.memory[TEXT_MEMORY : TEXT_MEMORY + 160])[::2].rstrip(b"\0 ")


@pytest.mark.parametrize("number", [0x10, 0x13, 0x15, 0xA9, 0xFF])
def test_a_call_of_the_bios_is_told(number: int) -> None:
    machine = real_mode(bytes((0xB4, 0x02, 0xCD, number)) + HALT)
    assert machine.run(InstructionCount(10_000)) is Reason.ATTENTION
    text = f"int {number:02X}h: this machine has no BIOS, which the guest calls".encode()
    assert (machine.exit_value, said(machine)) == (STATUS, (text + b"\r\n", text))


def test_an_exception_is_told() -> None:
    machine = real_mode(b"\x0f\x0b" + HALT)
    machine.run(InstructionCount(10_000))
    text = b"an exception in real mode, and the guest has no handler for it"
    assert (machine.exit_value, said(machine)) == (STATUS, (text + b"\r\n", text))


@pytest.mark.parametrize("vector", [*range(8, 0x10), *range(0x70, 0x78)])
def test_an_interrupt_of_a_device_comes_back(vector: int) -> None:
    machine = real_mode(b"\xb8\x34\x12\xcd" + bytes((vector,)) + HALT)  # mov ax, 1234h; int n
    machine.run(InstructionCount(10_000))
    assert machine.cpu.halted_for_good
    assert machine.cpu.registers.gpr[0] & 0xFFFF == 0x1234
    assert said(machine) == (b"", b"")
