"""The registers of a VGA in text mode 3; its memory at 0xb8000 is plain memory.

Registers and their numbers are those of the IBM PS/2 Hardware Interface
Technical Reference, "Video Graphics Array"; what they hold at the start is what
a BIOS leaves behind after setting mode 3, 80 by 25 characters in colour.

    0x3c0-0x3c1  attribute controller: index and data by turns
    0x3c2, 0x3cc miscellaneous output   0x3ca feature control
    0x3c4-0x3c5  sequencer              0x3ce-0x3cf graphics controller
    0x3c6-0x3c9  palette of 256 colours, 3 x 6 bits each
    0x3d4-0x3d5  CRT controller         0x3da input status 1

Everything written is kept and can be read back; the colour addresses are the
only ones. Graphics modes, planes and write modes change nothing. Retrace comes
and goes from one look at it to the next, so that waiting for it ends at once.
"""

from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, Length, Range, checked

BASE = 0x3C0
ATTRIBUTE_WRITE, ATTRIBUTE_READ = 0x3C0, 0x3C1
MISC_WRITE, MISC_READ = 0x3C2, 0x3CC
SEQUENCER_INDEX, SEQUENCER_DATA = 0x3C4, 0x3C5
PALETTE_MASK, PALETTE_READ_INDEX, PALETTE_WRITE_INDEX, PALETTE_DATA = 0x3C6, 0x3C7, 0x3C8, 0x3C9
FEATURE_READ = 0x3CA
GRAPHICS_INDEX, GRAPHICS_DATA = 0x3CE, 0x3CF
CRTC_INDEX, CRTC_DATA = 0x3D4, 0x3D5
STATUS_1 = 0x3DA

ATTRIBUTE_INDEX_BITS = 0x3F  # bit 5: the screen is on
DISPLAY_OFF_AND_RETRACE = 0x09  # input status 1: no display, vertical retrace
SWITCH_SENSE = 0x10  # input status 0: a colour monitor
PALETTE_STATE_READ, PALETTE_STATE_WRITE = 3, 0

MODE_3_MISC = 0x67
MODE_3_SEQUENCER = bytes.fromhex("0300030002")
MODE_3_CRTC = bytes.fromhex("5f4f50825581bf1f004f0d0e00000000 9c8e8f281f96b9a3ff")
MODE_3_GRAPHICS = bytes.fromhex("0000000000100e00ff")
MODE_3_ATTRIBUTES = bytes.fromhex("0001020304051407 38393a3b3c3d3e3f 0c000f0800")
PALETTE_BYTES = 768
COMPONENT_MAX = 0x3F


def mode_3_palette() -> bytes:
    """Return the 64 colours of an EGA, rgbRGB bits: thirds of the brightness, and black."""
    colours = bytearray()
    for colour in range(64):
        for low, high in ((5, 2), (4, 1), (3, 0)):
            colours.append((colour >> high & 1) * 0x2A + (colour >> low & 1) * 0x15)
    return bytes(colours) + bytes(PALETTE_BYTES - len(colours))


@dataclass(frozen=True, slots=True)
class VgaState:
    """All registers, and which of two meanings the next access has."""

    misc: Byte
    attributes: Annotated[bytes, Length(21, 21)]
    attribute_index: Annotated[int, Range(0, ATTRIBUTE_INDEX_BITS)]
    attribute_is_data: bool
    sequencer: Annotated[bytes, Length(5, 5)]
    sequencer_index: Byte
    graphics: Annotated[bytes, Length(9, 9)]
    graphics_index: Byte
    crtc: Annotated[bytes, Length(25, 25)]
    crtc_index: Byte
    palette: Annotated[bytes, Length(PALETTE_BYTES, PALETTE_BYTES)]
    palette_at: Annotated[int, Range(0, PALETTE_BYTES - 1)]  # colour * 3 + component
    palette_mask: Byte
    palette_reads: bool
    retrace: bool


