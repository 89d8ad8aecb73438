"""Instructions that the engine alone leaves out or gets wrong."""

import pytest
from assembler import EAX, EBP, EBX, ECX, EDI, EDX, ESI, Assembler, absolute
from bare import (
    ABSENT,
    CODE,
    COUNTS,
    DATA,
    ERROR_CODE,
    GDT,
    IDT,
    KERNEL_CODE,
    KERNEL_DATA,
    KERNEL_STACK,
    READ_ONLY,
    RESUME,
    STACK,
    TASK,
    TSS,
    USER_CODE,
    USER_DATA,
    bare_machine,
    enter_paging,
    enter_user,
    gate,
    machine_of,
    task_segment,
)

from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount

SYSENTER, SYSEXIT, SYSCALL = (0x0F, 0x34), (0x0F, 0x35), (0x0F, 0x05)
GENERAL_PROTECTION, INVALID_OPCODE, PAGE_FAULT = 13, 6, 14
KERNEL = CODE + 0x1000
VIRTUAL_8086, INTERRUPT_FLAG = 1 << 17, 1 << 9
ARITHMETIC_FLAGS, OVERFLOW, SIGN, AUXILIARY = 0x8D5, 0x800, 0x80, 0x10
STEPS = InstructionCount(1000)


def word(machine: Machine, address: int) -> int:
    return int.from_bytes(machine.cpu.memory[address : address + 4], "little")


def set_msr(code: Assembler, number: int, value: int) -> None:
    code.mov(ECX, number).mov(EAX, value).mov(EDX, 0).raw(0x0F, 0x30)


def test_sysenter_goes_to_the_kernel_and_sysexit_back() -> None:
    code = Assembler(CODE)
    set_msr(code, 0x174, KERNEL_CODE)
    set_msr(code, 0x175, KERNEL_STACK)
    set_msr(code, 0x176, KERNEL)
    start = code.here + len(enter_user(Assembler(0), 0).bytes())
    enter_user(code, start, 0x3202)
    code.mov(ESI, 1).mov(EBX, 2)  # instructions before it in its block
    code.raw(*SYSENTER)
    back = code.here
    code.raw(0x8C, 0xCB).raw(0x8C, 0xD7)  # mov ebx, cs; mov edi, ss
    code.raw(0xCD, 0x82)  # INT END
    kernel = Assembler(KERNEL).push(ESI).store(DATA, 4).raw(0x8C, 0xCD)  # mov ebp, cs
    kernel.raw(0x9C).pop(EAX).store(DATA + 4, EAX)  # pushf
    kernel.mov(EDX, back).mov(ECX, STACK - 16).raw(*SYSEXIT)
    machine = bare_machine((CODE, code.bytes()), (KERNEL, kernel.bytes()))
    assert machine.run(STEPS) is Reason.HALTED
    general = machine.cpu.registers.gpr
    assert general[EBP] == KERNEL_CODE
    assert word(machine, DATA) == KERNEL_STACK - 4
    assert not word(machine, DATA + 4) & INTERRUPT_FLAG
    assert (general[EBX], general[EDI]) == (KERNEL_CODE + 16 | 3, KERNEL_CODE + 24 | 3)
    assert (general[EBX], general[EDI]) == (USER_CODE, USER_DATA)


@pytest.mark.parametrize(
    ("instruction", "vector"), [(SYSENTER, GENERAL_PROTECTION), (SYSCALL, INVALID_OPCODE)]
)
def test_a_system_call_that_is_not_set_up_faults(instruction: tuple[int, ...], vector: int) -> None:
    code = Assembler(CODE)
    code.store_value(RESUME, CODE + 0x80).inc(EBX).raw(*instruction).inc(ESI).hlt()
    code.org(CODE + 0x80).hlt()
    machine = machine_of(code)
    assert machine.run(STEPS) is Reason.HALTED
    assert word(machine, COUNTS + 4 * vector) == 1
    assert (machine.cpu.registers.gpr[EBX], machine.cpu.registers.gpr[ESI]) == (1, 0)


@pytest.mark.parametrize(("allowed", "faults"), [(True, 0), (False, 1)])
def test_ports_in_virtual_8086_mode_go_by_the_bitmap_alone(allowed: bool, faults: int) -> None:
    real_code, handler, bitmap_at = 0x4000, 0x5000, 104
    code = Assembler(CODE).ltr(TASK)
    for value in (0, 0, 0, 0, 0, 0x7F00, VIRTUAL_8086 | 0x3002, real_code >> 4, 0):
        code.push_value(value)
    code.iret()
    refused = Assembler(handler).mov(EAX, KERNEL_DATA).raw(0x8E, 0xD8)  # mov ds, eax
    refused.inc_memory(COUNTS).hlt()
    bitmap = bytearray(0x20)
    bitmap[0x80 // 8] = 0 if allowed else 1
    machine = bare_machine(
        (CODE, code.bytes()),
        (real_code, b"\xe4\x80\xcd\x82"),  # in al, 0x80; int END
        (handler, refused.bytes()),
        (IDT + 8 * GENERAL_PROTECTION, gate(handler)),
        (TSS, task_segment()[:102] + bitmap_at.to_bytes(2, "little") + bitmap),
        (GDT + TASK, (bitmap_at + len(bitmap)).to_bytes(2, "little")),
    )
    assert machine.run(STEPS) is Reason.HALTED
    assert word(machine, COUNTS) == faults


SET_CONDITIONS = [
    (bytes((0x0F, 0x90 + condition)) + absolute(0, READ_ONLY), 3) for condition in range(16)
]
ROTATIONS = [
    (opcode + absolute(register, ABSENT) + rest, 0)
    for register in (2, 3)  # RCL and RCR
    for opcode, rest in ((b"\xd1", b""), (b"\xd3", b""), (b"\xc1", b"\x05"), (b"\xd0", b""))
]


@pytest.mark.parametrize(
    ("instruction", "error"), SET_CONDITIONS + ROTATIONS, ids=lambda value: str(value)
)
@pytest.mark.parametrize("alone", [False, True])
def test_the_flags_survive_a_fault(instruction: bytes, error: int, alone: bool) -> None:
    code = enter_paging(Assembler(CODE))
    code.store_value(RESUME, CODE + 0x100).mov(ECX, 3).mov(EAX, 0x7F).raw(0x04, 1)  # add al, 1
    if alone:
        code.raw(0xEB, 0)  # jmp to what is next: a block ends
    code.add_bytes(instruction).hlt()
    code.org(CODE + 0x100).hlt()
    machine = machine_of(code)
    assert machine.run(STEPS) is Reason.HALTED
    assert word(machine, COUNTS + 4 * PAGE_FAULT) == 1
    assert word(machine, ERROR_CODE) == error
    saved = word(machine, machine.cpu.registers.gpr[4] - 4)
    assert saved & ARITHMETIC_FLAGS == OVERFLOW | SIGN | AUXILIARY
