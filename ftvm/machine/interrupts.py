"""How interrupts reach the processor: the 8259A pair, the I/O APIC, the local APIC.

They are in C (interrupts.c says how they are wired), because a kernel's every
interrupt goes through them; here are their states, and their ports on the bus.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ftvm.machine.bus import Device
from ftvm.machine.cpu import lib
from ftvm.machine.devices.io_apic import IoApic
from ftvm.machine.devices.local_apic import LocalApic
from ftvm.machine.devices.pic8259 import PicPair, checked_line


class Interrupts:
    """The three controllers, wired; `native` is an `Interrupts *` of api.h, whose wires are set."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self.pic = PicPair(native.pic, changed=lambda: lib.interrupts_follow_pic(native))
        self.local_apic = LocalApic(native)
        self.io_apic = IoApic(native)
        self.devices: tuple[Device, ...] = (self.pic, self.local_apic, self.io_apic)

    def line(self, line: int) -> Callable[[bool], None]:
        """Return what sets the level of an interrupt line of the ISA bus."""
        return partial(lib.interrupts_set_line, self._native, checked_line(line))
