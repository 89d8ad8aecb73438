"""What a machine must be given before its first instruction, as plain data.

A boot protocol makes a plan; the machine writes, zeroes and loads registers.
Registers that are not named start as zero; CR4 is one of them, whatever the
CPU engine starts with.
"""

import struct
from dataclasses import dataclass

from ftvm.errors import UsageError
from ftvm.units import GuestPhysical

# PE, and ET, which is hard-wired to 1 since the P6 (Intel SDM vol. 3A, section 2.5).
CR0_AT_ENTRY = 0x11
# Bit 1 is always set; interrupts are off (Intel SDM vol. 1, figure 3-8).
EFLAGS_AT_ENTRY = 0x2


@dataclass(frozen=True)
class SegmentRegister:
    """A segment register with its hidden part.

    ``limit`` is the last valid offset in bytes. ``descriptor_high`` is the
    upper doubleword of the descriptor, whose bits 8..23 are the attributes
    (Intel SDM vol. 3A, figure 3-8).
    """

    selector: int
    base: int
    limit: int
    descriptor_high: int


# Flat 4 GiB, 32-bit, ring 0, present, accessed (Intel SDM vol. 3A, figure 3-8,
# table 3-1). Accessed from the start, so that loading them writes no memory.
FLAT_LIMIT = 0xFFFFFFFF
FLAT_CODE = 0x00CF9B00
FLAT_DATA = 0x00CF9300
_DESCRIPTOR_LOW_FLAT = 0x0000FFFF


def flat_table(code_selector: int) -> bytes:
    """Return a GDT with flat code at `code_selector` and flat data right behind it."""
    return bytes(code_selector) + struct.pack(
        "<4I", _DESCRIPTOR_LOW_FLAT, FLAT_CODE, _DESCRIPTOR_LOW_FLAT, FLAT_DATA
    )


def flat_segments(code_selector: int) -> tuple[SegmentRegister, SegmentRegister]:
    """Return the code and data segments of `flat_table`."""
    return (
        SegmentRegister(code_selector, 0, FLAT_LIMIT, FLAT_CODE),
        SegmentRegister(code_selector + 8, 0, FLAT_LIMIT, FLAT_DATA),
    )


@dataclass(frozen=True)
class StartRegisters:
    """The CPU at the first instruction; ``data`` is for DS, ES, FS, GS and SS alike.

    The descriptors of ``code`` and ``data`` stand in the table at ``gdt_base``,
    so loading the selectors gives the same as the hidden parts named here.
    """

    eip: int
    eax: int
    ebx: int
    esi: int
    eflags: int
    cr0: int
    code: SegmentRegister
    data: SegmentRegister
    gdt_base: GuestPhysical
    gdt_limit: int


@dataclass(frozen=True)
class Module:
    """A file that a kernel is given beside itself.

    ``string`` is what the kernel is told of it; ``name`` is for messages.
    """

    name: str
    string: str
    data: bytes


@dataclass(frozen=True)
class BootPlan:
    """Bytes to write, ranges (address, length in bytes) to zero, and the CPU's start.

    No two of the writes and ranges overlap, and all lie in the machine's memory.
    """

    segments: tuple[tuple[GuestPhysical, bytes], ...]
    zeroed: tuple[tuple[GuestPhysical, int], ...]
    registers: StartRegisters

    @property
    def entry(self) -> GuestPhysical:
        """Where the first instruction is; segments are flat, so EIP is physical."""
        return GuestPhysical(self.registers.eip)


def encode_command_line(text: str) -> bytes:
    """Return a kernel's command line as bytes; UsageError if it cannot be one."""
    try:
        # Undecodable bytes of a file name or an argument go through unchanged.
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError("the kernel's command line is not Unicode text; retype it") from None
    if b"\0" in encoded:
        raise UsageError("the kernel's command line has a NUL in it; leave it out")
    return encoded
