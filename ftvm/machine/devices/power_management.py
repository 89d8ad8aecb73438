"""The fixed hardware of ACPI: what firmware_tables.py tells of (ACPI specification 1.0b).

    0x600  PM1 status, 16 bits     §4.7.3.1.1   bits are cleared by writing 1
    0x602  PM1 enable, 16 bits     §4.7.3.1.2
    0x604  PM1 control, 16 bits    §4.7.3.2     SCI_EN; SLP_TYP and SLP_EN switch off
    0x608  PM timer, 32 bits       §4.7.3.3     3.579545 MHz

No button is ever pressed and nothing wakes, so the system control interrupt
(IRQ 9) never comes; the timer's carry, which could ask for it, is not reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.machine.cpu import lib
from ftvm.machine.devices.fields import Mask, checked
from ftvm.units import Nanoseconds

BASE = 0x600
ENABLE, CONTROL, TIMER = BASE + 2, BASE + 4, BASE + 8
WHOLE = (2, 4)
SCI_LINE = 9

ENABLE_BITS = 0x0721  # timer, global, buttons, clock
SCI_ENABLED = 0x0001
CONTROL_BITS = 0x1C02  # SLP_TYP and BM_RLD; SCI_EN is always on
SLEEP_ENABLE = 0x2000
SLEEP_TYPE_SHIFT = 10
SLEEP_TYPE_OFF = 5


@dataclass(frozen=True, slots=True)
class PowerManagementState:
    """What was written to the two registers that keep it."""

    enable: Annotated[int, Mask(ENABLE_BITS)]
    control: Annotated[int, Mask(CONTROL_BITS)]


class PowerManagement:
    """Ports 0x600-0x60b; `off` is called when the guest switches the machine off."""

    def __init__(self, *, clock: Callable[[], Nanoseconds], off: Callable[[], None]) -> None:
        self.name = "pm"
        self.ports: tuple[range, ...] = (range(BASE, BASE + 12),)
        self._clock = clock
        self._off = off
        self._enable = 0
        self._control = 0

    def read(self, port: int, size: int) -> int:
        """Return the bytes of the registers from `port` on."""
        if port >= TIMER:
            ticks = lib.pm_timer(self._clock())
            return int(ticks) >> 8 * (port - TIMER) & (1 << 8 * size) - 1
        registers = self._enable << 16 | (self._control | SCI_ENABLED) << 32
        return registers >> 8 * (port - BASE) & (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """Write the bytes of the registers from `port` on; the timer keeps its time."""
        shift = 8 * (port - BASE)
        mask = ((1 << 8 * size) - 1) << shift
        written = value << shift & mask
        before = self._enable << 16 | self._control << 32
        registers = before & ~mask | written
        self._enable = registers >> 16 & ENABLE_BITS
        self._control = registers >> 32 & CONTROL_BITS
        sleeps = written >> 32 & SLEEP_ENABLE
        if sleeps and self._control >> SLEEP_TYPE_SHIFT & 7 == SLEEP_TYPE_OFF:
            self._off()

    def state(self) -> PowerManagementState:
        """Return both registers."""
        return PowerManagementState(self._enable, self._control)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal PowerManagementState."""
        new = checked(self.name, state, PowerManagementState)
        self._enable, self._control = new.enable, new.control
