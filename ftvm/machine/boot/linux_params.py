"""What a Linux kernel finds in memory: boot parameters, a first GDT, its command line.

All of it is one block in lower memory. The parameters' layout is that of
"Zero Page" (Documentation/arch/x86/zero-page.rst), the memory map's entries
are those of INT 15h, AX=E820h (ACPI specification 6.5, section 15.1)::

    000  screen_info       text mode: what the firmware has set and where its cursor is
    070  acpi_rsdp_addr    8 bytes
    1E0  alt_mem_k         KiB from 1 MiB on
    1E8  e820_entries      how many entries e820_table has
    1F1  the setup header  copied from the image
    2D0  e820_table        start (8), bytes (8), type (4)
"""

import struct
from dataclasses import dataclass

from ftvm.machine.boot.linux_header import HEADER_START, SetupHeader
from ftvm.machine.boot.memory_map import KIB, UPPER_MEMORY_START, memory_map
from ftvm.machine.boot.plan import flat_table
from ftvm.units import PAGE_BYTES, GuestPhysical

# "32-bit BOOT PROTOCOL": __BOOT_CS and __BOOT_DS.
CODE_SELECTOR = 0x10
_GDT = flat_table(CODE_SELECTOR)
GDT_LIMIT = len(_GDT) - 1

_LOADER_TYPE_UNDEFINED = 0xFF  # boot.rst, type_of_loader: no number assigned
_VIDEO_MODE, _COLUMNS, _LINES, _IS_VGA, _FONT_LINES = 3, 80, 25, 1, 16

_E820_ENTRY = struct.Struct("<QQI")
_E820_TABLE = 0x2D0


@dataclass(frozen=True)
class ParamsBlock:
    """The block's bytes, made for the address ``start``, and where its GDT is."""

    start: GuestPhysical
    data: bytes
    gdt_base: GuestPhysical


def make_params_block(
    start: GuestPhysical,
    memory_bytes: int,
    header: SetupHeader,
    command_line: bytes,
    initrd: tuple[GuestPhysical, int] | None,
) -> ParamsBlock:
    """Make the block for a machine with `memory_bytes` of memory.

    `initrd` is where the initial RAM disk lies, address and length.
    """
    params = bytearray(PAGE_BYTES)
    params[HEADER_START : HEADER_START + len(header.raw)] = header.raw

    def put(offset: int, kind: str, value: int) -> None:
        struct.pack_into("<" + kind, params, offset, value)

    put(0x06, "B", _VIDEO_MODE)
    put(0x07, "B", _COLUMNS)
    put(0x0E, "B", _LINES)
    put(0x0F, "B", _IS_VGA)
    put(0x10, "H", _FONT_LINES)
    put(0x1E0, "I", (memory_bytes - UPPER_MEMORY_START) // KIB)
    put(0x210, "B", _LOADER_TYPE_UNDEFINED)
    put(0x218, "I", initrd[0] if initrd else 0)
    put(0x21C, "I", initrd[1] if initrd else 0)
    put(0x228, "I", start + PAGE_BYTES + len(_GDT))
    regions = memory_map(memory_bytes)
    put(0x1E8, "B", len(regions))
    for index, region in enumerate(regions):
        at = _E820_TABLE + index * _E820_ENTRY.size
        _E820_ENTRY.pack_into(params, at, region.start, region.size_bytes, region.type)
    return ParamsBlock(
        start, bytes(params) + _GDT + command_line + b"\0", GuestPhysical(start + PAGE_BYTES)
    )
