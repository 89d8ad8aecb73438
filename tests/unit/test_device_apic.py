"""Local and I/O APIC against the Intel SDM vol. 3A chapter 11 and the 82093AA data sheet."""

import pytest
from wired_interrupts import WiredInterrupts

from ftvm.units import Nanoseconds

LOCAL, IO = 0xFEE00000, 0xFEC00000
ID, VERSION, TPR, PPR, EOI, LDR, DFR, SVR = 0x20, 0x30, 0x80, 0xA0, 0xB0, 0xD0, 0xE0, 0xF0
ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
TIMER, LINT0, LVT_ERROR = 0x320, 0x350, 0x370
INITIAL, CURRENT, DIVIDE = 0x380, 0x390, 0x3E0
MASKED, PERIODIC, LEVEL = 1 << 16, 1 << 17, 1 << 15


class Pc:
    """The controllers, guest time, and the processor's INTR."""

    def __init__(self) -> None:
        self.now = 0
        self.intr = False
        self.wired = WiredInterrupts(intr=self._set, clock=lambda: Nanoseconds(self.now))
        self.local = self.wired.local_apic

    def _set(self, level: bool) -> None:
        self.intr = level

    def __getitem__(self, register: int) -> int:
        return self.wired.read(LOCAL + register, 4)

    def __setitem__(self, register: int, value: int) -> None:
        self.wired.write(LOCAL + register, 4, value)

    def io(self, index: int, value: int | None = None) -> int:
        self.wired.write(IO, 4, index)
        if value is not None:
            self.wired.write(IO + 0x10, 4, value)
        return self.wired.read(IO + 0x10, 4)

    def route(self, pin: int, low: int, high: int = 0) -> None:
        self.io(0x11 + 2 * pin, high)
        self.io(0x10 + 2 * pin, low)

    def pass_time(self, ns: int) -> None:
        self.now += ns
        self.local.advance(Nanoseconds(self.now))

    def take(self) -> list[int]:
        """Take and end what is pending, in order."""
        vectors = []
        while self.intr:
            vectors.append(self.wired.acknowledge())
            self[EOI] = 0
        return vectors

    def start_8259(self) -> None:
        for port, value in ((0x20, 0x11), (0x21, 0x08), (0x21, 4), (0x21, 1), (0x21, 0)):
            self.wired.pic.write(port, 1, value)


@pytest.fixture
def pc() -> Pc:
    return Pc()


# --- the local APIC ---


def test_it_is_an_integrated_apic_of_processor_0(pc: Pc) -> None:
    assert pc[ID] == 0
    assert pc[VERSION] & 0xFF == 0x14
    assert pc[VERSION] >> 16 & 0xFF == 5


def test_only_whole_registers_answer(pc: Pc) -> None:
    assert pc.wired.read(LOCAL + VERSION, 1) == 0
    assert pc.wired.read(LOCAL + VERSION + 4, 4) == 0
    pc.wired.write(LOCAL + TPR, 1, 0x55)
    assert pc[TPR] == 0


def test_the_8259_comes_through_until_a_kernel_stops_it(pc: Pc) -> None:
    pc.start_8259()
    line = pc.wired.line(4)
    line(True)
    assert pc.intr
    assert pc.wired.acknowledge() == 0x0C
    line(False)
    pc.wired.pic.write(0x20, 1, 0x20)
    pc[LINT0] = pc[LINT0] | MASKED
    line(True)
    assert not pc.intr
    assert pc.wired.acknowledge() == -1


def test_a_message_to_itself_is_an_interrupt(pc: Pc) -> None:
    for low, high in ((0x40041, 0), (0x80042, 0), (0x43, 0), (0x44, 0xFF << 24)):
        pc[ICR_HIGH] = high
        pc[ICR] = low
    assert pc.take() == [0x44, 0x43, 0x42, 0x41]


def test_a_message_to_others_is_lost(pc: Pc) -> None:
    pc[ICR] = 0xC0041
    pc[ICR_HIGH] = 5 << 24
    pc[ICR] = 0x41
    assert not pc.intr


@pytest.mark.parametrize(
    ("model", "logical_id", "destination", "taken"),
    [
        (0xF, 0x04, 0x0C, True),
        (0xF, 0x04, 0x08, False),
        (0x0, 0x24, 0x26, True),
        (0x0, 0x24, 0x16, False),
        (0x0, 0x24, 0xF4, True),
        (0x0, 0x24, 0x23, False),
    ],
)
def test_logical_destinations(
    pc: Pc, model: int, logical_id: int, destination: int, taken: bool
) -> None:
    pc[DFR] = model << 28
    pc[LDR] = logical_id << 24
    pc[ICR_HIGH] = destination << 24
    pc[ICR] = 0x800 | 0x41
    assert pc.intr is taken


def test_priorities_hold_back_what_is_lower(pc: Pc) -> None:
    pc[ICR] = 0x40055
    assert pc.wired.acknowledge() == 0x55
    assert pc[PPR] == 0x50
    assert pc[ISR + 0x20] == 1 << 0x15
    pc[ICR] = 0x40051
    assert not pc.intr, "the same class waits"
    assert pc[IRR + 0x20] == 1 << 0x11
    pc[ICR] = 0x40060
    assert pc.intr
    assert pc.wired.acknowledge() == 0x60
    pc[EOI] = 0
    pc[EOI] = 0
    pc[TPR] = 0x50
    assert not pc.intr
    pc[TPR] = 0x40
    assert pc.take() == [0x51]


