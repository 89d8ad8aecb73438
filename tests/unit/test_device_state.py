"""A device refuses a state that it could not have been in, and says what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from wired_interrupts import WiredInterrupts

from ftvm.errors import StateError
from ftvm.machine.bus import Device
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_console import DebugConsole
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.firmware_configuration import FirmwareConfiguration
from ftvm.machine.devices.i8042 import I8042
from ftvm.machine.devices.pic8259 import LonePicPair
from ftvm.machine.devices.pit8254 import LonePit
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.power_management import PowerManagement
from ftvm.machine.devices.system_control import SystemControl
from ftvm.machine.devices.uart16550 import LoneUart
from ftvm.machine.devices.vga import Vga
from ftvm.machine.text_screen import TextScreen
from ftvm.units import Nanoseconds


def ignore(_: object) -> None:
    pass


def clock() -> Nanoseconds:
    return Nanoseconds(12_345_678)


DEVICES: dict[str, Callable[[], Device]] = {
    "uart": lambda: LoneUart(irq=ignore, output=ignore),
    "pic": lambda: LonePicPair(intr=ignore),
    "pit": lambda: LonePit(irq=ignore, clock=clock),
    "cmos": lambda: Cmos(irq=ignore, clock=clock, epoch_s=0, memory_bytes=1 << 24),
    "post": PostPort,
    "i8042": lambda: I8042(
        keyboard_irq=ignore, auxiliary_irq=ignore, a20=ignore, reset=lambda: None
    ),
    "control": lambda: SystemControl(a20=ignore, reset=lambda: None),
    "vga": Vga,
    "screen": lambda: TextScreen(frame=bytes, output=ignore),
    "pm": lambda: PowerManagement(clock=clock, off=lambda: None),
    "lapic": lambda: WiredInterrupts(intr=ignore, clock=clock).local_apic,
    "ioapic": lambda: WiredInterrupts(intr=ignore, clock=clock).io_apic,
    "exit": lambda: DebugExit(exit=ignore),
    "debugcon": lambda: DebugConsole(output=ignore),
    "fwcfg": lambda: FirmwareConfiguration(1 << 24),
}


def nested(state: Any, path: str, value: object) -> Any:
    """`state` with `value` at a path such as "counters[0].start" or "master.edges"."""
    head, _, rest = path.partition(".")
    name, _, index = head.rstrip("]").partition("[")
    if not rest and not index:
        return replace(state, **{name: value})
    part = getattr(state, name)
    if not index:
        return replace(state, **{name: nested(part, rest, value)})
    items = list(part)
    items[int(index)] = nested(items[int(index)], rest, value)
    return replace(state, **{name: tuple(items)})


@pytest.mark.parametrize(
    ("device", "field", "value", "why"),
    [
        ("uart", "ier", 0x10, "com1: ier is 0x10, has bits outside 0xf"),
        ("uart", "ier", -1, "com1: ier is -0x1, has bits outside 0xf"),
        ("uart", "scr", 256, "com1: scr is 256, not in 0..255"),
        ("uart", "scr", True, "com1: scr is bool, not int"),
        ("uart", "overrun", 1, "com1: overrun is int, not bool"),
        ("uart", "looped", bytes(17), "com1: looped has 17 bytes, not 0 to 16"),
        ("uart", "looped", b"ab", "com1: looped has more than RBR holds"),
        ("uart", "line", "text", "com1: line is str, not bytes"),
        ("uart", "thr_empty_pending", True, "com1: thr_empty_pending is set, but"),
        ("pic", "master.stage", 5, "pic: master.stage is 5, not in 0..4"),
        ("pic", "slave.vector", 0x29, "pic: slave.vector is 0x29, has bits"),
        ("pic", "master.edges", 8, "pic: master.edges has an edge of a line that is low"),
        ("pic", "master.elcr", 1, "pic: master.elcr has a line that is always edge"),
        ("pic", "master.lines", 4, "pic: master.lines has an IR2 that is not the slave's"),
        ("pic", "slave", None, "pic: slave is NoneType, not ChipState"),
        ("pit", "counters", (), "pit: counters is not a tuple of 3"),
        ("pit", "counters[1].count", 0, "pit: counters\\[1\\].count is 0, not in 1..65536"),
        ("pit", "counters[2].latched_count", -1, "pit: counters\\[2\\].latched_count is -1"),
        ("pit", "counters[0].start", 5, "pit: counters\\[0\\].start is set, but no count"),
        ("pit", "counters[0].paused", 5, "pit: counters\\[0\\].paused is set, but the"),
        ("pit", "counters[0].reload", 5, "pit: counters\\[0\\].reload is set, but the"),
        ("pit", "seen", -1, "pit: seen is -1"),
        ("cmos", "nvram", b"", "cmos: nvram has 0 bytes, not 114"),
        ("cmos", "held", bytes(8), "cmos: held does not agree with"),
        ("cmos", "b", 0x82, "cmos: held does not agree with"),
        ("cmos", "phase_ns", 10**9, "cmos: phase_ns is 1000000000, not in"),
        ("post", "registers", bytes(15), "post: registers has 15 bytes"),
        ("i8042", "scan_codes", 4, "i8042: scan_codes is 4, not in 1..3"),
        ("i8042", "line", None, "i8042: line is NoneType, not bytes"),
        ("screen", "watched", 1, "screen: watched is int, not bool"),
        ("i8042", "queue", b"abc", "i8042: queue has half a byte"),
        ("i8042", "queue", b"\x01a", "i8042: queue has status bits"),
        ("pm", "control", 0x2000, "pm: control is 0x2000, has bits outside"),
        ("lapic", "running", True, "lapic: running without an initial count"),
        ("lapic", "svr", 0xFF, "lapic: lvt is not masked, but svr is not enabled"),
        ("lapic", "irr", b"", "lapic: irr has 0 bytes, not 32"),
        ("ioapic", "table", b"\xff" * 192, "ioapic: table has an entry with reserved bits"),
        ("control", "port_a", 1, "control: port_a is 0x1, has bits outside"),
        ("fwcfg", "key", 0x10000, "fwcfg: key is 65536, not in"),
        ("vga", "palette_at", 768, "vga: palette_at is 768, not in"),
        ("vga", "palette", b"@" * 768, "vga: palette has a component of more than 6 bits"),
    ],
)
def test_an_illegal_field_is_named_and_nothing_is_changed(
    device: str, field: str, value: object, why: str
) -> None:
    made = DEVICES[device]()
    before = made.state()
    with pytest.raises(StateError, match=why):
        made.restore(nested(before, field, value))
    assert made.state() == before


def test_a_reload_without_a_waiting_count_is_refused() -> None:
    pit = LonePit(irq=ignore, clock=clock)
    for port, value in ((0x43, 0x34), (0x40, 100), (0x40, 0)):
        pit.write(port, 1, value)
    pit.restore(pit.state())
    with pytest.raises(StateError, match="reload is set, but no count is waiting"):
        pit.restore(nested(pit.state(), "counters[0].reload", 20_000))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("state", [None, 5, (), "text"])
def test_a_state_of_another_kind_is_refused(device: str, state: object) -> None:
    made = DEVICES[device]()
    with pytest.raises(StateError, match=r"state is .*, not .*State"):
        made.restore(state)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_refuses_the_state_of_each_other(device: str) -> None:
    made = DEVICES[device]()
    for other in DEVICES.keys() - {device}:
        with pytest.raises(StateError):
            made.restore(DEVICES[other]().state())
