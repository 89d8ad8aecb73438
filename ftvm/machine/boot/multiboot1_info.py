"""What a Multiboot 1 kernel finds in memory: information, strings, a first GDT.

All of it is one block in lower memory (specification 0.6.96, section 3.3):

::

    +0      information structure; EBX points here
    +0x58   memory map
    +...    modules: start, end, string, reserved
    +...    GDT: null, flat code, flat data
    +...    command line, NUL; boot loader name, NUL; the modules' strings, NUL each

Offsets in the information structure that are filled in::

    0  flags        4  mem_lower (KiB)    8  mem_upper (KiB)
    16 cmdline      20 mods_count         24 mods_addr
    44 mmap_length  48 mmap_addr          64 boot_loader_name

A kernel has to load a GDT of its own before it loads a segment register
(section 3.2), but QEMU and GRUB leave a working one, and so do we.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ftvm.machine.boot.memory_map import (
    KIB,
    LOWER_MEMORY_END,
    UPPER_MEMORY_START,
    memory_map,
)
from ftvm.machine.boot.plan import flat_table
from ftvm.units import GuestPhysical

BOOT_LOADER_NAME = b"ftvm"

INFO_MEMORY = 1 << 0
INFO_COMMAND_LINE = 1 << 2
INFO_MODULES = 1 << 3
INFO_MEMORY_MAP = 1 << 6
INFO_BOOT_LOADER_NAME = 1 << 9

INFO_BYTES = 88
_INFO = struct.Struct("<3I4x3I16x2I12xI20x")
_MODULE = struct.Struct("<3I4x")

# Each entry is preceded by its size, which does not count the size field itself.
_MAP_ENTRY = struct.Struct("<IQQI")
_MAP_ENTRY_SIZE_FIELD = _MAP_ENTRY.size - 4

CODE_SELECTOR = 0x08
_GDT = flat_table(CODE_SELECTOR)
GDT_LIMIT = len(_GDT) - 1


@dataclass(frozen=True)
class InfoBlock:
    """The block's bytes, made for the address ``start``, and where its GDT is."""

    start: GuestPhysical
    data: bytes
    gdt_base: GuestPhysical


@dataclass(frozen=True)
class ModulePlace:
    """Where a module lies in memory, and the string that is given with it."""

    start: GuestPhysical
    end: GuestPhysical
    string: bytes


def make_info_block(
    start: GuestPhysical, memory_bytes: int, command_line: bytes, modules: Sequence[ModulePlace]
) -> InfoBlock:
    """Make the block for a machine with `memory_bytes` of memory.

    Its length depends on neither `start` nor the modules' places. There is no
    NUL in `command_line` and in the modules' strings.
    """
    map_bytes = b"".join(
        _MAP_ENTRY.pack(_MAP_ENTRY_SIZE_FIELD, region.start, region.size_bytes, region.type)
        for region in memory_map(memory_bytes)
    )
    map_address = start + INFO_BYTES
    modules_address = map_address + len(map_bytes)
    gdt_address = modules_address + _MODULE.size * len(modules)
    command_line_address = gdt_address + len(_GDT)
    name_address = command_line_address + len(command_line) + 1
    string_address = name_address + len(BOOT_LOADER_NAME) + 1
    module_bytes = b""
    for module in modules:
        module_bytes += _MODULE.pack(module.start, module.end, string_address)
        string_address += len(module.string) + 1
    info = _INFO.pack(
        INFO_MEMORY
        | INFO_COMMAND_LINE
        | (INFO_MODULES if modules else 0)
        | INFO_MEMORY_MAP
        | INFO_BOOT_LOADER_NAME,
        LOWER_MEMORY_END // KIB,
        (memory_bytes - UPPER_MEMORY_START) // KIB,
        command_line_address,
        len(modules),
        modules_address if modules else 0,
        len(map_bytes),
        map_address,
        name_address,
    )
    strings = (command_line, BOOT_LOADER_NAME, *(module.string for module in modules))
    data = info + map_bytes + module_bytes + _GDT + b"".join(text + b"\0" for text in strings)
    return InfoBlock(start, data, GuestPhysical(gdt_address))
