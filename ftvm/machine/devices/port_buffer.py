"""A block of data that goes through one port, a few bytes at a time.

`ftvm.machine.cpu_port_buffer` does the same in the core, without the device:
all but the last access of a block, which is for the device.
"""

from typing import Protocol

BLOCK_BYTES_MAX = 8192


class PortBuffer(Protocol):
    """Filled by a device and read by the guest, or the other way round."""

    def give(self, data: bytes) -> None:
        """Let the guest read `data`."""
        ...

    def want(self, length: int, data: bytes = b"") -> None:
        """Let the guest write `length` bytes, of which `data` is here already."""
        ...

    def close(self) -> None:
        """Let accesses go to the device from here on."""
        ...

    @property
    def left(self) -> int:
        """Bytes that the guest has still to read or write."""
        ...

    @property
    def content(self) -> bytes:
        """What the guest has still to read, or has written."""
        ...

    def read(self, size: int) -> int:
        """Give the next `size` bytes, the lowest first; all ones behind the end."""
        ...

    def write(self, size: int, value: int) -> None:
        """Take the next `size` bytes; dropped behind the end."""
        ...


class PlainPortBuffer:
    """A `PortBuffer` whose every access the device makes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._length = 0
        self._is_read = False

    def give(self, data: bytes) -> None:
        """See `PortBuffer`."""
        self._data, self._length, self._is_read = bytearray(data), len(data), True

    def want(self, length: int, data: bytes = b"") -> None:
        """See `PortBuffer`."""
        self._data, self._length, self._is_read = bytearray(data), length, False

    def close(self) -> None:
        """See `PortBuffer`."""
        self.want(0)

    @property
    def left(self) -> int:
        """See `PortBuffer`."""
        return len(self._data) if self._is_read else self._length - len(self._data)

    @property
    def content(self) -> bytes:
        """See `PortBuffer`."""
        return bytes(self._data)

    def read(self, size: int) -> int:
        """See `PortBuffer`."""
        data = bytes(self._data[:size]) if self._is_read else b""
        if self._is_read:
            del self._data[:size]
        return int.from_bytes(data.ljust(size, b"\xff"), "little")

    def write(self, size: int, value: int) -> None:
        """See `PortBuffer`."""
        if not self._is_read:
            self._data += value.to_bytes(size, "little")[: self.left]
