"""How interrupts reach the processor: the 8259A pair, the I/O APIC, the local APIC.

::

    line n --+--> 8259A pair --> LINT0 of the local APIC --+--> INTR
             +--> I/O APIC, pin n (line 0: pin 2) ---------+

A kernel chooses by what it masks. Firmware leaves the APICs passing the 8259A's
interrupts through, so that one which knows no APIC finds none.
"""

from collections.abc import Callable

from ftvm.machine.bus import Device
from ftvm.machine.devices import io_apic, local_apic
from ftvm.machine.devices.io_apic import IoApic
from ftvm.machine.devices.local_apic import LocalApic
from ftvm.machine.devices.pic8259 import PicPair
from ftvm.units import Nanoseconds

TIMER_LINE, TIMER_PIN = 0, 2
PAGE_SHIFT, OFFSET_BITS = 12, 0xFFF


class Interrupts:
    """The three controllers, wired; `intr` gets the level of the processor's INTR."""

    def __init__(self, *, intr: Callable[[bool], None], clock: Callable[[], Nanoseconds]) -> None:
        self.pic = PicPair(intr=lambda level: self.local_apic.set_lint0(level))
        self.local_apic = LocalApic(
            intr=intr,
            eoi=lambda vector: self.io_apic.end_of_interrupt(vector),
            acknowledge_pic=lambda: self.pic.acknowledge(),
            clock=clock,
        )
        self.io_apic = IoApic(deliver=self.local_apic.deliver)
        self.devices: tuple[Device, ...] = (self.pic, self.local_apic, self.io_apic)

    def line(self, line: int) -> Callable[[bool], None]:
        """Return what sets the level of an interrupt line of the ISA bus."""
        to_pic = self.pic.irq(line)
        to_io_apic = self.io_apic.pin(TIMER_PIN if line == TIMER_LINE else line)

        def set_level(level: bool) -> None:
            to_pic(level)
            to_io_apic(level)

        return set_level

    def acknowledge(self) -> int:
        """Return the vector that the processor takes, -1 for none."""
        return self.local_apic.acknowledge()

    def read(self, address: int, size: int) -> int:
        """Answer a read of the APICs' pages."""
        offset = address & OFFSET_BITS
        if address >> PAGE_SHIFT == local_apic.PAGE:
            return self.local_apic.read(offset, size)
        return self.io_apic.read(offset, size) if address >> PAGE_SHIFT == io_apic.PAGE else 0

    def write(self, address: int, size: int, value: int) -> None:
        """Take a write to the APICs' pages."""
        offset = address & OFFSET_BITS
        if address >> PAGE_SHIFT == local_apic.PAGE:
            self.local_apic.write(offset, size, value)
        elif address >> PAGE_SHIFT == io_apic.PAGE:
            self.io_apic.write(offset, size, value)

    @staticmethod
    def moves_timer(address: int) -> bool:
        """Tell whether an access to `address` may change when the APIC's timer is due."""
        return (
            address >> PAGE_SHIFT == local_apic.PAGE
            and address & OFFSET_BITS in local_apic.TIMER_REGISTERS
        )
