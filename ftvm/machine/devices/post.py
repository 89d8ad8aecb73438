"""POST code port 0x80 and the DMA page registers beside it.

IBM PC AT Technical Reference, system board I/O map: 0x80-0x8f are the DMA page
registers, of which 0x80 drives no channel and shows the power-on self-test's
progress. Nothing here does DMA, so all of them are scratch; kernels write 0x80
for a short delay.
"""

from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.devices.fields import Length, checked

BASE = 0x80
COUNT = 16


@dataclass(frozen=True, slots=True)
class PostState:
    """The registers' contents."""

    registers: Annotated[bytes, Length(COUNT, COUNT)]


class PostPort:
    """Sixteen bytes that keep what was last written: in `registers`, or of its own."""

    def __init__(self, registers: bytearray | memoryview | None = None) -> None:
        self.name = "post"
        self.ports: tuple[range, ...] = (range(BASE, BASE + COUNT),)
        self._registers = bytearray(COUNT) if registers is None else registers

    @property
    def code(self) -> int:
        """The POST code last written to port 0x80."""
        return self._registers[0]

    def read(self, port: int, size: int) -> int:
        """Return what was last written to `port`."""
        return self._registers[port - BASE]

    def write(self, port: int, size: int, value: int) -> None:
        """Keep `value`."""
        self._registers[port - BASE] = value & 0xFF

    def state(self) -> PostState:
        """Return the registers."""
        return PostState(bytes(self._registers))

    def restore(self, state: object) -> None:
        """Take over `state`, a legal PostState."""
        self._registers[:] = checked(self.name, state, PostState).registers
