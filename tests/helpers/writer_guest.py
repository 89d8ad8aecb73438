"""A guest that writes to all of its memory, all the time, until a key is typed."""

import struct

LOAD_ADDRESS = 0x10_0000
FIRST_PAGE = 0x20_0000
DIGITS = bytes(range(0x30, 0x70))
"""What it puts out behind its passes, over and over: a lost or repeated one shows."""


def writer_image(memory_bytes: int) -> bytes:
    """Return an image that adds to a word of each page, in passes, and leaves with status 0."""
    start = bytes.fromhex("31f6")  # xor esi, esi
    page_loop = struct.pack(
        "<BI 2B 2BI 2BI 2b",
        *(0xBF, FIRST_PAGE),  # pass: mov edi, FIRST_PAGE
        *(0x01, 0x37),  # page: add [edi], esi
        *(0x81, 0xC7, 4096),  # add edi, 4096
        *(0x81, 0xFF, memory_bytes),  # cmp edi, memory_bytes
        *(0x72, -16),  # jb page
    )
    put = bytes.fromhex(
        "89f0 243f 0430"  # mov eax, esi; and al, 0x3f; add al, 0x30
        "66baf803 ee"  # mov dx, 0x3f8; out dx, al
        "46"  # inc esi
        "66bafd03 ec a801"  # mov dx, 0x3fd; in al, dx; test al, 1
    )
    back = struct.pack("<2b", 0x74, -(len(page_loop) + len(put) + 2))  # jz pass
    leave = bytes.fromhex("30c0 e6f4 f4")  # xor al, al; out 0xf4, al; hlt
    magic, flags = 0x1BADB002, 0
    header = struct.pack("<3I", magic, flags, -(magic + flags) & 0xFFFFFFFF)
    content = header + start + page_loop + put + back + leave
    at = 52 + 32
    elf = struct.pack(
        "<16s2H5I6H", b"\x7fELF\x01\x01\x01", 2, 3, 1, LOAD_ADDRESS + len(header), 52, 0, 0,
        52, 32, 1, 0, 0, 0,
    )  # fmt: skip
    size = len(content)
    segment = struct.pack("<8I", 1, at, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 7, 4)
    return elf + segment + content
