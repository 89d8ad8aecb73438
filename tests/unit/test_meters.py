"""Lag and rate as seen by somebody who asks now."""

from ftvm.runtime.hold_meter import NEWEST, HoldMeter
from ftvm.runtime.meters import Meters
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset

MS = 1_000_000


def note(meters: Meters, count: int, position: int, ms: int) -> None:
    meters.note(InstructionCount(count), LogPosition(position), Nanoseconds(ms * MS))


def lag_ms(meters: Meters, executed: int, ms: int) -> float:
    return meters.lag_ns(InstructionCount(executed), Nanoseconds(ms * MS)) / MS


def test_lag_is_since_the_writer_passed_that_place() -> None:
    meters = Meters()
    for ms in range(0, 100, 10):
        note(meters, 1000 * ms, ms, ms)
    assert lag_ms(meters, 90_000, 95) == 0
    assert lag_ms(meters, 79_999, 95) == 15
    assert lag_ms(meters, 0, 95) == 85


def test_a_writer_that_stands_still_has_no_lag_to_be_behind() -> None:
    meters = Meters()
    note(meters, 1000, 10, 0)
    note(meters, 1000, 10, 5000)
    assert lag_ms(meters, 1000, 9000) == 0


def test_rate_is_that_of_the_last_second() -> None:
    meters = Meters()
    for ms in range(0, 3000, 10):
        note(meters, ms, 5 * ms, ms)
    rate = meters.log_bytes_per_s(LogPosition(5 * 2990), Nanoseconds(2990 * MS))
    assert 4900 <= rate <= 5100
    assert meters.log_bytes_per_s(LogPosition(5 * 2990), Nanoseconds(9000 * MS)) == 0


def test_memory_is_bounded() -> None:
    meters = Meters()
    for ms in range(20_000):
        note(meters, ms, ms, ms)
    assert len(meters._samples) <= 2001


def test_what_is_put_out_elsewhere_holds_no_console_output() -> None:
    meter = HoldMeter()
    meter.made(StreamOffset(5), Nanoseconds(0))
    meter.released(StreamOffset(5), Nanoseconds(100))
    meter.made(StreamOffset(5), Nanoseconds(200))  # the screen was shown
    meter.made(StreamOffset(6), Nanoseconds(900_000))
    meter.released(StreamOffset(6), Nanoseconds(900_300))
    assert meter.percentiles(0, 1) == (100, 300)
    assert meter.sum_ns == 400


def test_how_long_output_was_held_is_known_of_the_newest_one_by_one() -> None:
    meter = HoldMeter()
    assert meter.percentiles(0.5, 0.99) == ()
    for at in range(2 * NEWEST):
        meter.made(StreamOffset(at + 1), Nanoseconds(at))
        meter.released(StreamOffset(at + 1), Nanoseconds(at + 1000 * (at >= NEWEST) + at % 100))
    low, half, high = meter.percentiles(0, 0.5, 1)
    assert (low, high) == (1000, 1099)
    assert 1045 <= half <= 1055
    assert sum(meter.counts) == 2 * NEWEST
