"""What an image wants to have in memory, whatever its file format, and whether it can.

A segment takes ``file_bytes`` bytes of the file and, behind them, zeroes up to
``memory_bytes``. Nothing is copied before `check_placement` has passed, so an
image cannot make the loader hold more than the guest's memory.
"""

from dataclasses import dataclass
from itertools import pairwise

from ftvm.errors import ImageError
from ftvm.machine.boot.memory_map import VIDEO_WINDOW


@dataclass(frozen=True)
class Segment:
    """A run of bytes in the file and its place in guest-physical memory.

    ``label`` names it in error messages ("segment 2").
    """

    label: str
    file_offset: int
    file_bytes: int
    physical: int
    memory_bytes: int

    @property
    def end(self) -> int:
        """The first guest-physical address behind the segment."""
        return self.physical + self.memory_bytes

    def __str__(self) -> str:
        """Name and place, for messages."""
        return f"{self.label} at {self.physical:#x}..{self.end:#x}"


@dataclass(frozen=True)
class Program:
    """The segments of an image and the physical address of its first instruction."""

    entry: int
    segments: tuple[Segment, ...]


def check_placement(program: Program, memory_bytes: int) -> None:
    """Raise ImageError unless each segment has memory of its own and the entry is in one."""
    in_order = sorted(program.segments, key=lambda segment: segment.physical)
    if not in_order:
        raise ImageError("nothing in it is to be loaded; link it with a loadable segment")
    for segment in in_order:
        if segment.end > memory_bytes:
            raise ImageError(
                f"{segment} lies beyond the memory of {memory_bytes:#x} bytes; "
                "give the machine more memory or link the image lower"
            )
        if segment.physical < VIDEO_WINDOW.stop and segment.end > VIDEO_WINDOW.start:
            raise ImageError(
                f"{segment} lies in the video window "
                f"{VIDEO_WINDOW.start:#x}..{VIDEO_WINDOW.stop:#x}, which is not memory; "
                "link the image at 1 MiB (0x100000)"
            )
    for lower, upper in pairwise(in_order):
        if upper.physical < lower.end:
            raise ImageError(f"{upper} overlaps {lower}; link them to different addresses")
    if not any(0 <= program.entry - s.physical < s.file_bytes for s in in_order):
        raise ImageError(
            f"entry point {program.entry:#x} is not in the bytes of any segment; "
            "set the entry to a symbol in the loaded code"
        )
