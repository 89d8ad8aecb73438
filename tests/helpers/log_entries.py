"""The inverse of reading the log, by the core itself; only tests write entries one by one."""

import contextlib

from ftvm._native._core import ffi, lib
from ftvm.machine.cpu import Entry


def encode_entry(entry: Entry, bases: tuple[int, int]) -> tuple[bytes, tuple[int, int]]:
    """Return the entry's bytes and the bases for the next one.

    Raises ValueError if count or time lie before the bases, or value or
    payload are none that the kind can have.
    """
    count, time = ffi.new("uint64_t *", bases[0]), ffi.new("uint64_t *", bases[1])
    event = ffi.new("CoreEvent *")
    into = ffi.new("uint8_t[]", 64 + len(entry.payload))
    used = 0
    with contextlib.suppress(OverflowError):
        event.kind, event.count, event.value = int(entry.kind), entry.count, entry.value
        event.payload_length = len(entry.payload)
        used = lib.core_log_encode(into, len(into), count, time, event, entry.payload)
    if used == 0:
        raise ValueError(f"no log entry can say {entry} behind count {bases[0]}, time {bases[1]}")
    return bytes(ffi.buffer(into, used)), (count[0], time[0])
