"""A Multiboot 1 kernel of almost nothing in an ELF file, every field to choose."""

import struct
from dataclasses import dataclass, field

MIB = 1 << 20
CODE = b"\xfa\xf4\xeb\xfd"
HEADER_MAGIC = 0x1BADB002


def multiboot_header(flags: int = 3, *more: int, checksum_error: int = 0) -> bytes:
    checksum = (-(HEADER_MAGIC + flags) + checksum_error) % (1 << 32)
    return struct.pack(f"<{3 + len(more)}I", HEADER_MAGIC, flags, checksum, *more)


@dataclass
class Load:
    """One PT_LOAD entry; its file bytes are put behind the headers."""

    physical: int
    data: bytes
    memory_bytes: int | None = None
    virtual: int | None = None
    flags: int = 5
    type: int = 1


@dataclass
class Elf:
    """An ELF32 file in the making: change a field, get the bytes."""

    loads: list[Load] = field(
        default_factory=lambda: [Load(MIB, multiboot_header() + CODE, memory_bytes=0x100)]
    )
    entry: int = MIB + 12
    elf_class: int = 1
    encoding: int = 1
    ident_version: int = 1
    type: int = 2
    machine: int = 3
    version: int = 1
    phentsize: int = 32

    def build(self) -> bytes:
        data_offset = 52 + 32 * len(self.loads)
        ident = b"\x7fELF" + bytes([self.elf_class, self.encoding, self.ident_version])
        header = struct.pack(
            "<16sHHIIIIIHHHHHH",
            *(ident, self.type, self.machine, self.version, self.entry, 52, 0, 0),
            *(52, self.phentsize, len(self.loads), 0, 0, 0),
        )
        table, data = b"", b""
        for entry in self.loads:
            table += struct.pack(
                "<8I",
                *(entry.type, data_offset + len(data)),
                *(entry.physical if entry.virtual is None else entry.virtual, entry.physical),
                len(entry.data),
                len(entry.data) if entry.memory_bytes is None else entry.memory_bytes,
                *(entry.flags, 4),
            )
            data += entry.data
        return header + table + data
