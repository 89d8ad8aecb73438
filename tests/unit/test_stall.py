"""A host that does something else for a while: what the guest sees of it.

Its ticks and its clock agree, as on a PC, whose crystals nobody stops: a kernel that
finds them to differ distrusts its timer, or panics.
"""

import pytest
from assembler import EAX, Assembler
from bare import CODE, DATA, IDT, bare_machine, gate

from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount, Nanoseconds

HANDLER = CODE + 0x1000
TIMER_VECTOR = 0x20
MILLISECOND = 1_000_000
TICK_NS = 10_000 * 1_000_000_000 // 1_193_182  # of the divisor below, about 8 ms
STEPS = 100_000
"""Of the guest in a step of these tests, enough for several of its timer's events."""


@pytest.fixture
def machine() -> Machine:
    """A guest that counts the 8254's ticks, on a host whose clock stands until it is moved."""
    code = Assembler(CODE)
    for port, value in (
        *((0x20, 0x11), (0x21, TIMER_VECTOR), (0x21, 4), (0x21, 1), (0x21, 0xFE)),  # 8259
        *((0x43, 0x34), (0x40, 10_000 & 0xFF), (0x40, 10_000 >> 8)),  # 8254: mode 2
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
    machine.cpu.simulate_host(1, Nanoseconds(0))
    let_pass(machine, 1)
    return machine


def let_pass(machine: Machine, milliseconds: float) -> None:
    """Let the host's clock go on at once, and the guest run."""
    host_ns = machine.cpu.host_ns() + int(milliseconds * MILLISECOND)
    machine.cpu.set_host_ns(Nanoseconds(host_ns))
    machine.run(InstructionCount(machine.count + STEPS))


def ticks(machine: Machine) -> int:
    return int.from_bytes(machine.cpu.memory[DATA : DATA + 4], "little")


def owed_ns(machine: Machine) -> int:
    return machine.cpu.host_ns() - machine.cpu.guest_ns()


def test_time_that_passes_evenly_is_the_guests(machine: Machine) -> None:
    for _ in range(1000):
        let_pass(machine, 0.5)
    assert owed_ns(machine) == 0
    assert ticks(machine) == 500 * MILLISECOND // TICK_NS


@pytest.mark.parametrize("stall_ms", [20, 50, 300, 9_000])
def test_a_stall_costs_the_guest_no_tick(machine: Machine, stall_ms: int) -> None:
    let_pass(machine, stall_ms)
    assert stall_ms * MILLISECOND - owed_ns(machine) <= TICK_NS + MILLISECOND, "it stood"
    for _ in range(100):
        let_pass(machine, 0.5)
        assert abs(ticks(machine) - machine.cpu.guest_ns() // TICK_NS) <= 1


def test_what_was_lost_in_a_stall_is_made_up_for(machine: Machine) -> None:
    let_pass(machine, 50)
    before = owed_ns(machine)
    assert before > 40 * MILLISECOND
    seen = machine.cpu.guest_ns()
    for _ in range(16 * 50):
        let_pass(machine, 0.5)
        went_ns = machine.cpu.guest_ns() - seen
        assert 0.5 * MILLISECOND <= went_ns <= 0.6 * MILLISECOND
        seen = machine.cpu.guest_ns()
    assert owed_ns(machine) == 0
    assert abs(ticks(machine) - seen // TICK_NS) <= 1


def test_a_machine_that_was_put_aside_finds_the_date_right(machine: Machine) -> None:
    let_pass(machine, 60_000)
    assert owed_ns(machine) == 0
