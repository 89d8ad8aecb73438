"""A bzImage of almost nothing, with every field of its setup header to choose."""

import struct
from dataclasses import dataclass

CODE = b"\xfa\xf4\xeb\xfd"  # cli, hlt, and again


@dataclass
class BzImage:
    """Change a field, get the bytes; what ends before a field does not have it."""

    code: bytes = CODE
    setup_sectors: int = 1
    version: int = 0x020F
    header_end: int = 0x26C
    boot_flag: int = 0xAA55
    magic: bytes = b"HdrS"
    loadflags: int = 1
    code32_start: int = 0x100000
    initrd_addr_max: int = 0x7FFFFFFF
    cmdline_size: int = 2047
    pref_address: int = 0x400000
    init_size: int = 0x200000

    def build(self) -> bytes:
        setup = bytearray((self.setup_sectors or 4) * 512 + 512)
        for offset, kind, value in (
            (0x1F1, "B", self.setup_sectors),
            (0x1FE, "H", self.boot_flag),
            (0x200, "B", 0xEB),
            (0x201, "B", self.header_end - 0x202),
            (0x206, "H", self.version),
            (0x211, "B", self.loadflags),
            (0x214, "I", self.code32_start),
            (0x22C, "I", self.initrd_addr_max),
            (0x238, "I", self.cmdline_size),
            (0x258, "Q", self.pref_address),
            (0x260, "I", self.init_size),
        ):
            if offset < self.header_end:
                struct.pack_into("<" + kind, setup, offset, value)
        setup[0x202:0x206] = self.magic
        return bytes(setup) + self.code
