"""What kernels lean on in the processor, as the Intel SDM has it."""

from collections.abc import Callable

import pytest
from assembler import EAX, EBX, ECX, EDX, ESI, ESP, Assembler
from bare import (
    CODE,
    COUNTS,
    DATA,
    ERROR_CODE,
    FAULT_ADDRESS,
    IDT,
    KERNEL_DATA,
    RESUME,
    TASK,
    TSS,
    bare_machine,
    enter_user,
    gate,
    machine_of,
)
from comparison import core_cpuid

from ftvm.log.recording import Recorder, replay
from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine
from ftvm.units import GuestPhysical, InstructionCount

GENERAL_PROTECTION, PAGE_FAULT = 13, 14
EFER, PAT, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP = 0xC0000080, 0x277, 0x174, 0x175, 0x176
STEPS_MAX = InstructionCount(100_000)


def run(machine: Machine) -> Machine:
    """Run to the HLT."""
    assert machine.run(STEPS_MAX) is Reason.HALTED
    return machine


def word(machine: Machine, address: int) -> int:
    return int.from_bytes(machine.cpu.memory[address : address + 4], "little")


def faults(machine: Machine, vector: int) -> int:
    return word(machine, COUNTS + 4 * vector)


def program() -> Assembler:
    return Assembler(CODE).mov(EAX, KERNEL_DATA).raw(0x8E, 0xD0)  # mov ss, ax


def resume_at(code: Assembler, label: str) -> Assembler:
    return code.store_value(RESUME, code.address(label))


def write_msr(code: Assembler, number: int, low: int, high: int = 0) -> Assembler:
    return code.mov(ECX, number).mov(EAX, low).mov(EDX, high).raw(0x0F, 0x30)


def read_msr(code: Assembler, number: int) -> Assembler:
    return code.mov(ECX, number).raw(0x0F, 0x32)


def with_labels(make: Callable[[Assembler], Assembler], origin: int = CODE) -> Assembler:
    """Assemble twice, so that labels further on have addresses."""
    first = Assembler(origin)
    first.address = lambda label: 0  # type: ignore[method-assign]
    make(first)
    labels = first._labels
    second = Assembler(origin)
    second.address = lambda label: labels[label]  # type: ignore[method-assign]
    return make(second)


# --- model-specific registers ---


@pytest.mark.parametrize("number", [0x2, 0x11, 0x179, 0x200, 0x2FF, 0x600, 0xC0000081, 0xC0010000])
@pytest.mark.parametrize("access", [0x30, 0x32], ids=["write", "read"])
def test_a_register_that_is_not_there_is_gp(number: int, access: int) -> None:
    def make(code: Assembler) -> Assembler:
        resume_at(code, "behind").mov(ECX, number).mov(EAX, 0).mov(EDX, 0)
        return code.raw(0x0F, access).label("behind").hlt()

    machine = run(machine_of(with_labels(make)))
    assert faults(machine, GENERAL_PROTECTION) == 1
    assert word(machine, ERROR_CODE) == 0


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [
        (EFER, 1 << 11, 0),
        (PAT, 0x00070406, 0x00070406),
        (SYSENTER_ESP, 0x1234, 0),
        (0xC0000103, 7, 0),
    ],
)
def test_a_register_keeps_what_was_written(number: int, low: int, high: int) -> None:
    code = read_msr(write_msr(Assembler(CODE), number, low, high).mov(EAX, 0), number).hlt()
    general = run(machine_of(code)).cpu.registers.gpr
    assert (general[EAX], general[EDX]) == (low, high)


def test_the_local_apic_is_where_its_base_says_and_stays_there() -> None:
    def make(code: Assembler) -> Assembler:
        resume_at(code, "behind")
        read_msr(code, 0x1B).store(DATA, EAX)
        code.load(EBX, 0xFEE00030)  # version
        code.store_value(0xFEE00080, 0x50).load(EDX, 0xFEE00080)  # task priority
        write_msr(code.store(DATA + 4, EDX), 0x1B, 0xFEF00900)
        return code.label("behind").hlt()

    machine = run(machine_of(with_labels(make)))
    assert word(machine, DATA) == 0xFEE00900
    assert machine.cpu.registers.gpr[EBX] & 0xFF == 0x14
    assert word(machine, DATA + 4) == 0x50
    assert faults(machine, GENERAL_PROTECTION) == 1