def test_a_disabled_apic_takes_nothing_and_masks_its_table(pc: Pc) -> None:
    pc[SVR] = 0xFF
    pc[ICR] = 0x40041
    assert not pc.intr
    assert pc[LINT0] & MASKED
    pc[TIMER] = 0x41
    assert pc[TIMER] & MASKED
    pc[SVR] = 0x1FF
    pc[TIMER] = 0x41
    assert not pc[TIMER] & MASKED


def test_errors_are_latched_and_told(pc: Pc) -> None:
    pc[LVT_ERROR] = 0xFE
    pc[ICR] = 0x40005
    assert pc.take() == [0xFE]
    assert pc[ESR] == 0
    pc[ESR] = 0
    assert pc[ESR] == 1 << 5
    pc[ESR] = 0
    assert pc[ESR] == 0


# --- its timer, at 100 MHz ---


@pytest.mark.parametrize(("divide", "by"), [(0b1011, 1), (0b0000, 2), (0b0011, 16), (0b1010, 128)])
def test_the_timer_counts_the_crystal_divided(pc: Pc, divide: int, by: int) -> None:
    pc[DIVIDE] = divide
    pc[TIMER] = 0x41
    pc[INITIAL] = 1000
    pc.now += 300 * 10 * by
    assert pc[CURRENT] == 700
    assert pc.local.deadline() == 1000 * 10 * by
    pc.pass_time(700 * 10 * by - 1)
    assert not pc.intr
    pc.pass_time(1)
    assert pc.take() == [0x41]
    assert (pc[CURRENT], pc.local.deadline()) == (0, None)


def test_a_periodic_timer_comes_again_and_loses_no_time(pc: Pc) -> None:
    pc[DIVIDE] = 0b1011
    pc[TIMER] = PERIODIC | 0x41
    pc[INITIAL] = 100
    pc.pass_time(1_050)
    assert pc.take() == [0x41]
    assert pc.local.deadline() == 2_000
    pc.pass_time(10_000)
    assert pc.take() == [0x41], "what nobody took is one interrupt"
    assert pc.local.deadline() == 12_000


def test_a_masked_timer_runs_silently(pc: Pc) -> None:
    pc[DIVIDE] = 0b1011
    pc[INITIAL] = 100
    assert pc.local.deadline() is None
    pc.now = 400
    assert pc[CURRENT] == 60
    pc.now = 5_000
    pc[TIMER] = 0x41
    assert not pc.intr, "what went by while it was masked is gone"


def test_a_count_of_0_stops_the_timer(pc: Pc) -> None:
    pc[TIMER] = 0x41
    pc[INITIAL] = 100
    pc[INITIAL] = 0
    assert pc.local.deadline() is None
    assert pc[CURRENT] == 0


# --- the I/O APIC ---


def test_it_has_24_entries_that_are_masked_at_first(pc: Pc) -> None:
    assert pc.io(1) == 23 << 16 | 0x11
    assert all(pc.io(0x10 + 2 * pin) & MASKED for pin in range(24))
    pc.io(0, 5 << 24)
    assert pc.io(0) == pc.io(2) == 5 << 24


def test_an_edge_is_one_interrupt(pc: Pc) -> None:
    pc.route(4, 0x61)
    line = pc.wired.line(4)
    line(True)
    assert pc.take() == [0x61]
    line(True)
    assert not pc.intr
    line(False)
    line(True)
    assert pc.take() == [0x61]


def test_an_edge_while_masked_is_lost(pc: Pc) -> None:
    pc.wired.line(4)(True)
    pc.route(4, 0x61)
    assert not pc.intr


def test_a_level_comes_again_until_it_is_down(pc: Pc) -> None:
    pc.route(9, LEVEL | 0x61)
    line = pc.wired.line(9)
    line(True)
    assert pc.wired.acknowledge() == 0x61
    assert pc.io(0x10 + 18) & 1 << 14, "remote IRR"
    assert pc[TMR + 0x30] == 1 << 1
    pc[EOI] = 0
    assert pc.wired.acknowledge() == 0x61
    line(False)
    pc[EOI] = 0
    assert not pc.intr
    assert not pc.io(0x10 + 18) & 1 << 14


def test_a_level_that_is_up_comes_when_it_is_unmasked(pc: Pc) -> None:
    pc.wired.line(9)(True)
    pc.route(9, LEVEL | 0x61)
    assert pc.intr


def test_line_0_is_pin_2(pc: Pc) -> None:
    pc.route(2, 0x61)
    pc.wired.line(0)(True)
    assert pc.take() == [0x61]


def test_another_processors_interrupt_is_not_ours(pc: Pc) -> None:
    pc.route(4, LEVEL | 0x61, high=3 << 24)
    pc.wired.line(4)(True)
    assert not pc.intr
    assert not pc.io(0x10 + 8) & 1 << 14
