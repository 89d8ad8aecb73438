"""System control port A, the reset control register, and a PCI bus that is not there.

port 0x92         IBM PS/2 Hardware Interface Technical Reference, "System
                  Control Port A": A20 gate and a fast reset
port 0xcf8-0xcff  Intel 82371SB data sheet, "RC: Reset Control Register" at
                  0xcf9, for bytes only; wider accesses are PCI configuration
                  (PCI 2.1, §3.7.4.1), which no bridge answers
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.devices.fields import Mask, checked

PORT_A = 0x92
FAST_RESET = 0x01
A20_GATE = 0x02
PORT_A_BITS = 0xFE  # the reset bit always reads 0

PCI_CONFIGURATION = range(0xCF8, 0xD00)
RESET_CONTROL = 0xCF9
RESET_CPU = 0x04  # its rise resets
RESET_CONTROL_BITS = 0x06
WHOLE = (2, 4)
"""Sizes in which these ports take an access unsplit."""


@dataclass(frozen=True, slots=True)
class SystemControlState:
    """What the two registers hold."""

    port_a: Annotated[int, Mask(PORT_A_BITS)]
    reset_control: Annotated[int, Mask(RESET_CONTROL_BITS)]


class SystemControl:
    """Ports 0x92 and 0xcf8-0xcff; `a20` gets the gate's level, `reset` is the reset line."""

    def __init__(self, *, a20: Callable[[bool], None], reset: Callable[[], None]) -> None:
        self.name = "control"
        self.ports: tuple[range, ...] = (range(PORT_A, PORT_A + 1), PCI_CONFIGURATION)
        self._a20 = a20
        self._reset = reset
        self._port_a = A20_GATE
        self._reset_control = 0

    def read(self, port: int, size: int) -> int:
        """Return a register; all ones from the PCI bus."""
        if size == 1 and port == PORT_A:
            return self._port_a
        if size == 1 and port == RESET_CONTROL:
            return self._reset_control
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """Move the A20 gate, or reset the machine."""
        if size != 1:
            return
        if port == PORT_A:
            before, self._port_a = self._port_a, value & PORT_A_BITS
            if (before ^ value) & A20_GATE:
                self._a20(bool(value & A20_GATE))
            if value & FAST_RESET:
                self._reset()
        elif port == RESET_CONTROL:
            before, self._reset_control = self._reset_control, value & RESET_CONTROL_BITS
            if value & ~before & RESET_CPU:
                self._reset()

    def follow_a20(self, level: bool) -> None:
        """The A20 gate was moved from elsewhere (the keyboard controller): show it."""
        self._port_a = self._port_a & ~A20_GATE | (A20_GATE if level else 0)

    def state(self) -> SystemControlState:
        """Return both registers."""
        return SystemControlState(self._port_a, self._reset_control)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal SystemControlState."""
        new = checked(self.name, state, SystemControlState)
        self._port_a = new.port_a
        self._reset_control = new.reset_control