class Vga:
    """The registers at 0x3c0-0x3cf, 0x3d4-0x3d5 and 0x3da."""

    def __init__(self) -> None:
        self.name = "vga"
        self.ports: tuple[range, ...] = (
            range(BASE, BASE + 16),
            range(CRTC_INDEX, CRTC_DATA + 1),
            range(STATUS_1, STATUS_1 + 1),
        )
        self._misc = MODE_3_MISC
        self._attributes = bytearray(MODE_3_ATTRIBUTES)
        self._attribute_index = 0x20
        self._attribute_is_data = False
        # Index registers, by the port of the index; data is one port above.
        self._files = {
            SEQUENCER_INDEX: bytearray(MODE_3_SEQUENCER),
            GRAPHICS_INDEX: bytearray(MODE_3_GRAPHICS),
            CRTC_INDEX: bytearray(MODE_3_CRTC),
        }
        self._indexes = dict.fromkeys(self._files, 0)
        self._palette = bytearray(mode_3_palette())
        self._palette_at = 0
        self._palette_mask = 0xFF
        self._palette_reads = False
        self._retrace = False

    def read(self, port: int, size: int) -> int:
        """Return the byte register at `port`."""
        if port == STATUS_1:
            self._attribute_is_data = False
            self._retrace = not self._retrace
            return DISPLAY_OFF_AND_RETRACE if self._retrace else 0
        if port in self._files:
            return self._indexes[port]
        if (file := self._files.get(port - 1)) is not None:
            index = self._indexes[port - 1]
            return file[index] if index < len(file) else 0
        if port == PALETTE_DATA:
            value = self._palette[self._palette_at]
            self._next_component()
            return value
        return self._read_single(port)

    def _read_single(self, port: int) -> int:
        if port == ATTRIBUTE_WRITE:
            return self._attribute_index
        if port == ATTRIBUTE_READ:
            index = self._attribute_index & 0x1F
            return self._attributes[index] if index < len(self._attributes) else 0
        if port == MISC_WRITE:
            return SWITCH_SENSE
        if port == MISC_READ:
            return self._misc
        if port == PALETTE_MASK:
            return self._palette_mask
        if port == PALETTE_READ_INDEX:
            return PALETTE_STATE_READ if self._palette_reads else PALETTE_STATE_WRITE
        if port == PALETTE_WRITE_INDEX:
            return self._palette_at // 3
        return 0 if port == FEATURE_READ else 0xFF

    def write(self, port: int, size: int, value: int) -> None:
        """Write the byte register at `port`."""
        value &= 0xFF
        if port in self._files:
            self._indexes[port] = value
        elif (file := self._files.get(port - 1)) is not None:
            if (index := self._indexes[port - 1]) < len(file):
                file[index] = value
        elif port == ATTRIBUTE_WRITE:
            self._write_attribute(value)
        elif port == MISC_WRITE:
            self._misc = value
        elif port == PALETTE_MASK:
            self._palette_mask = value
        elif port in (PALETTE_READ_INDEX, PALETTE_WRITE_INDEX):
            self._palette_at = value * 3
            self._palette_reads = port == PALETTE_READ_INDEX
        elif port == PALETTE_DATA:
            self._palette[self._palette_at] = value & COMPONENT_MAX
            self._next_component()

    def _write_attribute(self, value: int) -> None:
        if not self._attribute_is_data:
            self._attribute_index = value & ATTRIBUTE_INDEX_BITS
        elif (index := self._attribute_index & 0x1F) < len(self._attributes):
            self._attributes[index] = value
        self._attribute_is_data = not self._attribute_is_data

    def _next_component(self) -> None:
        self._palette_at = (self._palette_at + 1) % PALETTE_BYTES

    def state(self) -> VgaState:
        """Return all registers."""
        return VgaState(
            misc=self._misc,
            attributes=bytes(self._attributes),
            attribute_index=self._attribute_index,
            attribute_is_data=self._attribute_is_data,
            sequencer=bytes(self._files[SEQUENCER_INDEX]),
            sequencer_index=self._indexes[SEQUENCER_INDEX],
            graphics=bytes(self._files[GRAPHICS_INDEX]),
            graphics_index=self._indexes[GRAPHICS_INDEX],
            crtc=bytes(self._files[CRTC_INDEX]),
            crtc_index=self._indexes[CRTC_INDEX],
            palette=bytes(self._palette),
            palette_at=self._palette_at,
            palette_mask=self._palette_mask,
            palette_reads=self._palette_reads,
            retrace=self._retrace,
        )

    def restore(self, state: object) -> None:
        """Take over `state`, a legal VgaState."""
        new = checked(self.name, state, VgaState)
        if any(component > COMPONENT_MAX for component in new.palette):
            raise StateError(f"{self.name}: palette has a component of more than 6 bits")
        self._misc = new.misc
        self._attributes[:] = new.attributes
        self._attribute_index = new.attribute_index
        self._attribute_is_data = new.attribute_is_data
        for port, file, index in (
            (SEQUENCER_INDEX, new.sequencer, new.sequencer_index),
            (GRAPHICS_INDEX, new.graphics, new.graphics_index),
            (CRTC_INDEX, new.crtc, new.crtc_index),
        ):
            self._files[port][:] = file
            self._indexes[port] = index
        self._palette[:] = new.palette
        self._palette_at = new.palette_at
        self._palette_mask = new.palette_mask
        self._palette_reads = new.palette_reads
        self._retrace = new.retrace
