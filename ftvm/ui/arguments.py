"""What people type after an option, turned into the numbers that the machine takes."""

import re

from ftvm.errors import UsageError
from ftvm.machine.boot.memory_map import GIB, KIB, MIB, check_memory_bytes
from ftvm.units import Nanoseconds

# So many digits that no sensible size is left out, and no more.
_SIZE = re.compile(r"([0-9]{1,15})([KMG]?)", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"([0-9]{1,6})(ms|s)", re.ASCII)
_UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000}
_UNIT_BYTES = {"": 1, "K": KIB, "M": MIB, "G": GIB}


def parse_size(text: str) -> int:
    """Read a memory size such as ``64M`` and return it in bytes.

    A number may be followed by K, M or G (1024, 1024**2, 1024**3 bytes). Raises
    UsageError if it is not written so, is not a multiple of 4 KiB, or is not
    between 1 MiB and 3 GiB.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"memory size {text!r} is not a number with K, M or G: give 64M, say")
    number, unit = match.groups()
    return check_memory_bytes(int(number) * _UNIT_BYTES[unit.upper()])


def parse_time(option: str, text: str, least_ms: int) -> Nanoseconds:
    """Read a time such as ``500ms`` or ``2s``; UsageError names the option if that is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text!r} is not a time: give 2s or 500ms, say")
    number, unit = match.groups()
    time_ns = int(number) * _UNIT_NS[unit]
    if time_ns < least_ms * _UNIT_NS["ms"]:
        raise UsageError(f"{option} {text}: give {least_ms}ms or more")
    return Nanoseconds(time_ns)
