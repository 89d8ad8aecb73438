from datetime import UTC, datetime

import pytest

from ftvm.machine.devices.cmos import Cmos
from ftvm.units import Nanoseconds

S = 10**9
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
SET, PIE, AIE, UIE, BINARY, H24 = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
TIME = (0x32, 9, 8, 7, 6, 4, 2, 0)  # century, year, month, day, weekday, hour, minute, second
EPOCH = datetime(2024, 2, 28, 23, 59, 57, tzinfo=UTC)  # a Wednesday in a leap year


class Rtc:
    """A CMOS with a clock that the test turns."""

    def __init__(self, memory_bytes: int = 64 << 20) -> None:
        self.now = Nanoseconds(0)
        self.asked = 0
        self.lines: list[bool] = []
        self.cmos = Cmos(
            irq=self.lines.append,
            clock=self._clock,
            epoch_s=int(EPOCH.timestamp()),
            memory_bytes=memory_bytes,
        )

    def _clock(self) -> Nanoseconds:
        self.asked += 1
        return self.now

    def at(self, now_ns: int) -> "Rtc":
        self.now = Nanoseconds(now_ns)
        return self

    def __getitem__(self, index: int) -> int:
        self.cmos.write(0x70, 1, index)
        return self.cmos.read(0x71, 1)

    def __setitem__(self, index: int, value: int) -> None:
        self.cmos.write(0x70, 1, index)
        self.cmos.write(0x71, 1, value)

    def time(self) -> tuple[int, ...]:
        return tuple(self[index] for index in TIME)

    def set(self, *values: int) -> None:
        for index, value in zip(TIME, values, strict=True):
            self[index] = value

    def interrupts(self, until: int) -> list[int]:
        """Deliver each deadline exactly, read C, return when IRQ8 rose."""
        times = []
        while (deadline := self.cmos.deadline()) is not None and deadline <= until:
            self.now = deadline
            self.cmos.advance(deadline)
            assert self.lines[-1]
            times.append(int(deadline))
            self[C]
            assert not self.lines[-1]
        return times


@pytest.fixture
def rtc() -> Rtc:
    return Rtc()


def test_the_date_follows_guest_time(rtc: Rtc) -> None:
    assert rtc.time() == (0x20, 0x24, 0x02, 0x28, 4, 0x23, 0x59, 0x57)
    assert rtc.at(3 * S - 1).time()[-1] == 0x59
    assert rtc.at(3 * S).time() == (0x20, 0x24, 0x02, 0x29, 5, 0, 0, 0)
    assert rtc.at(86_403 * S).time() == (0x20, 0x24, 0x03, 0x01, 6, 0, 0, 0)


def test_data_modes(rtc: Rtc) -> None:
    rtc[B] = BINARY | H24
    assert rtc.time() == (20, 24, 2, 28, 4, 23, 59, 57)
    rtc[B] = BINARY
    assert rtc[4] == 0x80 | 11
    rtc[B] = 0
    assert rtc[4] == 0x91
    assert rtc.at(3 * S)[4] == 0x12, "midnight is 12 in the morning"
    assert rtc.at((12 * 3600 + 3) * S)[4] == 0x92, "noon is 12 in the afternoon"


def test_registers_a_to_d_after_reset(rtc: Rtc) -> None:
    assert (rtc[A], rtc[B], rtc[C], rtc[D]) == (0x26, 0x02, 0x00, 0x80)


def test_update_in_progress_before_each_second(rtc: Rtc) -> None:
    for now, busy in ((0, 0), (S - 2_228_001, 0), (S - 2_228_000, 0x80), (S - 1, 0x80), (S, 0)):
        assert rtc.at(now)[A] & 0x80 == busy
    rtc.at(S - 1)[B] = SET | H24
    assert rtc[A] & 0x80 == 0


