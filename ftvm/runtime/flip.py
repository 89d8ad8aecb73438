"""Planted faults: which replica, at which instruction, gets which bit of memory wrong.

Written ``ROLE@instruction:N:ADDR:BIT``, for example
``backup@instruction:5000000:0x105a40:3``: before the instruction N + 1, bit 3 of
the byte at this guest-physical address is turned over.
"""

import re
from dataclasses import dataclass

from ftvm.errors import UsageError
from ftvm.log.run_format import Flip
from ftvm.runtime.crash import ROLES, Role
from ftvm.units import PAGE_BYTES

_FLIP = re.compile(
    r"(\w+)@instruction:([0-9]{1,18}):(0x[0-9a-f]{1,8}|[0-9]{1,10}):([0-9])", re.ASCII | re.I
)


@dataclass(frozen=True)
class PlantedFlip:
    """A flip, and the replica that it is for: the one that has this role at the start."""

    role: Role
    flip: Flip

    def __str__(self) -> str:
        """The text that `parse_flip` reads back as an equal flip."""
        flip = self.flip
        return f"{self.role}@instruction:{flip.count}:{flip.address:#x}:{flip.bit}"


def parse_flip(text: str, memory_bytes: int) -> PlantedFlip:
    """Read a flip; raises UsageError, which says what is wrong with it."""
    match = _FLIP.fullmatch(text)
    if match is None:
        raise UsageError(
            f"flip {text!r} is not ROLE@instruction:N:ADDR:BIT: "
            "give backup@instruction:5000:0x100000:3, say"
        )
    role = next((role for role in ROLES if role == match[1]), None)
    if role is None:
        raise UsageError(f"flip {text!r} is for {match[1]!r}: give primary or backup")
    count, address, bit = int(match[2]), int(match[3], 0), int(match[4])
    if count == 0:
        raise UsageError(f"flip {text!r} is at instruction 0: give 1 or more")
    if bit > 7:
        raise UsageError(f"flip {text!r} has bit {bit}: a byte has bits 0 to 7")
    if address >= memory_bytes:
        pages = memory_bytes // PAGE_BYTES
        raise UsageError(
            f"flip {text!r} is at {address:#x}: memory of {pages} pages ends at {memory_bytes:#x}"
        )
    return PlantedFlip(role, Flip(count, address, bit))
