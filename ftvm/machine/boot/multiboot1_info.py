"""What a Multiboot 1 kernel finds in memory: information, strings, a first GDT.

All of it is one block in lower memory (specification 0.6.96, section 3.3):

::

    +0      information structure; EBX points here
    +0x58   memory map
    +...    GDT: null, flat code, flat data
    +...    command line, NUL; boot loader name, NUL

Offsets in the information structure that are filled in::

    0  flags        4  mem_lower (KiB)    8  mem_upper (KiB)
    16 cmdline      44 mmap_length        48 mmap_addr
    64 boot_loader_name

A kernel has to load a GDT of its own before it loads a segment register
(section 3.2), but QEMU and GRUB leave a working one, and so do we.
"""

import struct
from dataclasses import dataclass

from ftvm.machine.boot.memory_map import (
    KIB,
    LOWER_MEMORY_END,
    UPPER_MEMORY_START,
    memory_map,
)
from ftvm.machine.boot.plan import SegmentRegister
from ftvm.units import GuestPhysical

BOOT_LOADER_NAME = b"ftvm"

INFO_MEMORY = 1 << 0
INFO_COMMAND_LINE = 1 << 2
INFO_MEMORY_MAP = 1 << 6
INFO_BOOT_LOADER_NAME = 1 << 9

INFO_BYTES = 88
_INFO = struct.Struct("<3I4xI24x2I12xI20x")

# Each entry is preceded by its size, which does not count the size field itself.
_MAP_ENTRY = struct.Struct("<IQQI")
_MAP_ENTRY_SIZE_FIELD = _MAP_ENTRY.size - 4

# Flat 4 GiB, 32-bit, ring 0, present, accessed (Intel SDM vol. 3A, figure 3-8,
# table 3-1). Accessed from the start, so that loading them writes no memory.
CODE_SEGMENT = SegmentRegister(0x08, 0, 0xFFFFFFFF, 0x00CF9B00)
DATA_SEGMENT = SegmentRegister(0x10, 0, 0xFFFFFFFF, 0x00CF9300)
_DESCRIPTOR_LOW_FLAT = 0x0000FFFF
_GDT = struct.pack(
    "<6I",
    *(0, 0),
    *(_DESCRIPTOR_LOW_FLAT, CODE_SEGMENT.descriptor_high),
    *(_DESCRIPTOR_LOW_FLAT, DATA_SEGMENT.descriptor_high),
)
GDT_LIMIT = len(_GDT) - 1


@dataclass(frozen=True)
class InfoBlock:
    """The block's bytes, made for the address ``start``, and where its GDT is."""

    start: GuestPhysical
    data: bytes
    gdt_base: GuestPhysical


def make_info_block(start: GuestPhysical, memory_bytes: int, command_line: bytes) -> InfoBlock:
    """Make the block for a machine with `memory_bytes` of memory.

    Its length does not depend on `start`. `command_line` has no NUL in it.
    """
    regions = memory_map(memory_bytes)
    map_bytes = b"".join(
        _MAP_ENTRY.pack(_MAP_ENTRY_SIZE_FIELD, region.start, region.size_bytes, region.type)
        for region in regions
    )
    map_address = start + INFO_BYTES
    gdt_address = map_address + len(map_bytes)
    command_line_address = gdt_address + len(_GDT)
    name_address = command_line_address + len(command_line) + 1
    info = _INFO.pack(
        INFO_MEMORY | INFO_COMMAND_LINE | INFO_MEMORY_MAP | INFO_BOOT_LOADER_NAME,
        LOWER_MEMORY_END // KIB,
        (memory_bytes - UPPER_MEMORY_START) // KIB,
        command_line_address,
        len(map_bytes),
        map_address,
        name_address,
    )
    data = info + map_bytes + _GDT + command_line + b"\0" + BOOT_LOADER_NAME + b"\0"
    return InfoBlock(start, data, GuestPhysical(gdt_address))