def test_setting_the_clock_as_kernels_do(rtc: Rtc) -> None:
    rtc.at(S // 4)
    rtc[B] = SET | H24
    rtc.set(0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58)
    assert rtc.at(9 * S).time() == (0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58), "it stands"
    rtc.at(10 * S + S // 4)[B] = H24
    assert rtc.time()[-1] == 0x58
    assert rtc.at(11 * S).time()[-1] == 0x59, "the divider went on meanwhile"
    assert rtc.at(12 * S).time() == (0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0)


def test_setting_one_register_while_it_runs(rtc: Rtc) -> None:
    rtc[4] = 0x05
    assert rtc.at(3 * S).time() == (0x20, 0x24, 0x02, 0x28, 4, 0x06, 0, 0)


def test_the_weekday_is_what_the_guest_says(rtc: Rtc) -> None:
    rtc[6] = 1
    assert rtc.time()[3:5] == (0x28, 1)
    assert rtc.at(3 * S).time()[3:5] == (0x29, 2)


@pytest.mark.parametrize(
    "written", [(0x20, 0x23, 0x02, 0x31, 1, 0, 0, 0), (0x20, 0x23, 0x03, 0x03, 1, 0, 0, 0)]
)
def test_a_date_that_is_none_becomes_one(rtc: Rtc, written: tuple[int, ...]) -> None:
    rtc[B] = SET | H24
    rtc.set(*written)
    rtc[B] = H24
    assert rtc.time() == (0x20, 0x23, 0x03, 0x03, 1, 0, 0, 0)


def test_the_first_update_is_half_a_second_after_the_divider_is_released(rtc: Rtc) -> None:
    rtc[B] = H24 | UIE
    rtc.at(S // 8)[A] = 0x76
    assert rtc.cmos.deadline() is None
    assert rtc.at(7 * S)[0] == 0x57
    rtc.at(8 * S + 123)[A] = 0x26
    assert rtc.interrupts(10 * S) == [8 * S + S // 2 + 123, 9 * S + S // 2 + 123]
    assert rtc[0] == 0x59


def test_no_interrupt_is_asked_for_unless_enabled(rtc: Rtc) -> None:
    assert rtc.cmos.deadline() is None
    rtc.cmos.advance(Nanoseconds(100 * S))
    assert not rtc.lines


def test_update_ended_interrupt(rtc: Rtc) -> None:
    rtc.at(S // 2)[B] = H24 | UIE
    assert rtc.interrupts(4 * S) == [S, 2 * S, 3 * S, 4 * S]


@pytest.mark.parametrize(
    ("rate", "hz"), [(1, 256), (2, 128), (3, 8192), (6, 1024), (10, 64), (15, 2)]
)
def test_periodic_interrupt(rtc: Rtc, rate: int, hz: int) -> None:
    rtc[A] = 0x20 | rate
    rtc[B] = H24 | PIE
    # exact: the n-th comes in the first ns at or after n/hz seconds
    assert rtc.interrupts(S) == [-(-n * S // hz) for n in range(1, hz + 1)]


def test_rate_0_is_no_periodic_interrupt(rtc: Rtc) -> None:
    rtc[A] = 0x20
    rtc[B] = H24 | PIE
    assert rtc.cmos.deadline() is None


def test_alarm(rtc: Rtc) -> None:
    rtc[5], rtc[3], rtc[1] = 0x00, 0x01, 0x30
    rtc[B] = H24 | AIE
    first = (3 + 90) * S
    assert rtc.interrupts(first + 86_400 * S) == [first, first + 86_400 * S]


def test_alarm_bytes_that_match_always(rtc: Rtc) -> None:
    rtc[5], rtc[3], rtc[1] = 0xC0, 0xFF, 0x10
    rtc[B] = H24 | AIE
    assert rtc.interrupts(140 * S) == [13 * S, 73 * S, 133 * S]
    rtc.at(140 * S)[1] = 0xC0
    assert rtc.interrupts(142 * S) == [141 * S, 142 * S]
    rtc.at(142 * S)[3] = 0x00
    rtc[1] = 0x59
    assert rtc.interrupts(4000 * S) == [(3600 + 3 + 59) * S]


def test_alarm_in_twelve_hour_mode(rtc: Rtc) -> None:
    rtc[B] = AIE
    rtc[5], rtc[3], rtc[1] = 0x81, 0x00, 0x00
    assert rtc.interrupts(86_400 * S) == [(13 * 3600 + 3) * S]


def test_an_alarm_that_no_time_matches(rtc: Rtc) -> None:
    rtc[5], rtc[3], rtc[1] = 0x24, 0x00, 0x00
    rtc[B] = H24 | AIE
    assert rtc.cmos.deadline() is None


def test_flags_are_set_without_interrupts_and_cleared_by_reading(rtc: Rtc) -> None:
    rtc[5], rtc[3], rtc[1] = 0xFF, 0xFF, 0xFF
    assert rtc.at(S)[C] == 0x70
    assert rtc[C] == 0
    assert rtc.at(S + S // 1024 + 1)[C] == 0x40
    assert not rtc.lines


def test_a_flag_that_is_set_interrupts_as_soon_as_it_is_enabled(rtc: Rtc) -> None:
    rtc.at(S)[B] = H24 | UIE
    assert rtc.lines == [True]
    assert rtc[C] & 0x90 == 0x90
    assert rtc.lines == [True, False]


def test_while_an_interrupt_waits_no_other_is_asked_for(rtc: Rtc) -> None:
    rtc[B] = H24 | PIE
    rtc.cmos.advance(Nanoseconds(S))
    assert rtc.lines == [True]
    assert rtc.cmos.deadline() is None
    rtc.at(S)[C]
    assert rtc.cmos.deadline() == S + -(-S // 1024)


def test_set_clears_the_update_enable(rtc: Rtc) -> None:
    rtc[B] = H24 | UIE
    rtc[B] = SET | H24 | UIE
    assert rtc[B] == SET | H24


@pytest.mark.parametrize(
    ("memory", "base", "extended", "high"),
    [
        (512 << 10, 512, 0, 0),
        (1 << 20, 640, 0, 0),
        (16 << 20, 640, 15 * 1024, 0),
        (64 << 20, 640, 63 * 1024, 48 * 16),
        (3 << 30, 640, 0xFFFF, (3072 - 16) * 16),
        (1 << 40, 640, 0xFFFF, 0xFFFF),
    ],
)
def test_memory_size(memory: int, base: int, extended: int, high: int) -> None:
    rtc = Rtc(memory)
    word = {at: rtc[at] | rtc[at + 1] << 8 for at in (0x15, 0x17, 0x30, 0x34)}
    assert word == {0x15: base, 0x17: extended, 0x30: extended, 0x34: high}


def test_the_equipment_byte_has_a_coprocessor_and_no_diskettes(rtc: Rtc) -> None:
    assert rtc[0x14] == 0x02


def test_memory_keeps_what_is_written(rtc: Rtc) -> None:
    free = [index for index in range(0x0E, 0x80) if index != 0x32]
    for index in free:
        rtc[index] = index ^ 0xA5
    assert [rtc[index] for index in free] == [index ^ 0xA5 for index in free]


def test_the_nmi_bit_is_kept_and_not_part_of_the_index(rtc: Rtc) -> None:
    assert not rtc.cmos.nmi_masked
    assert rtc[0x80 | D] == 0x80
    assert rtc.cmos.nmi_masked
    assert rtc.cmos.read(0x70, 1) == 0xFF


def test_read_only_registers(rtc: Rtc) -> None:
    rtc[C] = rtc[D] = 0
    assert rtc[D] == 0x80
    rtc[A] = 0xFF & ~0x40
    assert rtc[A] == 0x3F


def test_memory_accesses_do_not_ask_for_the_time(rtc: Rtc) -> None:
    rtc[0x40] = 1
    assert rtc[0x40] == 1
    assert rtc[B] == H24
    assert rtc.asked == 0
