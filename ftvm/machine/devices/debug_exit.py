"""The port by which a guest says that it is done, and with what status.

QEMU has the same as ``-device isa-debug-exit,iobase=0xf4,iosize=1``; QEMU's
process then ends with ``value << 1 | 1``, ours with the value.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ftvm.machine.devices.fields import checked

PORT = 0xF4


@dataclass(frozen=True, slots=True)
class DebugExitState:
    """Nothing: the device remembers nothing."""


class DebugExit:
    """Passes each byte written to port 0xf4 to `exit`."""

    def __init__(self, *, exit: Callable[[int], None]) -> None:
        self.name = "exit"
        self.ports: tuple[range, ...] = (range(PORT, PORT + 1),)
        self._exit = exit

    def read(self, port: int, size: int) -> int:
        """Return all ones: nothing drives the bus."""
        return 0xFF

    def write(self, port: int, size: int, value: int) -> None:
        """Report `value` as the guest's exit status, 0 to 255."""
        self._exit(value & 0xFF)

    def state(self) -> DebugExitState:
        """Return the empty state."""
        return DebugExitState()

    def restore(self, state: object) -> None:
        """Check that `state` is a DebugExitState."""
        checked(self.name, state, DebugExitState)
