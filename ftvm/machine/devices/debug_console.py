"""The debug console of Bochs and QEMU, "port E9": a byte written is a byte on a stream.

QEMU has the same as ``-debugcon``: one port, bytes only, and a read gives 0xe9,
by which a guest tells that it is there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ftvm.machine.devices.fields import checked

PORT = 0xE9
READ_BACK = 0xE9


@dataclass(frozen=True, slots=True)
class DebugConsoleState:
    """Nothing: the device remembers nothing."""


class DebugConsole:
    """Passes each byte written to port 0xe9 to `output`."""

    def __init__(self, *, output: Callable[[bytes], None]) -> None:
        self.name = "debugcon"
        self.ports: tuple[range, ...] = (range(PORT, PORT + 1),)
        self._output = output

    def read(self, port: int, size: int) -> int:
        """Return the number of the port."""
        return READ_BACK

    def write(self, port: int, size: int, value: int) -> None:
        """Put a byte out."""
        self._output(bytes((value & 0xFF,)))

    def state(self) -> DebugConsoleState:
        """Return the empty state."""
        return DebugConsoleState()

    def restore(self, state: object) -> None:
        """Check that `state` is a DebugConsoleState."""
        checked(self.name, state, DebugConsoleState)
