"""A port's block of data that the core moves, all but the last access of it."""

from ftvm.machine.cpu import Cpu, ffi, lib


class CpuPortBuffer:
    """A `PortBuffer` for one port; a processor has room for one."""

    def __init__(self, cpu: Cpu, port: int) -> None:
        self._cpu = cpu  # whose core has the buffer
        self._buffer = cpu.port_buffer
        self._bytes = ffi.buffer(self._buffer.bytes)
        self._buffer.port = port

    def give(self, data: bytes) -> None:
        """See `PortBuffer`."""
        self._bytes[: len(data)] = data
        self._buffer.position, self._buffer.length = 0, len(data)
        self._buffer.use = lib.CORE_PORT_READ

    def want(self, length: int, data: bytes = b"") -> None:
        """See `PortBuffer`."""
        self._bytes[: len(data)] = data
        self._buffer.position, self._buffer.length = len(data), length
        self._buffer.use = lib.CORE_PORT_WRITE

    def close(self) -> None:
        """See `PortBuffer`."""
        self._buffer.position = self._buffer.length = 0
        self._buffer.use = lib.CORE_PORT_CLOSED

    @property
    def left(self) -> int:
        """See `PortBuffer`."""
        return int(self._buffer.length - self._buffer.position)

    @property
    def content(self) -> bytes:
        """See `PortBuffer`."""
        position = self._buffer.position
        if self._buffer.use == lib.CORE_PORT_READ:
            return self._bytes[position : self._buffer.length]  # type: ignore[no-any-return]
        return self._bytes[:position]  # type: ignore[no-any-return]

    def read(self, size: int) -> int:
        """See `PortBuffer`."""
        data = b""
        if self._buffer.use == lib.CORE_PORT_READ:
            position = self._buffer.position
            data = self._bytes[position : min(position + size, self._buffer.length)]
            self._buffer.position = position + len(data)
        return int.from_bytes(data.ljust(size, b"\xff"), "little")

    def write(self, size: int, value: int) -> None:
        """See `PortBuffer`."""
        if self._buffer.use == lib.CORE_PORT_WRITE:
            data = value.to_bytes(size, "little")[: self.left]
            position = self._buffer.position
            self._bytes[position : position + len(data)] = data
            self._buffer.position = position + len(data)
