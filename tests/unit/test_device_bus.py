from dataclasses import dataclass

import pytest

from ftvm.errors import StateError
from ftvm.machine.bus import PortBus
from ftvm.machine.devices.debug_exit import WHOLE, DebugExit
from ftvm.machine.devices.post import PostPort


@dataclass(frozen=True)
class EchoState:
    value: int


class Echo:
    """Answers each port with its number and notes what it was asked."""

    def __init__(self, name: str, *ports: range) -> None:
        self.name = name
        self.ports = ports
        self.asked: list[tuple[int, ...]] = []
        self.value = 0

    def read(self, port: int, size: int) -> int:
        self.asked.append((port, size))
        return port & 0xFF

    def write(self, port: int, size: int, value: int) -> None:
        self.asked.append((port, size, value))

    def state(self) -> EchoState:
        return EchoState(self.value)

    def restore(self, state: object) -> None:
        assert isinstance(state, EchoState)
        if state.value < 0:
            raise StateError(f"{self.name}: value is negative")
        self.value = state.value


def test_ports_that_nobody_claimed_read_all_ones_and_drop_writes() -> None:
    bus = PortBus()
    assert bus.read(0x1234, 1) == 0xFF
    assert bus.read(0x1234, 2) == 0xFFFF
    assert bus.read(0x1234, 4) == 0xFFFF_FFFF
    assert bus.read(0xFFFF, 4) == 0xFFFF_FFFF
    bus.write(0x1234, 4, 0x12345678)
    bus.write(0xFFFF, 4, 0x12345678)


def test_a_wide_access_is_bytes_in_rising_order_of_port() -> None:
    bus, echo = PortBus(), Echo("echo", range(0x10, 0x13))
    bus.attach(echo)
    assert bus.read(0x10, 4) == 0xFF121110
    bus.write(0x11, 2, 0xBEEF)
    assert echo.asked == [(0x10, 1), (0x11, 1), (0x12, 1), (0x11, 1, 0xEF), (0x12, 1, 0xBE)]


def test_a_wide_access_may_touch_two_devices() -> None:
    bus, low, high = PortBus(), Echo("low", range(0x10, 0x11)), Echo("high", range(0x11, 0x12))
    bus.attach(low)
    bus.attach(high)
    assert bus.read(0x10, 2) == 0x1110
    assert (low.asked, high.asked) == ([(0x10, 1)], [(0x11, 1)])


def test_a_device_gets_the_widths_that_it_takes_whole() -> None:
    bus, echo = PortBus(), Echo("echo", range(0x10, 0x11))
    bus.attach(echo, whole=(2,))
    assert bus.read(0x10, 2) == 0x10
    bus.write(0x10, 2, 0xBEEF)
    bus.write(0x10, 4, 0x12345678)
    assert echo.asked == [(0x10, 2), (0x10, 2, 0xBEEF), (0x10, 1, 0x78)]


@pytest.mark.parametrize(
    ("name", "ports", "why"),
    [
        ("other", (range(0x13, 0x20), range(0x0F, 0x11)), "claims port 0x10 of echo"),
        ("echo", (range(0x20, 0x21),), "named echo is attached"),
        ("other", (range(0x20, 0x22), range(0x21, 0x23)), "a port twice"),
        ("other", (range(0xFFFF, 0x10001),), "0x10000, which does not exist"),
    ],
)
def test_a_claim_that_overlaps_is_refused_and_changes_nothing(
    name: str, ports: tuple[range, ...], why: str
) -> None:
    bus = PortBus()
    bus.attach(Echo("echo", range(0x10, 0x12)))
    with pytest.raises(ValueError, match=why):
        bus.attach(Echo(name, *ports))
    assert bus.claimed == {0x10: "echo", 0x11: "echo"}
    assert bus.read(0x20, 1) == 0xFF


def test_the_order_of_states_does_not_depend_on_the_order_of_attaching() -> None:
    one, other = PortBus(), PortBus()
    for bus, names in ((one, "abc"), (other, "cab")):
        for name in names:
            start = ord(name) * 16
            bus.attach(Echo(name, range(start, start + 1)))
    assert one.state() == other.state()
    assert [name for name, _ in one.state()] == ["a", "b", "c"]


def test_a_state_that_one_device_refuses_leaves_all_as_they_were() -> None:
    bus = PortBus()
    bus.attach(Echo("a", range(1, 2)))
    bus.attach(Echo("b", range(2, 3)))
    with pytest.raises(StateError, match="b: value is negative"):
        bus.restore((("a", EchoState(7)), ("b", EchoState(-1))))
    assert bus.state() == (("a", EchoState(0)), ("b", EchoState(0)))
    bus.restore((("a", EchoState(7)), ("b", EchoState(8))))
    assert bus.state() == (("a", EchoState(7)), ("b", EchoState(8)))


def test_a_state_of_other_devices_is_refused() -> None:
    bus = PortBus()
    bus.attach(PostPort())
    with pytest.raises(StateError, match="state is of exit, not of post"):
        bus.restore((("exit", DebugExit(exit=print).state()),))


def test_post_port_keeps_the_last_code_and_the_page_registers() -> None:
    bus, post = PortBus(), PostPort()
    bus.attach(post)
    bus.write(0x80, 2, 0xA55A)
    assert post.code == 0x5A
    assert bus.read(0x80, 4) == 0xA55A
    bus.write(0x8F, 1, 7)
    assert bus.read(0x8F, 1) == 7


def test_debug_exit_reports_one_byte_of_any_write_and_reads_0() -> None:
    values: list[int] = []
    bus = PortBus()
    bus.attach(DebugExit(exit=values.append), whole=WHOLE)
    bus.write(0xF4, 1, 3)
    bus.write(0xF4, 2, 0x0405)
    bus.write(0xF4, 4, 0x12345607)
    bus.write(0xF3, 2, 0x0900)
    bus.write(0xF7, 1, 11)
    bus.write(0xF8, 1, 13)
    assert values == [3, 5, 7, 9, 11]
    assert bus.read(0xF4, 4) == 0
