"""The PC's physical memory as a boot loader describes it to a kernel.

::

    0x00000000  +-----------------------------+
                | RAM ("lower memory")        |  639 KiB, usable
    0x0009fc00  +-----------------------------+
                | extended BIOS data area     |  reserved
    0x000a0000  +-----------------------------+
                | video window: not RAM       |  not in the map
    0x000c0000  +-----------------------------+
                | option ROMs                 |  not in the map
    0x000f0000  +-----------------------------+
                | BIOS                        |  reserved
    0x00100000  +-----------------------------+
                | RAM ("upper memory")        |  usable
    the size    +-----------------------------+

The split is that of the PC/AT and of the map that QEMU's firmware reports by
INT 15h, AX=E820h (ACPI specification 6.5, section 15.1), without the pages
that firmware keeps for itself at the top.
"""

from dataclasses import dataclass
from enum import IntEnum

from ftvm.errors import UsageError
from ftvm.units import PAGE_BYTES, GuestPhysical

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

LOWER_MEMORY_END = 0x9FC00
EBDA_END = 0xA0000
VIDEO_WINDOW = range(0xA0000, 0xC0000)
BIOS_START = 0xF0000
UPPER_MEMORY_START = MIB

MEMORY_BYTES_MIN = MIB
# Above 3 GiB a PC keeps addresses for devices.
MEMORY_BYTES_MAX = 3 * GIB


class RegionType(IntEnum):
    """What a region is for; the numbers are ACPI's (table 15.4)."""

    USABLE = 1
    RESERVED = 2


@dataclass(frozen=True)
class Region:
    """One entry of the memory map: ``size_bytes`` bytes from ``start``."""

    start: GuestPhysical
    size_bytes: int
    type: RegionType


def check_memory_bytes(memory_bytes: int) -> int:
    """Return `memory_bytes` if a machine can have so much memory.

    Raises UsageError if it is under 1 MiB, over 3 GiB, or not whole pages.
    """
    if not MEMORY_BYTES_MIN <= memory_bytes <= MEMORY_BYTES_MAX:
        raise UsageError(f"memory of {memory_bytes} bytes is out of range: give 1M to 3G")
    if memory_bytes % PAGE_BYTES:
        raise UsageError(
            f"memory of {memory_bytes} bytes is not whole pages: give a multiple of 4K"
        )
    return memory_bytes


def memory_map(memory_bytes: int) -> tuple[Region, ...]:
    """The map of a machine with `memory_bytes` of memory, in rising order."""
    regions = [
        Region(GuestPhysical(0), LOWER_MEMORY_END, RegionType.USABLE),
        Region(GuestPhysical(LOWER_MEMORY_END), EBDA_END - LOWER_MEMORY_END, RegionType.RESERVED),
        Region(GuestPhysical(BIOS_START), UPPER_MEMORY_START - BIOS_START, RegionType.RESERVED),
    ]
    if memory_bytes > UPPER_MEMORY_START:
        upper_bytes = memory_bytes - UPPER_MEMORY_START
        regions.append(Region(GuestPhysical(UPPER_MEMORY_START), upper_bytes, RegionType.USABLE))
    return tuple(regions)
