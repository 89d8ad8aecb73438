"""A guest that writes to all of its memory, all the time, and says so."""

import struct

LOAD_ADDRESS = 0x10_0000
FIRST_PAGE = 0x20_0000


def writer_image(memory_bytes: int, passes: int) -> bytes:
    """Return an image that adds to a word of each page `passes` times.

    It puts out a dot behind each pass, and leaves with status 0.
    """
    loop = struct.pack(
        "<BI BI 2B 2BI 2BI 2b",
        *(0xBE, passes),  # mov esi, passes
        *(0xBF, FIRST_PAGE),  # pass: mov edi, FIRST_PAGE
        *(0x01, 0x37),  # page: add [edi], esi
        *(0x81, 0xC7, 4096),  # add edi, 4096
        *(0x81, 0xFF, memory_bytes),  # cmp edi, memory_bytes
        *(0x72, -16),  # jb page
    )
    dot = bytes.fromhex("66baf803 b02e ee 4e 75")  # mov dx, 0x3f8; mov al, '.'; out; dec esi; jnz
    back = struct.pack("<b", 5 - (len(loop) + len(dot) + 1))
    leave = bytes.fromhex("30c0 e6f4 f4")  # xor al, al; out 0xf4, al; hlt
    magic, flags = 0x1BADB002, 0
    header = struct.pack("<3I", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    content = header + loop + dot + back + leave
    at = 52 + 32
    elf = struct.pack(
        "<16s2H5I6H", b"\x7fELF\x01\x01\x01", 2, 3, 1, LOAD_ADDRESS + len(header), 52, 0, 0,
        52, 32, 1, 0, 0, 0,
    )  # fmt: skip
    size = len(content)
    segment = struct.pack("<8I", 1, at, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 7, 4)
    return elf + segment + content
