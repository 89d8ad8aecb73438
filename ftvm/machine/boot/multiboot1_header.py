"""The Multiboot 1 header inside an image (specification 0.6.96, section 3.1).

::

    offset  field           there if
    0       magic           always         0x1BADB002
    4       flags           always         bits 0..15: refuse what is unknown
    8       checksum        always         magic + flags + checksum = 0 (mod 2**32)
    12      header_addr     flags bit 16   where the magic is to be in memory
    16      load_addr       flags bit 16   where the first loaded byte is to be
    20      load_end_addr   flags bit 16   0: to the end of the file
    24      bss_end_addr    flags bit 16   0: no zeroed memory behind it
    28      entry_addr      flags bit 16
    32..47  video mode      flags bit 2

It stands somewhere in the first 8192 bytes of the file, 4-byte aligned.
"""

import struct
from dataclasses import dataclass

from ftvm.errors import ImageError
from ftvm.machine.boot.program import Program, Segment

SEARCH_BYTES = 8192
MAGIC = 0x1BADB002

FLAG_PAGE_ALIGN = 1 << 0
FLAG_MEMORY_INFO = 1 << 1
FLAG_VIDEO_MODE = 1 << 2
FLAG_ADDRESSES = 1 << 16

# There are no modules to align, memory information is always given, and a video
# mode may be asked for but, as with QEMU, none is set and none is reported.
_KNOWN = FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO | FLAG_VIDEO_MODE
_MANDATORY = 0xFFFF

_FIXED_FIELDS = struct.Struct("<3I")
_ADDRESS_FIELDS = struct.Struct("<5I")


@dataclass(frozen=True)
class Addresses:
    """The header's address fields: they stand in for the ELF program headers."""

    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


@dataclass(frozen=True)
class Header:
    """A header with a right checksum, at ``offset`` in the file."""

    offset: int
    flags: int
    addresses: Addresses | None


def find_header(image: bytes) -> Header | None:
    """Find the first header with a right checksum; None if there is none.

    Raises ImageError if it asks for what this loader does not know, or if it is
    cut off by the end of the search range or of the file.
    """
    head = image[:SEARCH_BYTES]
    offset = head.find(_MAGIC_BYTES)
    while offset >= 0:
        if offset % 4 == 0 and offset + _FIXED_FIELDS.size <= len(head):
            magic, flags, checksum = _FIXED_FIELDS.unpack_from(head, offset)
            if (magic + flags + checksum) % (1 << 32) == 0:
                return _read_header(head, offset, flags)
        offset = head.find(_MAGIC_BYTES, offset + 1)
    return None


_MAGIC_BYTES = MAGIC.to_bytes(4, "little")


def _read_header(head: bytes, offset: int, flags: int) -> Header:
    unknown = flags & _MANDATORY & ~_KNOWN
    if unknown:
        raise ImageError(
            f"Multiboot header at {offset:#x} demands features {unknown:#06x} of its flags "
            f"{flags:#x}, which are unknown; clear all of bits 0..15 but 0, 1 and 2"
        )
    if not flags & FLAG_ADDRESSES:
        return Header(offset, flags, None)
    start = offset + _FIXED_FIELDS.size
    if start + _ADDRESS_FIELDS.size > len(head):
        raise ImageError(
            f"Multiboot header at {offset:#x} is cut off: its address fields end at "
            f"{start + _ADDRESS_FIELDS.size:#x}, only {len(head):#x} bytes can be searched; "
            "move the header to the start of the image"
        )
    return Header(offset, flags, Addresses(*_ADDRESS_FIELDS.unpack_from(head, start)))


def read_program(image: bytes, header_offset: int, addresses: Addresses) -> Program:
    """The program that the address fields describe, whatever the file's format.

    Raises ImageError, one line, if the fields contradict each other or the file.
    """
    if addresses.header < addresses.load:
        raise ImageError(
            f"load_addr {addresses.load:#x} lies above header_addr {addresses.header:#x}; "
            "load from the header or from before it"
        )
    file_offset = header_offset - (addresses.header - addresses.load)
    if file_offset < 0:
        raise ImageError(
            f"load_addr {addresses.load:#x} lies {-file_offset:#x} bytes before the start of "
            "the file; header_addr or load_addr is wrong"
        )
    file_bytes = (
        (addresses.load_end - addresses.load) if addresses.load_end else (len(image) - file_offset)
    )
    if file_bytes < 0:
        raise ImageError(
            f"load_end_addr {addresses.load_end:#x} lies below load_addr {addresses.load:#x}; "
            "one of the two is wrong"
        )
    if file_offset + file_bytes > len(image):
        raise ImageError(
            f"truncated: load_end_addr {addresses.load_end:#x} needs {file_offset + file_bytes:#x} "
            f"bytes of a file of {len(image):#x}; copy or build it again"
        )
    load_end = addresses.load + file_bytes
    if addresses.bss_end and addresses.bss_end < load_end:
        raise ImageError(
            f"bss_end_addr {addresses.bss_end:#x} lies below the end of the loaded bytes, "
            f"{load_end:#x}; one of the two is wrong"
        )
    memory_bytes = (addresses.bss_end or load_end) - addresses.load
    segment = Segment("the image", file_offset, file_bytes, addresses.load, memory_bytes)
    return Program(addresses.entry, (segment,) if memory_bytes else ())