def test_the_apics_timer_interrupts_by_the_log_at_the_same_instruction() -> None:
    vector = 0x40

    def make(code: Assembler) -> Assembler:
        for register, value in ((0x3E0, 0xB), (0x320, vector), (0x380, 5000)):
            code.store_value(0xFEE00000 + register, value)
        code.sti().label("wait").inc(EBX).alu("cmp", ESI, 3).j("ne", "wait").cli().hlt()
        code.label("handler").inc(ESI).store_value(0xFEE00380, 5000)
        return code.store_value(0xFEE000B0, 0).iret()

    code = with_labels(make)
    entry = gate(code.address("handler"))

    def machine() -> Machine:
        made = machine_of(code)
        made.cpu.write_memory(GuestPhysical(IDT + 8 * vector), entry)
        return made

    first = machine()
    recorder = Recorder(first)
    assert first.run(InstructionCount(100_000_000)) is Reason.HALTED
    recording = recorder.finish()
    assert sum(entry.value == vector for entry in recording.entries()) == 3
    replay(machine(), recording)


@pytest.mark.parametrize(("number", "low"), [(EFER, 1), (EFER, 1 << 8), (PAT, 2), (PAT, 0xFF)])
def test_reserved_bits_are_gp(number: int, low: int) -> None:
    def make(code: Assembler) -> Assembler:
        return write_msr(resume_at(code, "behind"), number, low).label("behind").hlt()

    assert faults(run(machine_of(with_labels(make))), GENERAL_PROTECTION) == 1


def test_the_time_stamp_counter_goes_on_from_what_was_written() -> None:
    code = write_msr(Assembler(CODE), 0x10, 0, 0x1000).rdtsc().hlt()
    general = run(machine_of(code)).cpu.registers.gpr
    assert general[EDX] == 0x1000


# --- CPUID ---


def test_the_processor_states_its_clocks() -> None:
    highest = core_cpuid(0, 0)[0]
    assert highest >= 0x16
    denominator, numerator, crystal_hz, _ = core_cpuid(0x15, 0)
    assert crystal_hz * numerator // denominator == 1_000_000_000
    assert core_cpuid(0x16, 0)[0] == 1000
    assert core_cpuid(0x80000007, 0)[3] & 1 << 8, "the counter never stops or changes"


def test_the_processor_says_what_it_has_and_what_it_is() -> None:
    _, _, features, more = core_cpuid(1, 0)
    has = {"PAE": 6, "APIC": 9, "SYSENTER": 11, "PAT": 16, "FXSR": 24, "SSE2": 26}
    assert all(more >> bit & 1 for bit in has.values())
    assert features >> 31 & 1, "under a hypervisor"
    assert features >> 27 & 1 == 0, "no XSAVE, so no XGETBV"
    assert more >> 12 & 1 == 0, "no MTRRs"
    assert core_cpuid(0x80000001, 0)[3] >> 20 & 1, "no-execute"
    name = b"".join(part.to_bytes(4, "little") for part in core_cpuid(0x40000000, 0)[1:])
    assert name == b"ftvm" * 3


@pytest.mark.parametrize("code", ["0f01d0", "0f33"], ids=["XGETBV", "RDPMC"])
def test_what_would_ask_the_host_is_undefined(code: str) -> None:
    def make(program: Assembler) -> Assembler:
        resume_at(program, "behind").mov(ECX, 0).add_bytes(bytes.fromhex(code))
        return program.label("behind").hlt()

    assert faults(run(machine_of(with_labels(make))), 6) == 1


# --- SYSENTER ---


def sysenter_program(selector: int) -> Assembler:
    def make(code: Assembler) -> Assembler:
        resume_at(code, "fault")
        write_msr(code, SYSENTER_CS, selector)
        write_msr(code, SYSENTER_ESP, 0x5F00)
        write_msr(code, SYSENTER_EIP, code.address("kernel"))
        enter_user(code, code.address("user"), eflags=0x3202)
        code.label("user").raw(0x0F, 0x34).hlt()
        code.label("fault").mov(EBX, 1).hlt()
        return code.label("kernel").mov(EBX, 2).hlt()

    return with_labels(make)


