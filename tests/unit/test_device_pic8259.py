import pytest

from ftvm.machine.devices.pic8259 import LonePicPair

MASTER, SLAVE = 0x20, 0xA0
EOI, SPECIFIC, ROTATE = 0x20, 0x60, 0xA0
READ_IRR, READ_ISR, POLL = 0x0A, 0x0B, 0x0C


class Pc:
    """A pair set up as kernels do: vectors 0x20 and 0x28, nothing masked."""

    def __init__(self, *, icw1: int = 0x11, master4: int = 0x01, slave4: int = 0x01) -> None:
        self.intr = False
        self.edges = 0
        self.pic = LonePicPair(intr=self._set)
        self.init(icw1, master4, slave4)

    def _set(self, level: bool) -> None:
        assert level != self.intr, "INTR is told only when it changes"
        self.intr = level
        self.edges += level

    def init(self, icw1: int, master4: int, slave4: int) -> None:
        for base, icws in ((MASTER, (0x20, 0x04, master4)), (SLAVE, (0x28, 0x02, slave4))):
            self.out(base, icw1)
            for icw in icws:
                self.out(base + 1, icw)

    def out(self, port: int, value: int) -> None:
        self.pic.write(port, 1, value)

    def in_(self, port: int) -> int:
        return self.pic.read(port, 1)

    def up(self, *lines: int) -> None:
        for line in lines:
            self.pic.set_irq(line, True)

    def down(self, *lines: int) -> None:
        for line in lines:
            self.pic.set_irq(line, False)

    def isr(self, base: int = MASTER) -> int:
        self.out(base, READ_ISR)
        return self.in_(base)

    def irr(self, base: int = MASTER) -> int:
        self.out(base, READ_IRR)
        return self.in_(base)

    def take(self) -> int:
        assert self.intr
        return self.pic.acknowledge()


@pytest.fixture
def pc() -> Pc:
    return Pc()


def test_no_interrupt_before_the_command_words_are_complete() -> None:
    raised: list[bool] = []
    pic = LonePicPair(intr=raised.append)
    pic.set_irq(4, True)
    pic.write(0x21, 1, 0)
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 0x04)):
        pic.write(port, 1, value)
        pic.set_irq(3, True)
        assert not raised
        pic.set_irq(3, False)
    pic.set_irq(3, True)
    pic.write(0x21, 1, 0x01)
    assert raised == [True]
    assert pic.acknowledge() == 0x23, "IRQ4 rose before ICW1, which forgets edges"


def test_initialisation_without_icw3_and_icw4() -> None:
    raised: list[bool] = []
    pic = LonePicPair(intr=raised.append)
    pic.write(0x20, 1, 0x12)  # single, no ICW4
    pic.write(0x21, 1, 0x47)  # only the upper five bits are the vector's
    pic.set_irq(0, True)
    assert raised == [True]
    assert pic.acknowledge() == 0x40


def test_initialisation_clears_the_mask_and_services(pc: Pc) -> None:
    pc.out(0x21, 0x55)
    assert pc.in_(0x21) == 0x55
    pc.up(1)
    pc.take()
    pc.init(0x11, 1, 1)
    assert (pc.in_(0x21), pc.isr(), pc.irr()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("line", "vector"),
    [(n, 0x20 + n) for n in range(8) if n != 2] + [(n, 0x20 + n) for n in range(8, 16)],
)
def test_each_line_has_its_vector(pc: Pc, line: int, vector: int) -> None:
    pc.pic.irq(line)(True)
    assert pc.take() == vector
    assert not pc.intr


@pytest.mark.parametrize("line", [-1, 2, 16])
def test_no_device_can_have_the_cascade_line(pc: Pc, line: int) -> None:
    with pytest.raises(ValueError, match="no device can have IRQ"):
        pc.pic.irq(line)


