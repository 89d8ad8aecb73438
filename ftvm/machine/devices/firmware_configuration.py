"""QEMU's firmware configuration device, as far as a guest asks it what the machine is.

QEMU's docs/specs/fw_cfg.rst: a key is chosen by a 16-bit write to port 0x510, and
its bytes are read one by one at port 0x511; behind the last there are zeros. The
two ports overlap, so a byte read of either takes the next byte, and a byte
written is data, which is ignored. Left out: the DMA interface (bit 1 of the
identifier is 0), and every file, so the directory is empty.
"""

from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.devices.fields import Range, checked

BASE = 0x510
WHOLE = (2,)

# Keys, fw_cfg.rst "Firmware Configuration Items" and QEMU's standard-headers qemu_fw_cfg.h;
# bit 14 (write) of a key does not choose another one.
SIGNATURE, IDENTIFIER, UUID, MEMORY_BYTES, NO_GRAPHICS, PROCESSORS = range(6)
PROCESSORS_MAX, FILE_DIRECTORY = 0x0F, 0x19
INTERRUPT_0_OVERRIDE = 0x8002
WRITE_BIT = 0x4000

TRADITIONAL_INTERFACE = 1
OFFSET_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class FirmwareConfigurationState:
    """The chosen key, and how many of its bytes were read."""

    key: Annotated[int, Range(0, 0xFFFF)]
    offset: Annotated[int, Range(0, OFFSET_MAX)]


class FirmwareConfiguration:
    """Ports 0x510-0x511, for a machine with one processor and `memory_bytes` of memory."""

    def __init__(self, memory_bytes: int) -> None:
        self.name = "fwcfg"
        self.ports: tuple[range, ...] = (range(BASE, BASE + 2),)
        one = (1).to_bytes(2, "little")
        self._items = {
            SIGNATURE: b"QEMU",
            IDENTIFIER: TRADITIONAL_INTERFACE.to_bytes(4, "little"),
            UUID: bytes(16),
            MEMORY_BYTES: memory_bytes.to_bytes(8, "little"),
            NO_GRAPHICS: one,
            PROCESSORS: one,
            PROCESSORS_MAX: one,
            FILE_DIRECTORY: bytes(4),
            INTERRUPT_0_OVERRIDE: bytes((1,)),
        }
        self._key = 0
        self._offset = 0

    def read(self, port: int, size: int) -> int:
        """Return the next byte of the chosen item; a word is not decoded, as in QEMU."""
        if size != 1:
            return (1 << 8 * size) - 1
        item = self._items.get(self._key & ~WRITE_BIT, b"")
        at = self._offset
        self._offset = min(at + 1, OFFSET_MAX)
        return item[at] if at < len(item) else 0

    def write(self, port: int, size: int, value: int) -> None:
        """Choose a key by a word at 0x510; bytes are data, which nothing takes."""
        if size == 2 and port == BASE:
            self._key, self._offset = value, 0

    def state(self) -> FirmwareConfigurationState:
        """Return what is chosen."""
        return FirmwareConfigurationState(self._key, self._offset)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal FirmwareConfigurationState."""
        new = checked(self.name, state, FirmwareConfigurationState)
        self._key, self._offset = new.key, new.offset