def test_sysenter_goes_to_ring_0_where_the_registers_say() -> None:
    registers = run(machine_of(sysenter_program(0x08))).cpu.registers
    assert (registers.gpr[EBX], registers.gpr[ESP]) == (2, 0x5F00)
    assert [registers.segments[n].selector for n in (1, 2)] == [0x08, 0x10]
    assert registers.hflags & 3 == 0
    assert registers.eflags & 1 << 9 == 0, "interrupts off"


def test_sysenter_without_a_segment_is_gp() -> None:
    machine = machine_of(sysenter_program(0))
    machine.run(STEPS_MAX)
    assert faults(machine, GENERAL_PROTECTION) >= 1


# --- PAE and no-execute ---

PDPT, DIRECTORY, TABLE = 0x20000, 0x21000, 0x22000
NO_EXECUTE = 1 << 63


def pae_tables(no_execute: int) -> bytes:
    """Return the first 2 MiB mapped to itself, the page `no_execute` as data only."""

    def entry(value: int) -> bytes:
        return value.to_bytes(8, "little")

    pages = [page << 12 | 0x63 | (NO_EXECUTE if page == no_execute else 0) for page in range(512)]
    return (
        (entry(DIRECTORY | 1)).ljust(4096, b"\0")
        + (entry(TABLE | 0x63)).ljust(4096, b"\0")
        + b"".join(entry(page) for page in pages)
    )


def test_a_fetch_from_a_page_of_data_is_a_page_fault() -> None:
    target = 0x30000

    def make(code: Assembler) -> Assembler:
        resume_at(code, "behind")
        write_msr(code, EFER, 1 << 11)
        code.mov(EAX, 0x20).mov_cr(4, EAX).mov(EAX, PDPT).mov_cr(3, EAX)
        code.mov(EAX, 0x80010011).mov_cr(0, EAX)
        code.load(EBX, target).mov(EAX, target).raw(0xFF, 0xE0)  # jmp eax
        return code.label("behind").hlt()

    code = with_labels(make)
    machine = bare_machine(
        (CODE, code.bytes()), (PDPT, pae_tables(target >> 12)), (target, b"\xf4" * 8)
    )
    run(machine)
    assert faults(machine, PAGE_FAULT) == 1
    assert word(machine, FAULT_ADDRESS) == target
    assert word(machine, ERROR_CODE) & 0x11 == 0x11, "present, and a fetch"
    assert machine.cpu.registers.gpr[EBX] == 0xF4F4F4F4, "as data it can be read"


# --- addresses: no RAM, A20; reset ---


@pytest.mark.parametrize("address", [2 << 20, 0xC0000000, 0xE0000000, 0xFED00000, 0xFFFFFFF0])
def test_addresses_without_ram_read_all_ones_and_lose_writes(address: int) -> None:
    code = Assembler(CODE).load(EBX, address).store_value(address, 5).load(ECX, address).hlt()
    machine = machine_of(code, memory_bytes=2 << 20)
    machine.run(STEPS_MAX)
    general = machine.cpu.registers.gpr
    assert (general[EBX], general[ECX]) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_without_a20_the_second_mebibyte_is_the_first() -> None:
    code = Assembler(CODE).out(0x92, 0)
    code.store_value(0x100000 + DATA, 0x1234).load(EBX, DATA).out(0x92, 2)
    code.load(ECX, 0x100000 + DATA).store_value(0x100000 + DATA, 0x99).load(EDX, DATA).hlt()
    machine = machine_of(code, memory_bytes=2 << 20)
    recorder = Recorder(machine)
    while machine.run(STEPS_MAX) is not Reason.HALTED:
        pass
    general = machine.cpu.registers.gpr
    assert [general[n] for n in (EBX, ECX, EDX)] == [0x1234, 0, 0x1234]
    replay(machine_of(code, memory_bytes=2 << 20), recorder.finish())