def test_lower_lines_win_and_nest(pc: Pc) -> None:
    pc.up(7, 4, 3)
    assert pc.take() == 0x23
    assert not pc.intr, "4 and 7 wait for 3"
    pc.up(1)
    assert pc.take() == 0x21, "1 interrupts 3"
    assert pc.isr() == 0b1010
    pc.out(MASTER, EOI)
    assert pc.isr() == 0b1000
    assert not pc.intr
    pc.out(MASTER, EOI)
    assert pc.take() == 0x24
    pc.out(MASTER, SPECIFIC | 4)
    assert pc.take() == 0x27


def test_the_slaves_lines_stand_between_1_and_3(pc: Pc) -> None:
    pc.up(3, 8, 14)
    assert pc.take() == 0x28
    assert pc.isr() == 0b100
    assert pc.isr(SLAVE) == 1
    pc.out(SLAVE, EOI)
    assert not pc.intr, "the master still serves IR2"
    pc.out(MASTER, EOI)
    assert pc.take() == 0x2E
    pc.out(SLAVE, EOI)
    pc.out(MASTER, EOI)
    assert pc.take() == 0x23


def test_mask(pc: Pc) -> None:
    pc.out(0x21, 0b0010)
    pc.up(1)
    assert not pc.intr
    assert pc.irr() == 0b0010, "a masked request is still requested"
    pc.out(0x21, 0)
    assert pc.take() == 0x21
    pc.out(MASTER, EOI)
    pc.out(0xA1, 0x01)
    pc.up(8)
    assert not pc.intr
    pc.out(0xA1, 0)
    assert pc.intr


def test_an_edge_is_served_once(pc: Pc) -> None:
    pc.up(4)
    pc.take()
    pc.out(MASTER, EOI)
    pc.up(4)
    assert not pc.intr, "the line never fell"
    pc.down(4)
    pc.up(4)
    assert pc.intr


def test_a_line_that_falls_takes_its_request_with_it(pc: Pc) -> None:
    pc.up(4)
    assert pc.intr
    pc.down(4)
    assert not pc.intr
    assert pc.irr() == 0


def test_spurious_interrupt_is_7_and_not_in_service(pc: Pc) -> None:
    pc.up(4)
    pc.down(4)
    assert pc.pic.acknowledge() == 0x27
    assert pc.isr() == 0


def test_a_slaves_line_that_falls_is_spurious_at_the_master(pc: Pc) -> None:
    pc.up(9)
    assert pc.intr
    pc.down(9)
    assert not pc.intr
    assert pc.pic.acknowledge() == 0x27
    assert (pc.isr(), pc.isr(SLAVE)) == (0, 0)


def test_level_triggered_line_asks_again_until_it_falls(pc: Pc) -> None:
    pc.out(0x4D0, 0xFF)
    pc.out(0x4D1, 0xFF)
    assert (pc.in_(0x4D0), pc.in_(0x4D1)) == (0xF8, 0xDE), "0, 1, 2, 8 and 13 are edges"
    for line, base in ((5, None), (11, SLAVE)):
        pc.up(line)
        for _ in range(2):
            assert pc.take() == 0x20 + line
            assert not pc.intr
            if base:
                pc.out(base, EOI)
            pc.out(MASTER, EOI)
        pc.down(line)
        assert not pc.intr


def test_level_mode_of_icw1(pc: Pc) -> None:
    pc.up(0)
    pc.init(0x19, 1, 1)
    assert pc.take() == 0x20, "the line is up, whenever it rose"
    pc.out(MASTER, EOI)
    assert pc.intr


def test_automatic_end_of_interrupt() -> None:
    pc = Pc(master4=0x03, slave4=0x03)
    pc.up(3, 8, 9)
    assert [pc.take() for _ in range(3)] == [0x28, 0x29, 0x23]
    assert (pc.isr(), pc.isr(SLAVE)) == (0, 0)


def test_rotate_on_automatic_end_of_interrupt() -> None:
    pc = Pc(master4=0x03)
    pc.out(MASTER, 0x80)
    pc.up(0, 1)
    assert pc.take() == 0x20
    pc.down(0)
    pc.up(0)
    assert pc.take() == 0x21, "0 has the lowest priority now"
    pc.out(MASTER, 0x00)
    assert pc.take() == 0x20
    pc.down(0, 1)
    pc.up(0, 1)
    assert pc.take() == 0x20, "no rotation: still 2, 3 ... 0, 1"
    assert pc.take() == 0x21


