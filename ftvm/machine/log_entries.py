"""The entries of a log, out of its bytes (log.c)."""

from collections.abc import Iterator

from ftvm.machine.cpu import Entry, Kind, ffi, lib
from ftvm.units import InstructionCount


def decode_entries(
    data: bytes, bases: tuple[int, int] = (0, 0)
) -> Iterator[tuple[Entry, int, tuple[int, int]]]:
    """Yield each entry of `data`, the offset behind it, and the bases for the next.

    Stops before an entry that is not whole. Raises ValueError, saying at which
    byte, where there is none.
    """
    source = ffi.from_buffer("uint8_t[]", data)
    count, time = ffi.new("uint64_t *", bases[0]), ffi.new("uint64_t *", bases[1])
    event = ffi.new("CoreEvent *")
    at = 0
    while at < len(data):
        used = lib.core_log_decode(source + at, len(data) - at, count, time, event)
        if used < 0:
            raise ValueError(f"byte {at} begins no log entry")
        if used == 0:
            return
        start = at + event.payload_offset
        payload = data[start : start + event.payload_length]
        at += used
        entry = Entry(Kind(event.kind), InstructionCount(event.count), event.value, payload)
        yield entry, at, (count[0], time[0])
