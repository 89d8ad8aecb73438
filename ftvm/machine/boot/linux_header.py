"""The setup header of a Linux kernel image ("The Linux/x86 Boot Protocol", boot.rst).

::

    offset  field                       since
    1F1     setup_sects                 all    512-byte sectors of real-mode code; 0 means 4
    1FE     boot_flag                   all    0xAA55
    201     length of the header        2.00   second byte of a jump over it, from 0x202
    202     header                      2.00   "HdrS"
    206     version                     2.00   major << 8 | minor
    210     type_of_loader              2.00   written by the loader
    211     loadflags                   2.00   bit 0: the kernel is loaded at 0x100000
    214     code32_start                2.00   where the protected-mode code starts
    218     ramdisk_image, _size        2.00   written by the loader
    228     cmd_line_ptr                2.02   written by the loader
    22C     initrd_addr_max             2.03   last byte that an initrd may occupy
    234     relocatable_kernel          2.05
    238     cmdline_size                2.06   without the NUL
    258     pref_address                2.10   where the kernel will move itself
    260     init_size                   2.10   bytes that it needs there

A loader copies the header as it stands into the boot parameters, changes what
it has to, and jumps to the code behind the real-mode sectors.
"""

import struct
from dataclasses import dataclass

from ftvm.errors import ImageError
from ftvm.machine.boot.memory_map import UPPER_MEMORY_START

HEADER_START = 0x1F1
SECTOR_BYTES = 512

_BOOT_FLAG_AT, _BOOT_FLAG = 0x1FE, b"\x55\xaa"
_MAGIC_AT, _MAGIC = 0x202, b"HdrS"
_JUMP_LENGTH_AT = 0x201
_MINIMUM_END = 0x22C  # protocol 2.02 ends here
_DEFAULT_SETUP_SECTORS = 4
_LOADED_HIGH = 1

VERSION_MIN = 0x0202
"""The first protocol with a command line pointer; of July 1999."""

# What holds where the header is too old to say it (boot.rst, the fields' details).
_DEFAULT_INITRD_LAST = 0x37FFFFFF
_DEFAULT_COMMAND_LINE_BYTES = 255


@dataclass(frozen=True)
class SetupHeader:
    """What a loader needs of the header; ``raw`` is all of it, from 0x1F1 on.

    ``code_offset`` is where in the file the protected-mode code begins,
    ``run_start`` and ``run_bytes`` where the kernel lives once it has unpacked
    itself, ``initrd_last`` the highest address that an initrd may use.
    """

    raw: bytes
    version: int
    code_offset: int
    code_start: int
    initrd_last: int
    command_line_bytes_max: int
    run_start: int
    run_bytes: int


def is_linux(image: bytes) -> bool:
    """Tell whether `image` is a Linux kernel with a setup header."""
    return (
        image[_BOOT_FLAG_AT : _BOOT_FLAG_AT + 2] == _BOOT_FLAG
        and image[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC
    )


def read_header(image: bytes) -> SetupHeader:
    """Read the header of an image that `is_linux`.

    Raises ImageError, one line, if it cannot be booted by the 32-bit protocol.
    """
    end = _MAGIC_AT + image[_JUMP_LENGTH_AT]
    if end < _MINIMUM_END or end > len(image):
        raise ImageError(
            f"its setup header ends at {end:#x}, not between {_MINIMUM_END:#x} and the file's "
            f"end at {len(image):#x}; copy or build it again"
        )
    raw = image[HEADER_START:end]

    def field(offset: int, kind: str, default: int) -> int:
        at = offset - HEADER_START
        if at + struct.calcsize(kind) > len(raw):
            return default
        value: int = struct.unpack_from("<" + kind, raw, at)[0]
        return value

    version = field(0x206, "H", 0)
    if version < VERSION_MIN:
        raise ImageError(
            f"its boot protocol is {version >> 8}.{version & 0xFF:02}, and 2.02 is the oldest "
            "with a command line; use a newer kernel"
        )
    if not field(0x211, "B", 0) & _LOADED_HIGH:
        raise ImageError(
            "it is a zImage, which is loaded below 640 KiB by its own real-mode code; use a bzImage"
        )
    setup_sectors = field(0x1F1, "B", 0) or _DEFAULT_SETUP_SECTORS
    code_offset = (setup_sectors + 1) * SECTOR_BYTES
    if code_offset >= len(image):
        raise ImageError(
            f"truncated: its protected-mode code begins at {code_offset:#x}, and the file ends at "
            f"{len(image):#x}; copy or build it again"
        )
    code_start = field(0x214, "I", UPPER_MEMORY_START)
    code_bytes = len(image) - code_offset
    return SetupHeader(
        raw=raw,
        version=version,
        code_offset=code_offset,
        code_start=code_start,
        initrd_last=field(0x22C, "I", _DEFAULT_INITRD_LAST) or _DEFAULT_INITRD_LAST,
        command_line_bytes_max=field(0x238, "I", 0) or _DEFAULT_COMMAND_LINE_BYTES,
        run_start=max(code_start, field(0x258, "Q", 0)),
        run_bytes=max(code_bytes, field(0x260, "I", 0)),
    )
