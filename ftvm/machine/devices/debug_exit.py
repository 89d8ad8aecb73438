"""The port by which a guest says that it is done, and with what status.

QEMU has the same as ``-device isa-debug-exit,iobase=0xf4,iosize=4``: a write of any
size to any of the four ports ends the machine, a read gives 0. QEMU's process
then ends with ``value << 1 | 1``, ours with the value, or with QEMU's number if
that is wanted; of either an exit status has the low eight bits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ftvm.machine.devices.fields import checked

PORT = 0xF4
PORT_COUNT = 4
WHOLE = (2, 4)


@dataclass(frozen=True, slots=True)
class DebugExitState:
    """Nothing: the device remembers nothing."""


class DebugExit:
    """Passes what is written to ports 0xf4-0xf7 to `exit`."""

    def __init__(self, *, exit: Callable[[int], None]) -> None:
        self.name = "exit"
        self.ports: tuple[range, ...] = (range(PORT, PORT + PORT_COUNT),)
        self._exit = exit

    def read(self, port: int, size: int) -> int:
        """Return 0."""
        return 0

    def write(self, port: int, size: int, value: int) -> None:
        """Report the low byte of `value` as the guest's exit status."""
        self._exit(value & 0xFF)

    def state(self) -> DebugExitState:
        """Return the empty state."""
        return DebugExitState()

    def restore(self, state: object) -> None:
        """Check that `state` is a DebugExitState."""
        checked(self.name, state, DebugExitState)
