"""The clock's calendar against the standard library's."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from ftvm.machine.devices import calendar
from ftvm.machine.devices.cmos import Cmos
from ftvm.units import Nanoseconds

MODES = st.sampled_from(
    [0, calendar.BINARY, calendar.HOURS_24, calendar.BINARY | calendar.HOURS_24]
)
DATES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59))


def shown(register: int, mode: int) -> int:
    return register if mode & calendar.BINARY else int(f"{register:x}")


@settings(deadline=None)
@given(DATES, MODES)
def test_registers_show_the_date(when: datetime, mode: int) -> None:
    second = int(when.replace(tzinfo=UTC, microsecond=0).timestamp()) + calendar.UNIX_EPOCH_S
    content = calendar.registers(second, 0, mode)
    if mode & calendar.HOURS_24:
        hour = shown(content[2], mode)
    else:
        hour = shown(content[2] & 0x7F, mode) % 12 + (12 if content[2] & 0x80 else 0)
    s, m, _, weekday, day, month, year, century = (shown(byte, mode) for byte in content)
    assert (century * 100 + year, month, day) == (when.year, when.month, when.day)
    assert (hour, m, s) == (when.hour, when.minute, when.second)
    assert weekday == when.isoweekday() % 7 + 1
    assert calendar.second_of(content, mode) == (second, 0)


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=8), MODES)
def test_any_register_content_is_some_date(content: bytes, mode: int) -> None:
    second, shift = calendar.second_of(content, mode)
    shown_again = calendar.registers(second, shift, mode)
    again = calendar.second_of(shown_again, mode)
    # The registers show the year in four digits, and 10,000 years are whole cycles.
    span = 10_000 // calendar.CYCLE_YEARS * calendar.CYCLE_DAYS * calendar.SECONDS_PER_DAY
    assert again[0] % span == second % span
    assert calendar.registers(*again, mode) == shown_again


@settings(deadline=None)
@given(
    st.tuples(*(st.integers(0, 255),) * 3),
    st.integers(0, 200_000),
    MODES,
)
def test_the_alarm_is_the_first_second_whose_registers_match(
    alarm: tuple[int, int, int], start_s: int, mode: int
) -> None:
    now = Nanoseconds(start_s * 10**9)
    cmos = Cmos(irq=lambda _: None, clock=lambda: now, epoch_s=0, memory_bytes=0)

    def write(index: int, value: int) -> None:
        cmos.write(0x70, 1, index)
        cmos.write(0x71, 1, value)

    write(0x0B, mode)
    for index, byte in zip((1, 3, 5), alarm, strict=True):
        write(index, byte)
    cmos.write(0x70, 1, 0x0C)
    cmos.read(0x71, 1)
    write(0x0B, mode | 0x20)
    expected = None
    if all(byte >= 0xC0 or legal(byte, unit, mode) for unit, byte in enumerate(alarm)):
        for second in range(start_s + 1, start_s + 86_401):
            content = calendar.registers(calendar.UNIX_EPOCH_S + second, 0, mode)
            if all(
                want >= 0xC0 or want == got for want, got in zip(alarm, content[:3], strict=True)
            ):
                expected = second * 10**9
                break
    assert cmos.deadline() == expected


def legal(byte: int, unit: int, mode: int) -> bool:
    """Whether some time shows `byte` in the register of seconds, minutes or hours."""
    shown_bytes = {
        calendar.registers(second, 0, mode)[unit]
        for second in (range(60), range(0, 3600, 60), range(0, 86_400, 3600))[unit]
    }
    return byte in shown_bytes
