"""What a drive says of itself: IDENTIFY DEVICE, ATA/ATAPI-6 §8.15 and its table 27.

256 words of 16 bits. Words that are not named are 0: not supported, or reserved.
"""

import hashlib
import struct
from dataclasses import dataclass

from ftvm import __version__

WORDS = 256
MODEL = "FTVM DISK"
ADDRESSES_28_MAX = 0x0FFF_FFFF
"""Words 60 and 61 end there; what is behind has 48-bit addresses only."""

MULTIPLE_MAX = 16
"""Sectors in a block of READ and WRITE MULTIPLE."""

# Word 82 and 85, 83 and 86: command sets, as supported and as enabled.
SET_POWER, SET_WRITE_CACHE, SET_LOOK_AHEAD, SET_NOP = 1 << 3, 1 << 5, 1 << 6, 1 << 14
SET_48_BIT, SET_FLUSH, SET_FLUSH_EXT, SET_VALID = 1 << 10, 1 << 12, 1 << 13, 1 << 14


@dataclass(frozen=True, slots=True)
class Geometry:
    """Cylinders, heads and sectors per track: how addresses were before LBA."""

    cylinders: int
    heads: int
    track: int

    @property
    def sectors(self) -> int:
        """Sectors that have such an address."""
        return self.cylinders * self.heads * self.track


def default_geometry(sectors: int) -> Geometry:
    """Return the default translation of a drive (ATA/ATAPI-5 annex B: at most 16383, 16, 63)."""
    track = min(sectors, 63)
    heads = min(sectors // track, 16)
    return Geometry(min(sectors // (heads * track), 16383), heads, track)


def identify(
    sectors: int,
    content: bytes,
    number: int,
    current: Geometry,
    multiple: int,
    write_cache: bool,
    look_ahead: bool,
) -> bytes:
    """Return a drive's 512 bytes; `number` is 0 or 1, the serial number is made of `content`."""
    words = [0] * WORDS
    default = default_geometry(sectors)
    words[0] = 1 << 6  # fixed: not removable, not ATAPI
    words[1], words[3], words[6] = default.cylinders, default.heads, default.track
    serial = hashlib.blake2b(content + bytes([number]), digest_size=8).hexdigest()
    _text(words, 10, 20, serial.upper())
    _text(words, 23, 8, __version__)
    _text(words, 27, 40, MODEL)
    words[47] = 0x8000 | MULTIPLE_MAX
    words[49] = 1 << 9 | 1 << 11  # LBA, IORDY
    words[50] = 1 << 14
    words[51] = 2 << 8  # PIO mode 2, by which very old drivers go
    words[53] = 0b011  # words 54-58 and 64-70 are valid
    words[54], words[55], words[56] = current.cylinders, current.heads, current.track
    words[57], words[58] = _halves(current.sectors)
    words[59] = 1 << 8 | multiple if multiple else 0
    words[60], words[61] = _halves(min(sectors, ADDRESSES_28_MAX))
    words[64] = 0b11  # PIO modes 3 and 4
    words[67] = words[68] = 120  # ns a cycle, that is mode 4
    words[80] = 0b1111110  # ATA-1 to ATA/ATAPI-6
    words[82] = SET_NOP | SET_LOOK_AHEAD | SET_WRITE_CACHE | SET_POWER
    words[83] = words[86] = SET_FLUSH_EXT | SET_FLUSH | SET_48_BIT
    words[83] |= SET_VALID
    words[84] = words[87] = SET_VALID
    words[85] = SET_NOP | SET_POWER
    words[85] |= SET_LOOK_AHEAD * look_ahead | SET_WRITE_CACHE * write_cache
    # How the drive came to know its number, and that it passed its diagnostics.
    words[93] = 1 << 14 | (0b1011 << 8 if number else 0b1011)
    words[100:104] = struct.unpack("<4H", sectors.to_bytes(8, "little"))
    data = struct.pack("<255H", *words[:255]) + b"\xa5"
    return data + bytes([-sum(data) & 0xFF])


def _halves(number: int) -> tuple[int, int]:
    return number & 0xFFFF, number >> 16


def _text(words: list[int], first: int, length: int, text: str) -> None:
    """Put a string where it belongs: its first letter is in a word's upper byte (§8.15.8)."""
    padded = text.encode("ascii")[:length].ljust(length)
    words[first : first + length // 2] = struct.unpack(f">{length // 2}H", padded)
