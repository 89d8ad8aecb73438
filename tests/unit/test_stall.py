"""A host that does something else for a while: what the guest sees of it.

Its ticks and its clock agree, as on a PC, whose crystals nobody stops: a kernel that
finds them to differ distrusts its timer, or panics.
"""

import pytest
from assembler import EAX, Assembler
from bare import CODE, DATA, IDT, bare_machine, gate

from ftvm.machine.cpu import FOREVER, Reason
from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount, Nanoseconds

HANDLER = CODE + 0x1000
TIMER_VECTOR = 0x20
STEPS = 100_000
TICK_NS = 65_536 * 1_000_000_000 // 1_193_182  # the 8254's longest: 55 ms
STALL_NS = 300_000_000


@pytest.fixture
def machine() -> Machine:
    """A guest that counts the 8254's ticks, and computes."""
    code = Assembler(CODE)
    for port, value in (
        *((0x20, 0x11), (0x21, TIMER_VECTOR), (0x21, 4), (0x21, 1), (0x21, 0xFE)),  # 8259
        *((0x43, 0x34), (0x40, 0), (0x40, 0)),  # 8254: mode 2, 65,536
    ):
        code.out(port, value)
    code.sti().label("wait").jmp("wait")
    handler = Assembler(HANDLER).push(EAX).inc_memory(DATA)
    handler.out(0x20, 0x20).pop(EAX).iret()
    machine = bare_machine(
        (CODE, code.bytes()),
        (HANDLER, handler.bytes()),
        (IDT + 8 * TIMER_VECTOR, gate(HANDLER)),
    )
    machine.run(InstructionCount(STEPS))
    return machine


@pytest.fixture
def other() -> Machine:
    """A guest that computes for ever, on the same processor."""
    return bare_machine((CODE, Assembler(CODE).label("wait").jmp("wait").bytes()))


def stall(other: Machine) -> None:
    """The host has something else to do."""
    reason = other.run(FOREVER, Nanoseconds(other.cpu.host_ns() + STALL_NS))
    assert reason is Reason.DEADLINE


def go_on(machine: Machine) -> None:
    machine.run(InstructionCount(machine.count + STEPS))


def ticks(machine: Machine) -> int:
    return int.from_bytes(machine.cpu.memory[DATA : DATA + 4], "little")


def behind_ns(machine: Machine) -> int:
    """How far guest time is behind the host's."""
    return machine.cpu.host_ns() - machine.cpu.guest_ns()


def test_a_stall_costs_the_guest_no_tick(machine: Machine, other: Machine) -> None:
    for _ in range(4):
        before = behind_ns(machine)
        stall(other)
        go_on(machine)
        assert behind_ns(machine) - before >= STALL_NS - TICK_NS - TICK_NS // 8
        assert abs(ticks(machine) - machine.cpu.guest_ns() // TICK_NS) <= 1


def test_what_was_lost_in_a_stall_is_made_up_for(machine: Machine, other: Machine) -> None:
    before = behind_ns(machine)
    stall(other)
    go_on(machine)
    while behind_ns(machine) > before:
        go_on(machine)
    assert abs(ticks(machine) - machine.cpu.guest_ns() // TICK_NS) <= 1
