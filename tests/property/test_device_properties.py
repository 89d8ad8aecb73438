"""Whatever a guest does to a device: it never raises, and its state is all there is."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wired_interrupts import WiredInterrupts

from ftvm.machine.bus import Device, PortBus, TimedDevice
from ftvm.machine.devices import debug_exit, firmware_configuration
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_console import DebugConsole
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.firmware_configuration import FirmwareConfiguration
from ftvm.machine.devices.i8042 import I8042
from ftvm.machine.devices.pic8259 import LonePicPair
from ftvm.machine.devices.pit8254 import LonePit
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.power_management import PowerManagement
from ftvm.machine.devices.system_control import WHOLE, SystemControl
from ftvm.machine.devices.uart16550 import LoneUart
from ftvm.machine.devices.vga import Vga
from ftvm.units import Nanoseconds

Action = tuple[Any, ...]


class Pc:
    """All devices on a bus; `trace` has everything that they said, in order."""

    def __init__(self) -> None:
        self.now = 0
        self.trace: list[Action] = []
        self.wired = WiredInterrupts(intr=self._note("intr"), clock=self._clock)
        self.pic = self.wired.pic
        self.uart = LoneUart(irq=self._line(4), output=self._note("output"))
        self.pit = LonePit(irq=self._line(0), clock=self._clock)
        self.cmos = Cmos(
            irq=self._line(8), clock=self._clock, epoch_s=1_700_000_000, memory_bytes=64 << 20
        )
        self.bus = PortBus()
        devices: list[Device] = [*self.wired.devices, self.uart, self.pit, self.cmos, PostPort()]
        self.com2 = LoneUart(
            irq=self._line(3), output=self._note("output2"), name="com2", port=0x2F8
        )
        devices += [self.com2, DebugConsole(output=self._note("debug"))]
        self.bus.attach(DebugExit(exit=self._note("exit")), whole=debug_exit.WHOLE)
        self.bus.attach(FirmwareConfiguration(64 << 20), whole=firmware_configuration.WHOLE)
        self.i8042 = I8042(
            keyboard_irq=self._line(1),
            auxiliary_irq=self._line(12),
            a20=self._note("a20"),
            reset=self._reset,
        )
        self.timed: tuple[TimedDevice, ...] = (
            *(self.pit, self.cmos, self.i8042),
            self.wired.local_apic,
        )
        devices += [self.i8042, Vga()]
        self.bus.attach(SystemControl(a20=self._note("a20"), reset=self._reset), whole=WHOLE)
        self.bus.attach(PowerManagement(clock=self._clock, off=self._reset), whole=WHOLE)
        for device in devices:
            self.bus.attach(device)

    def _note(self, what: str) -> Callable[[object], None]:
        return lambda value: self.trace.append((what, value))

    def _reset(self) -> None:
        self.trace.append(("reset",))

    def _line(self, line: int) -> Callable[[bool], None]:
        set_line = self.wired.line(line)

        def set_and_note(level: bool) -> None:
            self.trace.append(("irq", line, level))
            set_line(level)

        return set_and_note

    def _clock(self) -> Nanoseconds:
        self.trace.append(("clock", self.now))
        return Nanoseconds(self.now)

    def do(self, action: Action) -> None:
        kind, *rest = action
        if kind == "read":
            self.trace.append(("read", self.bus.read(*rest)))
        elif kind == "write":
            self.bus.write(*rest)
        elif kind == "pass":
            self.now += rest[0]
        elif kind == "timer":
            for device in self.timed:
                device.advance(Nanoseconds(self.now))
        elif kind == "receive":
            self.uart.receive(rest[0])
            self.com2.receive(rest[0])
        elif kind == "press":
            self.i8042.press(rest[0])
        elif kind == "load":
            self.trace.append(("loaded", self.wired.read(*rest)))
        elif kind == "store":
            self.wired.write(*rest)
        elif kind == "line":
            self.wired.line(rest[0])(rest[1])
        elif kind == "acknowledge":
            self.trace.append(("vector", self.wired.acknowledge()))
        self.trace.append((self.uart.queued, *(device.deadline() for device in self.timed)))


APIC_REGISTERS = (
    *(0xFEE00000 + offset for offset in range(0, 0x400, 0x10)),
    *(0xFEC00000, 0xFEC00010, 0xFEC00014, 0xFEE000B4, 0xFED00000),
)
PORTS = {
    "uart": tuple(range(0x3F8, 0x400)),
    "pic": (0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    "pit": (0x40, 0x41, 0x42, 0x43, 0x61),
    "cmos": (0x70, 0x71),
    "i8042": (0x60, 0x64, 0x92),
    "vga": (*range(0x3C0, 0x3D0), 0x3D4, 0x3D5, 0x3DA),
    "control": (0x92, *range(0xCF8, 0xD00)),
    "apic": (0x20, 0x21),
    "pm": tuple(range(0x600, 0x60C)),
    "qemu": (*range(0xE8, 0xEB), *range(0xF3, 0xF9), *range(0x50F, 0x513), *range(0x2F7, 0x301)),
    "all": (
        *range(0x20, 0x22),
        *range(0x40, 0x44),
        *range(0x60, 0x65),
        0x70,
        0x71,
        0x80,
        0x92,
        *range(0xA0, 0xA2),
        *range(0xE9, 0xF8),
        *range(0x2F8, 0x300),
        *range(0x510, 0x512),
        *range(0x3BF, 0x3DC),
        *range(0x3F5, 0x402),
        *range(0x5FD, 0x60D),
        *range(0xCF7, 0xD00),
        0x4D0,
        0xFFFF,
    ),
}


def actions(ports: tuple[int, ...]) -> st.SearchStrategy[list[Action]]:
    port = st.sampled_from(ports)
    # Sparse values are what command words look like; the clock's indexes are small.
    value = st.one_of(
        st.integers(0, 0xFF),
        st.sampled_from([0, 1, 2, 3, 0x0A, 0x0B, 0x0C, 0x10, 0x11, 0x20, 0x34, 0x80]),
        st.sampled_from([0x60, 0xA7, 0xAA, 0xAE, 0xD1, 0xD3, 0xD4, 0xF0, 0xF2, 0xF4, 0xF5, 0xFF]),
    )
    size = st.sampled_from([1, 1, 1, 2, 4])
    return st.lists(
        st.one_of(
            st.tuples(st.just("write"), port, size, value | st.integers(0, 2**32 - 1)),
            st.tuples(st.just("write"), port, st.just(1), value),
            st.tuples(st.just("read"), port, size),
            st.tuples(
                st.just("store"),
                st.sampled_from(APIC_REGISTERS),
                st.sampled_from([4, 4, 4, 1]),
                value
                | st.integers(0, 2**32 - 1)
                | st.sampled_from([0x30041, 0x41, 0x10041, 0x1FF, 0x8061, 0x40055, 0x80055]),
            ),
            st.tuples(st.just("load"), st.sampled_from(APIC_REGISTERS), size),
            st.tuples(st.just("pass"), st.integers(0, 2_000) | st.integers(0, 10**11)),
            st.tuples(st.just("timer")),
            st.tuples(st.just("receive"), st.binary(max_size=20)),
            st.tuples(st.just("press"), st.binary(max_size=4)),
            st.tuples(st.just("line"), st.sampled_from([1, 3, 5, 7, 9, 12, 15]), st.booleans()),
            st.tuples(st.just("acknowledge")),
        ),
        max_size=60,
    )


# What a kernel does first, so that chance begins where things can happen.
SETUP: list[Action] = [
    ("write", port, 1, value)
    for port, value in (
        *((0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01)),
        *((0xA0, 0x11), (0xA1, 0x28), (0xA1, 0x02), (0xA1, 0x01)),
        *((0x43, 0x34), (0x40, 0xE8), (0x40, 0x03)),
        *((0x3FA, 0xC7), (0x3FC, 0x0B), (0x3F9, 0x0F)),
        *((0x70, 0x0B), (0x71, 0x72)),
    )
]
SCENES = st.tuples(st.sampled_from(sorted(PORTS)), st.booleans()).flatmap(
    lambda drawn: st.tuples(
        actions(PORTS[drawn[0]]).map(lambda found: (SETUP if drawn[1] else []) + found),
        actions(PORTS[drawn[0]]),
    )
)


@settings(deadline=None, max_examples=400)
@given(SCENES)
def test_restored_devices_go_on_exactly_as_the_first_ones(
    scene: tuple[list[Action], list[Action]],
) -> None:
    before, after = scene
    first, second = Pc(), Pc()
    for action in before:
        first.do(action)
    state = first.bus.state()
    second.bus.restore(state)
    assert second.bus.state() == state
    second.now = first.now
    first.trace.clear()
    second.trace.clear()
    for action in after:
        first.do(action)
        second.do(action)
    assert first.trace == second.trace
    assert first.bus.state() == second.bus.state()


@settings(deadline=None, max_examples=200)
@given(SCENES, st.sampled_from([1, 2, 4]))
def test_results_fit_the_width_and_twice_the_same_gives_the_same(
    scene: tuple[list[Action], list[Action]], size: int
) -> None:
    one, other = Pc(), Pc()
    for action in (*scene[0], *scene[1]):
        one.do(action)
        other.do(action)
    for port in PORTS["all"]:
        value = one.bus.read(port, size)
        assert 0 <= value < 1 << 8 * size
        assert other.bus.read(port, size) == value
    assert one.trace == other.trace


@settings(deadline=None, max_examples=200)
@given(SCENES, st.sampled_from(["pit", "cmos"]))
def test_a_deadline_is_the_first_moment_at_which_the_line_rises(
    scene: tuple[list[Action], list[Action]], name: str
) -> None:
    pc = Pc()
    for action in (*scene[0], *scene[1]):
        pc.do(action)
    device: TimedDevice = pc.pit if name == "pit" else pc.cmos
    device.advance(Nanoseconds(pc.now))
    for _ in range(5):
        deadline = device.deadline()
        if deadline is None:
            break
        assert deadline > pc.now
        pc.trace.clear()
        device.advance(Nanoseconds(deadline - 1))
        assert not pc.trace
        assert device.deadline() == deadline
        device.advance(deadline)
        assert pc.trace, "the line moved"
        assert ("irq", 0 if name == "pit" else 8, True) in pc.trace
        pc.now = deadline
        if name == "cmos":
            pc.do(("write", 0x70, 1, 0x0C))
            pc.do(("read", 0x71, 1))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=10), st.data())
def test_every_received_byte_is_read_once_and_in_order(
    chunks: list[bytes], data: st.DataObject
) -> None:
    pc = Pc()
    got = bytearray()
    for chunk in chunks:
        pc.uart.receive(chunk)
        fcr = data.draw(st.integers(0, 255))
        pc.bus.write(0x3FA, 1, fcr)
        pc.bus.write(0x3FC, 1, data.draw(st.sampled_from([0x0B, 0x1B])))
        for _ in range(data.draw(st.integers(0, 30))):
            if pc.bus.read(0x3FD, 1) & 1:
                got.append(pc.bus.read(0x3F8, 1))
    pc.bus.write(0x3FC, 1, 0x0B)
    while pc.bus.read(0x3FD, 1) & 1:
        got.append(pc.bus.read(0x3F8, 1))
    assert bytes(got) == b"".join(chunks)


@pytest.mark.parametrize("specific", [True, False])
@settings(deadline=None, max_examples=100)
@given(
    st.sets(st.sampled_from([n for n in range(16) if n != 2])),
    st.integers(0, 0xFB),
    st.integers(0, 0xFF),
)
def test_unmasked_lines_are_served_in_the_order_of_the_at(
    specific: bool, lines: set[int], master_mask: int, slave_mask: int
) -> None:
    vectors: list[int] = []
    levels: list[bool] = []
    pic = LonePicPair(intr=levels.append)
    for base, icws in ((0x20, (0x20, 4, 1)), (0xA0, (0x28, 2, 1))):
        pic.write(base, 1, 0x11)
        for icw in icws:
            pic.write(base + 1, 1, icw)
    pic.write(0x21, 1, master_mask & ~4)
    pic.write(0xA1, 1, slave_mask)
    for line in lines:
        pic.set_irq(line, True)
    while levels and levels[-1]:
        vector = pic.acknowledge()
        vectors.append(vector)
        if vector >= 0x28:
            pic.write(0xA0, 1, 0x60 | vector & 7 if specific else 0x20)
            pic.write(0x20, 1, 0x62 if specific else 0x20)
        else:
            pic.write(0x20, 1, 0x60 | vector & 7 if specific else 0x20)
    masks = master_mask & ~4 | slave_mask << 8
    order = [0, 1, *range(8, 16), 3, 4, 5, 6, 7]
    assert vectors == [0x20 + n for n in order if n in lines and not masks >> n & 1]
