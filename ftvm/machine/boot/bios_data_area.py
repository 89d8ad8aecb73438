"""What a BIOS leaves at 0x400 for others to find: ports, memory size, the screen's mode.

Places and meanings are those of the IBM PS/2 and PC BIOS Interface Technical Reference
("ROM BIOS Data Areas"). Nobody here writes them any more: what a BIOS counts and queues
later, as timer ticks and keys, stands as after the start.

    0x400  word[4]  I/O addresses of COM1 to COM4       0x44a  word  columns
    0x40e  word     segment of the extended data area   0x44c  word  bytes of a page
    0x410  word     equipment                           0x460  word  cursor's lines
    0x413  word     KiB of memory below that area       0x463  word  the CRT controller's port
    0x41a  word[2]  head and tail of the queue of keys  0x480  word[2]  where that queue lies
    0x449  byte     video mode                          0x484  byte  rows less one
                                                        0x485  word  lines of a character
"""

import struct

from ftvm.machine.boot.memory_map import LOWER_MEMORY_END
from ftvm.units import GuestPhysical

_AT = 0x400
_BYTES = 0x100
_SERIAL_PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
_EQUIPMENT = 1 << 1 | 0b10 << 4 | len(_SERIAL_PORTS) << 9  # coprocessor, 80x25 in colour
_KEY_QUEUE, _KEY_QUEUE_END = 0x1E, 0x3E
_ENHANCED_KEYBOARD = 1 << 4

_WORDS = {
    **{2 * number: port for number, port in enumerate(_SERIAL_PORTS)},
    0x0E: LOWER_MEMORY_END >> 4,
    0x10: _EQUIPMENT,
    0x13: LOWER_MEMORY_END >> 10,
    0x1A: _KEY_QUEUE,
    0x1C: _KEY_QUEUE,
    0x4A: 80,
    0x4C: 4096,
    0x60: 0x0607,
    0x63: 0x3D4,
    0x80: _KEY_QUEUE,
    0x82: _KEY_QUEUE_END,
    0x85: 16,
}
_SINGLE_BYTES = {0x49: 3, 0x84: 24, 0x96: _ENHANCED_KEYBOARD}


def bios_data() -> tuple[tuple[GuestPhysical, bytes], ...]:
    """Return the data area, and the first byte of the extended one: its size in KiB."""
    area = bytearray(_BYTES)
    for at, value in _WORDS.items():
        struct.pack_into("<H", area, at, value)
    for at, value in _SINGLE_BYTES.items():
        area[at] = value
    return (GuestPhysical(_AT), bytes(area)), (GuestPhysical(LOWER_MEMORY_END), b"\x01")