@pytest.mark.parametrize(("port", "value"), [(0x64, 0xFE), (0x92, 1), (0xCF9, 6)])
def test_a_reset_by_port_ends_the_run_behind_the_instruction(port: int, value: int) -> None:
    code = Assembler(CODE).mov(EDX, port).mov(EAX, value).raw(0xEE).inc(EBX).hlt()
    machine = machine_of(code)
    assert machine.run(STEPS_MAX) is Reason.SHUTDOWN
    assert machine.cpu.was_reset
    assert machine.cpu.registers.gpr[EBX] == 0
    assert machine.run(STEPS_MAX) is Reason.SHUTDOWN


def test_a_triple_fault_is_no_reset_by_port() -> None:
    machine = machine_of(Assembler(CODE).ud2())
    registers = machine.cpu.registers
    registers.idt.limit = 0
    machine.cpu.registers = registers
    assert machine.run(STEPS_MAX) is Reason.SHUTDOWN
    assert not machine.cpu.was_reset


# --- real and virtual-8086 mode ---

REAL_SEGMENT = CODE >> 4


def real_mode(code: bytes) -> Machine:
    """Return a machine in real mode at the first byte of `code`."""
    machine = bare_machine((CODE, code))
    registers = machine.cpu.registers
    registers.cr[0] = 0x10
    registers.hflags = 1 << 6
    registers.eip, registers.idt.base, registers.idt.limit = 0, 0, 0x3FF
    for index in range(6):
        segment = registers.segments[index]
        at = REAL_SEGMENT if index == 1 else 0
        segment.selector, segment.base, segment.limit, segment.flags = at, at << 4, 0xFFFF, 0x9B00
    machine.cpu.registers = registers
    return machine


def test_interrupts_of_real_mode_go_through_the_vector_table() -> None:
    code = bytearray()
    for vector, handler in ((0x21, 0x40), (0, 0x50)):
        for offset, value in ((4 * vector, handler), (4 * vector + 2, REAL_SEGMENT)):
            code += bytes((0xC7, 0x06)) + offset.to_bytes(2, "little") + value.to_bytes(2, "little")
    code += bytes.fromhex("cd21")  # int 0x21
    code += bytes.fromhex("31c9 f7f1")  # xor cx, cx; div cx
    code = code.ljust(0x40, b"\xf4")
    code += bytes.fromhex("bb2100 cf")  # mov bx, 0x21; iret
    code = code.ljust(0x50, b"\xf4")
    code += bytes.fromhex("81c30100 f4")  # add bx, 1; hlt
    machine = run(real_mode(bytes(code)))
    assert machine.cpu.registers.gpr[EBX] & 0xFFFF == 0x22


def virtual_8086(code: bytes, iopl: int) -> Machine:
    """Return a machine that has entered virtual-8086 mode with `code` at CODE."""
    enter = Assembler(CODE - 0x1000).ltr(TASK).store_value(RESUME, CODE + 0x80)
    for value in (0, 0, 0, 0, 0, 0x7000, 0x20002 | iopl << 12, REAL_SEGMENT, 0):
        enter.push_value(value)
    enter.iret()
    machine = bare_machine((enter.origin, enter.bytes()), (CODE, code), entry=enter.origin)
    machine.cpu.write_memory(GuestPhysical(TSS + 0x66), b"\x68\0")  # the bitmap is behind the end
    return machine


def test_an_interrupt_of_virtual_8086_mode_goes_through_the_idt() -> None:
    """INT END's gate leads to HLT in ring 0."""
    machine = virtual_8086(bytes.fromhex("bb3412 cd82"), iopl=3)
    registers = run(machine).cpu.registers
    assert registers.gpr[EBX] & 0xFFFF == 0x1234
    assert registers.eflags & 1 << 17 == 0
    assert registers.segments[1].selector == 8


@pytest.mark.parametrize("code", ["cd82", "e420"], ids=["int with IOPL 0", "in without a bitmap"])
def test_what_virtual_8086_mode_may_not_is_gp(code: str) -> None:
    machine = virtual_8086(bytes.fromhex(code), iopl=0 if code == "cd82" else 3)
    machine.run(STEPS_MAX)
    assert faults(machine, GENERAL_PROTECTION) >= 1
