"""The calendar as registers of an MC146818 show it, and back to seconds.

A second is counted from 0001-01-01 00:00:00 of the Gregorian calendar, so that
every register content, however odd, is some second: a day 31 in February is in
March, as a clock that only adds would have it.
"""

from datetime import date

SECONDS_PER_DAY = 86_400
UNIX_EPOCH_S = (date(1970, 1, 1).toordinal() - 1) * SECONDS_PER_DAY
CYCLE_YEARS = 400
CYCLE_DAYS = 146_097  # in 400 years, after which the calendar repeats

# Data mode and hour format, register B
BINARY = 0x04
HOURS_24 = 0x02
PM = 0x80

SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, CENTURY = range(8)


def from_register(value: int, mode: int) -> int:
    """Return the number that a register byte means in register B's `mode`."""
    return value if mode & BINARY else (value >> 4) * 10 + (value & 0xF)


def to_register(number: int, mode: int) -> int:
    """Return the register byte for `number`, 0 to 99."""
    return number if mode & BINARY else number // 10 << 4 | number % 10


def hour_from_register(value: int, mode: int) -> int:
    """Return the hour of the day that an hour register means."""
    if mode & HOURS_24:
        return from_register(value, mode)
    return from_register(value & ~PM, mode) % 12 + (12 if value & PM else 0)


def hour_to_register(hour: int, mode: int) -> int:
    """Return the register byte for `hour`, 0 to 23."""
    if mode & HOURS_24:
        return to_register(hour, mode)
    return to_register((hour - 1) % 12 + 1, mode) | (PM if hour >= 12 else 0)


def shown_by(register: int, value: int, mode: int) -> int | None:
    """Return the SECOND, MINUTE or HOUR that shows as `value`, None if none does."""
    if register == HOUR:
        hour = hour_from_register(value, mode)
        return hour if hour < 24 and hour_to_register(hour, mode) == value else None
    number = from_register(value, mode)
    return number if number < 60 and to_register(number, mode) == value else None


def registers(second: int, weekday_shift: int, mode: int) -> bytes:
    """Return the registers of `second`, in the order SECOND to CENTURY.

    `weekday_shift` is how many days the weekday is ahead of the calendar's.
    """
    days, second_of_day = divmod(second, SECONDS_PER_DAY)
    cycle, day_of_cycle = divmod(days, CYCLE_DAYS)
    day = date.fromordinal(day_of_cycle + 1)
    year = day.year + cycle * CYCLE_YEARS
    return bytes(
        (
            to_register(second_of_day % 60, mode),
            to_register(second_of_day // 60 % 60, mode),
            hour_to_register(second_of_day // 3600, mode),
            (_weekday(days) + weekday_shift) % 7 + 1,
            to_register(day.day, mode),
            to_register(day.month, mode),
            to_register(year % 100, mode),
            to_register(year // 100 % 100, mode),
        )
    )


def second_of(content: bytes, mode: int) -> tuple[int, int]:
    """Return the second and the weekday shift that register `content` means."""
    year = from_register(content[CENTURY], mode) * 100 + from_register(content[YEAR], mode)
    month = min(max(from_register(content[MONTH], mode), 1), 12)
    cycle, year_of_cycle = divmod(year - 1, CYCLE_YEARS)
    days = (
        cycle * CYCLE_DAYS
        + date(year_of_cycle + 1, month, 1).toordinal()
        + from_register(content[DAY], mode)
        - 2
    )
    second_of_day = (
        hour_from_register(content[HOUR], mode) * 3600
        + from_register(content[MINUTE], mode) * 60
        + from_register(content[SECOND], mode)
    )
    second = days * SECONDS_PER_DAY + second_of_day
    weekday = from_register(content[WEEKDAY], mode) - 1
    return second, (weekday - _weekday(second // SECONDS_PER_DAY)) % 7


def _weekday(days: int) -> int:
    """Return 0 for Sunday to 6; 0001-01-01 was a Monday."""
    return (days + 1) % 7
