"""The text screen: what a VGA in text mode shows of memory, as frames.

A frame is plain bytes, because it leaves the machine like any other output:

    0   2   columns, little-endian; 1 to 256
    2   2   rows; 1 to 128
    4   2   the cursor's place in rows of columns, 0xffff if none is shown
    6   1   bit 0: bit 7 of an attribute is blinking, and not a bright background
            bit 1: the VGA shows graphics; the cells are what is in text memory
    7   1   0
    8       a character (code page 437) and an attribute for each cell

Memory and registers are those of the IBM PS/2 Hardware Interface Technical
Reference, "Video Graphics Array": 32 KiB at 0xb8000, which wrap round.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from ftvm.errors import ProtocolError
from ftvm.machine.devices.fields import checked
from ftvm.machine.devices.vga import VgaState

TEXT_MEMORY, TEXT_BYTES = 0xB8000, 0x8000
COLUMNS_MAX, ROWS_MAX = 256, 128
HEADER = struct.Struct("<HHHBB")
NO_CURSOR = 0xFFFF
BLINKS, GRAPHICS = 0x01, 0x02

WATCH, LEAVE = b"\x01", b"\x00"
"""What who watches sends on the stream: frames are wanted, or no more."""

# CRT controller registers
COLUMNS_LESS_1, OVERFLOW, CHARACTER_HEIGHT, CURSOR_START, CURSOR_END = 0x01, 0x07, 0x09, 0x0A, 0x0B
START_HIGH, START_LOW, CURSOR_HIGH, CURSOR_LOW, LAST_LINE, PITCH = (
    0x0C,
    0x0D,
    0x0E,
    0x0F,
    0x12,
    0x13,
)
CURSOR_OFF = 0x20
ATTRIBUTE_MODE, ATTRIBUTE_BLINKS = 0x10, 0x08
GRAPHICS_MISC, GRAPHICS_MODE = 0x06, 0x01


def frame_of(vga: VgaState, memory: bytes) -> bytes:
    """Return the frame that a VGA makes of its 32 KiB of text memory."""
    crtc = vga.crtc
    columns = min(crtc[COLUMNS_LESS_1] + 1, COLUMNS_MAX)
    overflow = crtc[OVERFLOW]
    lines = (crtc[LAST_LINE] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1
    rows = min(max(lines // ((crtc[CHARACTER_HEIGHT] & 0x1F) + 1), 1), ROWS_MAX)
    start = crtc[START_HIGH] << 8 | crtc[START_LOW]
    pitch = 2 * crtc[PITCH] or columns
    cells = bytearray()
    for row in range(rows):
        at = 2 * (start + row * pitch) % TEXT_BYTES
        line = memory[at : at + 2 * columns]
        cells += line + memory[: 2 * columns - len(line)]
    flags = BLINKS if vga.attributes[ATTRIBUTE_MODE] & ATTRIBUTE_BLINKS else 0
    flags |= GRAPHICS if vga.graphics[GRAPHICS_MISC] & GRAPHICS_MODE else 0
    cursor = _cursor(crtc, start, pitch, columns, rows)
    return HEADER.pack(columns, rows, cursor, flags, 0) + bytes(cells)


def _cursor(crtc: bytes, start: int, pitch: int, columns: int, rows: int) -> int:
    first, last = crtc[CURSOR_START], crtc[CURSOR_END] & 0x1F
    if first & CURSOR_OFF or first & 0x1F > last:
        return NO_CURSOR
    row, column = divmod((crtc[CURSOR_HIGH] << 8 | crtc[CURSOR_LOW]) - start, pitch)
    return row * columns + column if 0 <= row < rows and column < columns else NO_CURSOR


@dataclass(frozen=True)
class Frame:
    """A frame, taken apart; ``cells`` are characters and attributes by turns."""

    columns: int
    rows: int
    cursor: int | None
    blinks: bool
    is_graphics: bool
    cells: bytes

    def row(self, number: int) -> bytes:
        """Return the cells of a row."""
        return self.cells[2 * self.columns * number : 2 * self.columns * (number + 1)]


class FrameDecoder:
    """Makes frames of a stream's bytes, however they are cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Frame | None:
        """Take bytes; return the newest frame that is whole with them, None if none is.

        ProtocolError if that is no stream of frames.
        """
        self._data += data
        frame = None
        while len(self._data) >= HEADER.size:
            columns, rows, cursor, flags, _ = HEADER.unpack_from(self._data)
            if not (0 < columns <= COLUMNS_MAX and 0 < rows <= ROWS_MAX):
                raise ProtocolError(f"a screen of {columns} by {rows} characters")
            end = HEADER.size + 2 * columns * rows
            if len(self._data) < end:
                break
            frame = Frame(
                columns,
                rows,
                None if cursor == NO_CURSOR else cursor,
                bool(flags & BLINKS),
                bool(flags & GRAPHICS),
                bytes(self._data[HEADER.size : end]),
            )
            del self._data[:end]
        return frame


@dataclass(frozen=True, slots=True)
class TextScreenState:
    """Whether somebody watches."""

    watched: bool


class TextScreen:
    """Shows frames on a stream while somebody watches; a device without ports.

    Who watches is state of the machine, so that its replicas agree on it.
    """

    def __init__(self, *, frame: Callable[[], bytes], output: Callable[[bytes], None]) -> None:
        self.name = "screen"
        self.ports: tuple[range, ...] = ()
        self.frame = frame
        """Returns what is to be seen now."""
        self._output = output
        self.watched = False

    def receive(self, data: bytes) -> None:
        """Take what who watches sends, or show a frame if that is nothing."""
        if data:
            self.watched = data.endswith(WATCH)
        self.show()

    def show(self) -> None:
        """Show what is to be seen now, if anybody watches."""
        if self.watched:
            self._output(self.frame())

    def read(self, port: int, size: int) -> int:
        """Return all ones: there is no port."""
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """Nothing: there is no port."""

    def state(self) -> TextScreenState:
        """Return whether somebody watches."""
        return TextScreenState(self.watched)

    def restore(self, state: object) -> None:
        """Take over `state`, a TextScreenState."""
        self.watched = checked(self.name, state, TextScreenState).watched