def test_rotate_on_non_specific_end_of_interrupt(pc: Pc) -> None:
    pc.up(4, 6)
    assert pc.take() == 0x24
    pc.out(MASTER, ROTATE)
    assert pc.take() == 0x26
    pc.out(MASTER, EOI)
    pc.down(4)
    pc.up(4, 5)
    assert pc.take() == 0x25, "after the rotation 5 is highest and 4 lowest"


def test_set_priority_and_rotate_on_specific_end_of_interrupt(pc: Pc) -> None:
    pc.out(MASTER, 0xC0 | 3)  # 3 lowest: 4, 5, 6, 7, 0, 1, 2, 3
    pc.up(0, 5)
    assert pc.take() == 0x25
    pc.out(MASTER, 0xE0 | 5)  # ends 5; 6 highest
    pc.up(6)
    assert pc.take() == 0x26
    pc.out(MASTER, EOI)
    assert pc.take() == 0x20


def test_special_mask_mode_lets_lower_lines_through(pc: Pc) -> None:
    pc.up(1, 6)
    assert pc.take() == 0x21
    pc.out(0x21, 0b10)
    assert not pc.intr
    pc.out(MASTER, 0x68)
    assert pc.take() == 0x26
    pc.out(MASTER, EOI)
    assert pc.isr() == 0b10, "a non-specific end passes the masked level over"
    pc.out(MASTER, EOI)
    assert pc.isr() == 0b10
    pc.out(MASTER, 0x48)
    pc.out(MASTER, EOI)
    assert pc.isr() == 0


def test_special_fully_nested_mode_lets_the_slave_interrupt_itself() -> None:
    for mode, nests in ((0x01, False), (0x11, True)):
        pc = Pc(master4=mode)
        pc.up(12)
        assert pc.take() == 0x2C
        pc.up(9, 3)
        assert pc.intr == nests
        if nests:
            assert pc.take() == 0x29
            assert pc.isr(SLAVE) == 0b10010
            assert not pc.intr, "3 is below the cascade"


def test_poll_acknowledges_and_names_the_level(pc: Pc) -> None:
    pc.out(MASTER, POLL)
    assert pc.in_(MASTER) == 0
    pc.up(5, 9)
    pc.out(MASTER, POLL)
    assert pc.in_(MASTER) == 0x82
    assert not pc.intr
    pc.out(SLAVE, POLL)
    assert pc.in_(SLAVE) == 0x81
    assert pc.isr() == 0b100
    assert pc.isr(SLAVE) == 0b10
    pc.out(SLAVE, EOI)
    pc.out(MASTER, EOI)
    pc.out(MASTER, POLL)
    assert pc.in_(MASTER + 1) == 0x85, "whichever port is read next"
    assert pc.in_(MASTER + 1) == 0, "one read only"


def test_reading_irr_and_isr_keeps_the_choice(pc: Pc) -> None:
    pc.up(1, 4)
    assert pc.in_(MASTER) == 0b10010, "IRR after initialisation"
    pc.take()
    assert pc.in_(MASTER) == 0b10000
    pc.out(MASTER, READ_ISR)
    assert pc.in_(MASTER) == pc.in_(MASTER) == 0b00010
    pc.out(MASTER, 0x48)
    assert pc.in_(MASTER) == 0b00010


def test_nobody_answers_for_a_slave_that_is_not_there(pc: Pc) -> None:
    pc.out(MASTER, 0x11)
    for icw in (0x20, 0x80, 0x01):  # says that a slave is at IR7
        pc.out(MASTER + 1, icw)
    pc.up(7)
    assert pc.take() == 0xFF


def test_restored_into_a_fresh_pair_it_tells_the_cpu_of_the_request(pc: Pc) -> None:
    pc.up(4, 9)
    other = Pc()
    other.pic.restore(pc.pic.state())
    assert other.take() == 0x29
    other.pic.restore(pc.pic.state())
    assert other.take() == 0x29
