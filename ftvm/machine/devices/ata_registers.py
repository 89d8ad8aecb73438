"""An ATA drive's registers, and the state of a drive (ATA/ATAPI-6, T13/1410D)."""

from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.devices.ata_identity import MULTIPLE_MAX
from ftvm.machine.devices.fields import Byte, Length, Mask, Range
from ftvm.machine.devices.port_buffer import BLOCK_BYTES_MAX
from ftvm.machine.disk import OVERLAY_HASH_BYTES, SECTORS_MAX

# Status, §7.15.6; DSC (seek complete) is of ATA-3 §6.2.7.
BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
READY = DRDY | DSC

# Error, §7.8.6 and the commands' tables of error outputs.
UNC, WP, IDNF, ABRT = 0x40, 0x40, 0x10, 0x04  # UNC when reading, WP when writing
DIAGNOSTIC_PASSED = 0x01  # table 26

# Command block registers behind Data, §7: each but Device is two bytes deep.
FEATURES, COUNT, LBA_LOW, LBA_MID, LBA_HIGH, DEVICE = 1, 2, 3, 4, 5, 6
DEEP = 5
LBA_BIT, NUMBER_BIT, HEAD_BITS = 0x40, 0x10, 0x0F
OBSOLETE_BITS = 0xA0  # of Device; 1 in ATA-3 §6.2.8, which old drivers expect

COUNT_28, COUNT_48 = 256, 65536  # what a count of 0 says


@dataclass(frozen=True, slots=True)
class DriveState:
    """Registers, settings, and the data command that is under way.

    ``registers`` are Features, Sector Count, LBA Low, Mid and High, and then the
    previous contents of the five. ``data`` is what the host has still to read of
    the present block, or has written of it, which has ``block`` sectors; ``next``
    and ``left`` are the first sector of the block and the sectors from there on.
    """

    registers: Annotated[bytes, Length(2 * DEEP, 2 * DEEP)]
    device: Byte
    error: Byte
    status: Annotated[int, Mask(BSY | READY | DRQ | ERR)]
    interrupt: bool
    heads: Annotated[int, Range(1, 16)]
    track: Annotated[int, Range(1, 255)]
    multiple: Annotated[int, Range(0, MULTIPLE_MAX)]
    write_cache: bool
    look_ahead: bool
    reverts: bool
    reads: bool
    identifies: bool
    data: Annotated[bytes, Length(0, BLOCK_BYTES_MAX)]
    next: Annotated[int, Range(0, SECTORS_MAX)]
    left: Annotated[int, Range(0, COUNT_48)]
    block: Annotated[int, Range(0, MULTIPLE_MAX)]
    per_block: Annotated[int, Range(1, MULTIPLE_MAX)]
    is_long: bool
    overlay: Annotated[bytes, Length(OVERLAY_HASH_BYTES, OVERLAY_HASH_BYTES)]
