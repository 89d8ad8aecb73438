import pytest

from ftvm.machine.devices.pit8254 import LonePit
from ftvm.units import Nanoseconds

CLOCK_HZ = 1_193_182  # a twelfth of 14.31818 MHz
CONTROL, SPEAKER = 0x43, 0x61
LATCH, READ_BACK = 0x00, 0xC0
OUT, NULL = 0x80, 0x40


def ns_of(tick: int) -> Nanoseconds:
    """The guest time at which CLK pulse `tick` comes."""
    return Nanoseconds(-(-tick * 10**9 // CLOCK_HZ))


class Timer:
    """A PIT with a clock that the test turns."""

    def __init__(self) -> None:
        self.now = Nanoseconds(0)
        self.asked = 0
        self.lines: list[bool] = []
        self.pit = LonePit(irq=self.lines.append, clock=self._clock)

    def _clock(self) -> Nanoseconds:
        self.asked += 1
        return self.now

    def at(self, tick: int) -> "Timer":
        self.now = ns_of(tick)
        return self

    def out(self, port: int, *values: int) -> None:
        for value in values:
            self.pit.write(port, 1, value)

    def in_(self, port: int) -> int:
        return self.pit.read(port, 1)

    def word(self, counter: int) -> int:
        return self.in_(0x40 + counter) | self.in_(0x40 + counter) << 8

    def program(self, counter: int, mode: int, count: int, bcd: int = 0) -> None:
        self.out(CONTROL, counter << 6 | 0x30 | mode << 1 | bcd)
        self.out(0x40 + counter, count & 0xFF, count >> 8)

    def latched(self, counter: int) -> int:
        self.out(CONTROL, counter << 6 | LATCH)
        return self.word(counter)

    def status(self, counter: int) -> int:
        self.out(CONTROL, READ_BACK | 0x20 | 2 << counter)
        return self.in_(0x40 + counter)

    def rises(self, until: int) -> list[int]:
        """Deliver each deadline exactly and return the ticks of IRQ0's rises."""
        ticks = []
        while (deadline := self.pit.deadline()) is not None and deadline <= ns_of(until):
            self.now = deadline
            self.lines.clear()
            self.pit.advance(deadline)
            if self.lines and self.lines[-1]:
                ticks.append(deadline * CLOCK_HZ // 10**9)
        return ticks


@pytest.fixture
def timer() -> Timer:
    return Timer()


def test_nothing_is_asked_for_before_it_is_programmed(timer: Timer) -> None:
    assert timer.pit.deadline() is None
    timer.pit.advance(Nanoseconds(10**12))
    assert not timer.lines


def test_rate_generator_interrupts_every_n_ticks(timer: Timer) -> None:
    timer.at(100).program(0, 2, 1000)
    # The pulse after the write loads; the N-th after that ends the period.
    assert timer.rises(4200) == [1101, 2101, 3101, 4101]


def test_a_hundred_hertz_do_not_drift(timer: Timer) -> None:
    timer.program(0, 2, 11932)
    rises = timer.rises(11932 * 500)
    assert rises == [1 + 11932 * n for n in range(1, 500)]


def test_square_wave_interrupts_every_n_ticks(timer: Timer) -> None:
    timer.program(0, 3, 0)
    assert timer.rises(200_000) == [65537, 131073, 196609]


@pytest.mark.parametrize(("mode", "tick"), [(0, 51), (4, 52)])
def test_modes_that_interrupt_once(timer: Timer, mode: int, tick: int) -> None:
    timer.program(0, mode, 50)
    assert timer.rises(300_000) == [tick]
    assert timer.pit.deadline() is None


@pytest.mark.parametrize("mode", [1, 5])
def test_modes_that_wait_for_a_gate_that_never_rises(timer: Timer, mode: int) -> None:
    timer.program(0, mode, 50)
    assert timer.pit.deadline() is None


def test_counters_1_and_2_ask_for_nothing(timer: Timer) -> None:
    timer.program(1, 2, 18)
    timer.out(SPEAKER, 1)
    timer.program(2, 3, 1000)
    assert timer.pit.deadline() is None


def test_periods_that_were_slept_through_interrupt_once_and_keep_their_phase(
    timer: Timer,
) -> None:
    timer.program(0, 2, 1000)
    timer.pit.advance(ns_of(5500))
    assert timer.lines == [False, True]
    assert timer.pit.deadline() == ns_of(6001)


def test_an_advance_before_the_deadline_does_nothing(timer: Timer) -> None:
    timer.program(0, 2, 1000)
    deadline = timer.pit.deadline()
    assert deadline is not None
    timer.pit.advance(Nanoseconds(deadline - 1))
    assert not timer.lines
    assert timer.pit.deadline() == deadline


def test_mode_0_lowers_the_line_until_it_expires(timer: Timer) -> None:
    timer.program(0, 0, 100)
    assert timer.lines == [False]
    timer.rises(200)
    assert timer.lines == [True]
    timer.out(0x40, 100)
    assert timer.lines == [True, False], "the first byte of a new count already"
    assert timer.pit.deadline() is None
    timer.out(0x40, 0)
    assert timer.rises(1000) == [202], "tick 101 + 1 + 100"


def test_an_edge_that_fell_due_is_not_lost_by_reprogramming(timer: Timer) -> None:
    timer.program(0, 2, 1000)
    timer.at(1500).program(0, 0, 10)
    assert timer.lines == [False, True, False]


def test_the_clock_is_asked_only_when_time_matters(timer: Timer) -> None:
    timer.out(CONTROL, 0x34)
    asked = timer.asked
    timer.out(0x40, 0x00)  # the low byte only waits for the high one
    timer.out(CONTROL, 0xB6)
    timer.out(SPEAKER, 0x02)
    assert timer.asked == asked
    timer.out(0x40, 0x10)
    timer.out(CONTROL, LATCH)
    asked = timer.asked
    timer.word(0)  # latched
    timer.in_(CONTROL)
    assert timer.asked == asked


@pytest.mark.parametrize(
    ("mode", "count", "values"),
    [
        (0, 3, [3, 2, 1, 0, 0xFFFF, 0xFFFE]),
        (2, 3, [3, 2, 1, 3, 2, 1, 3]),
        (3, 4, [4, 2, 4, 2, 4]),
        (3, 5, [4, 2, 0, 4, 2, 4, 2, 0]),
        (4, 2, [2, 1, 0, 0xFFFF]),
    ],
)
def test_count_from_the_pulse_that_loads(
    timer: Timer, mode: int, count: int, values: list[int]
) -> None:
    # 82C54 figures 15 to 19
    timer.program(0, mode, count)
    assert [timer.at(1 + n).latched(0) for n in range(len(values))] == values


@pytest.mark.parametrize(
    ("mode", "count", "levels"),
    [
        (0, 3, "000011"),
        (2, 3, "1110110"),
        (3, 4, "1110011"),
        (3, 5, "111100111"),
        (4, 2, "111011"),
    ],
)
def test_out_as_the_status_shows_it(timer: Timer, mode: int, count: int, levels: str) -> None:
    timer.program(0, mode, count)
    shown = [timer.at(n).status(0) & OUT for n in range(len(levels))]
    assert "".join("1" if level else "0" for level in shown) == levels


def test_bcd(timer: Timer) -> None:
    timer.program(0, 0, 0x1000, bcd=1)
    assert timer.at(2).latched(0) == 0x0999
    timer.program(0, 2, 0, bcd=1)
    assert timer.rises(30_000) == [10_003, 20_003]


@pytest.mark.parametrize(("access", "count"), [(1, 0x0034), (2, 0x3400)])
def test_one_byte_counts(timer: Timer, access: int, count: int) -> None:
    timer.out(CONTROL, access << 4 | 2 << 1)
    timer.out(0x40, 0x34)
    assert timer.rises(count + 1) == [count + 1]
    assert timer.in_(0x40) == timer.in_(0x40) == 0x34


def test_a_latch_holds_until_it_is_read(timer: Timer) -> None:
    timer.program(0, 2, 1000)
    timer.at(11).out(CONTROL, LATCH)
    timer.at(21).out(CONTROL, LATCH)  # ignored
    assert timer.at(31).word(0) == 990
    assert timer.word(0) == 970


def test_unlatched_reads_alternate_low_and_high(timer: Timer) -> None:
    timer.program(0, 2, 0x1234)
    timer.at(1)
    assert [timer.in_(0x40) for _ in range(4)] == [0x34, 0x12, 0x34, 0x12]


def test_read_back_latches_status_and_counts_together(timer: Timer) -> None:
    timer.program(0, 2, 1000)
    timer.program(1, 3, 500)
    timer.at(11).out(CONTROL, READ_BACK | 0b0110)
    timer.at(50)
    assert timer.in_(0x40) == OUT | 0x34
    assert timer.word(0) == 990
    assert timer.in_(0x41) == OUT | 0x36
    assert timer.word(1) == 480


def test_null_count_until_the_count_is_loaded(timer: Timer) -> None:
    timer.out(CONTROL, 0x34)
    assert timer.status(0) & NULL
    timer.out(0x40, 10, 0)
    assert timer.status(0) & NULL
    assert not timer.at(1).status(0) & NULL
    timer.out(0x40, 20, 0)
    assert timer.at(10).status(0) & NULL, "mode 2 loads it after the period"
    assert not timer.at(11).status(0) & NULL


def test_mode_bits_read_back_as_written(timer: Timer) -> None:
    timer.out(CONTROL, 0x3E)  # mode 7 is mode 3
    assert timer.status(0) == OUT | NULL | 0x3E
    timer.out(0x40, 10, 0)
    assert timer.rises(25) == [11, 21]


@pytest.mark.parametrize(("mode", "rises"), [(2, [101, 151, 201]), (3, [101, 151, 201]), (4, [92])])
def test_a_new_count_during_counting(timer: Timer, mode: int, rises: list[int]) -> None:
    timer.program(0, mode, 100)
    timer.at(40 if mode == 4 else 60)
    timer.out(0x40, 50, 0)
    assert timer.rises(220) == rises


def test_a_new_count_in_the_high_half_of_a_square_wave(timer: Timer) -> None:
    timer.program(0, 3, 100)
    timer.at(10).out(0x40, 20, 0)
    # high to 51 by the old count, low for 10 by the new one
    assert timer.rises(110) == [61, 81, 101]


def test_a_count_too_short_for_its_mode_does_not_storm(timer: Timer) -> None:
    timer.program(0, 2, 1)
    assert timer.pit.deadline() is None
    timer.at(5).out(0x40, 10, 0)
    assert timer.rises(40)[-2:] == [26, 36]


def test_the_gate_of_counter_2_is_in_port_61(timer: Timer) -> None:
    timer.program(2, 0, 100)
    assert timer.at(50).latched(2) == 100
    timer.out(SPEAKER, 1)
    assert timer.at(60).latched(2) == 90
    assert not timer.in_(SPEAKER) & 0x20
    timer.out(SPEAKER, 0)
    assert timer.at(500).latched(2) == 90
    timer.out(SPEAKER, 1)
    assert not timer.at(589).in_(SPEAKER) & 0x20
    assert timer.at(590).in_(SPEAKER) & 0x20, "how kernels measure their clock rate"


def test_half_a_count_stops_mode_0_whatever_its_gate(timer: Timer) -> None:
    timer.program(2, 0, 100)  # whose gate is low
    timer.at(50).out(0x42, 20)
    again = Timer()
    again.pit.restore(timer.pit.state())
    for each in (timer, again):
        each.at(60).out(0x42, 0)
        assert each.at(70).latched(2) == 20
        each.out(SPEAKER, 1)
        assert each.at(80).latched(2) == 10


def test_hardware_triggered_one_shot(timer: Timer) -> None:
    timer.program(2, 1, 10)
    assert timer.at(30).in_(SPEAKER) & 0x20
    timer.out(SPEAKER, 1)
    assert not timer.at(40).in_(SPEAKER) & 0x20
    timer.out(SPEAKER, 0)
    timer.out(SPEAKER, 1)
    assert not timer.at(50).in_(SPEAKER) & 0x20, "triggered again"
    assert timer.at(51).in_(SPEAKER) & 0x20


def test_port_61_keeps_its_low_bits_and_toggles_with_the_refresh(timer: Timer) -> None:
    timer.out(SPEAKER, 0xFE)
    assert timer.in_(SPEAKER) & 0xCF == 0x0E
    toggles = [timer.at(18 * n).in_(SPEAKER) & 0x10 for n in range(4)]
    assert toggles == [0, 0x10, 0, 0x10]


def test_control_word_cannot_be_read(timer: Timer) -> None:
    assert timer.in_(CONTROL) == 0xFF
