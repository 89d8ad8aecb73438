"""Whatever a guest does to the ATA channel: it never raises, and state and overlay are all of it.

The data port's block in the core does the same as the plain one, access by access.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ftvm.machine.cpu import Cpu
from ftvm.machine.cpu_port_buffer import CpuPortBuffer
from ftvm.machine.devices.ata import BASE, CONTROL, AtaChannel
from ftvm.machine.devices.port_buffer import PlainPortBuffer, PortBuffer
from ftvm.machine.disk import Disk, DiskConfig, UnreadableSector
from ftvm.machine.state import sectors_of, write_sectors
from ftvm.units import Sector

Action = tuple[Any, ...]
SECTORS = 70

commands = st.sampled_from(
    bytes.fromhex("10 20 24 29 30 34 39 40 42 70 90 91 a1 c4 c5 c6 e5 e7 ec ef")
)
registers = st.integers(1, 6)
small = st.one_of(st.integers(0, 80), st.integers(0, 255))
actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), registers, small),
        st.tuples(st.just("write"), st.just(6), st.sampled_from((0x40, 0x50, 0xA0, 0xB0, 0xE0))),
        st.tuples(st.just("write"), st.just(7), st.one_of(commands, st.integers(0, 255))),
        st.tuples(st.just("read"), st.integers(0, 7), st.sampled_from((1, 2, 4))),
        st.tuples(st.just("wide"), st.integers(0, 7), st.integers(0, 2**32 - 1)),
        st.tuples(st.just("control"), st.integers(0, 255)),
        st.tuples(st.just("in"), st.integers(1, 300)),
        st.tuples(st.just("out"), st.integers(1, 300)),
        st.tuples(st.just("alternate")),
    ),
    max_size=60,
)


class Image:
    def read(self, first: Sector, count: int) -> bytes:
        if first <= 13 < first + count:
            raise UnreadableSector(Sector(13), "is bad")
        return b"".join(bytes([sector]) * 512 for sector in range(first, first + count))


class Failures:
    def due(self) -> Sector | None:
        return None

    def failed(self, failure: UnreadableSector) -> None:
        pass


class Host:
    """A channel with two drives and what was seen of it."""

    def __init__(self, data: PortBuffer) -> None:
        self.trace: list[Any] = []
        config = DiskConfig("disk.img", "rw", SECTORS, bytes(32))
        self.disks = [Disk(config, Image(), Failures()) for _ in range(2)]
        self.channel = AtaChannel(disks=self.disks, irq=self.trace.append, data=data)

    def do(self, action: Action) -> None:
        kind, *rest = action
        channel = self.channel
        if kind == "write":
            channel.write(BASE + rest[0], 1, rest[1])
        elif kind == "read":
            self.trace.append(channel.read(BASE + rest[0], rest[1]))
        elif kind == "wide":
            channel.write(BASE + rest[0], 4, rest[1])
        elif kind == "control":
            channel.write(CONTROL, 1, rest[0])
        elif kind == "in":
            self.trace.append([channel.read(BASE, 2) for _ in range(rest[0])])
        elif kind == "out":
            for word in range(rest[0]):
                channel.write(BASE, 2, word)
        else:
            self.trace.append(channel.read(CONTROL, 1))

    def copy(self) -> "Host":
        other = Host(PlainPortBuffer())
        for mine, theirs in zip(self.disks, other.disks, strict=True):
            write_sectors(theirs, sectors_of(mine), "test")
        other.channel.restore(self.channel.state())
        return other


def core_buffer() -> CpuPortBuffer:
    cpu = Cpu(
        1 << 20,
        port_read=lambda port, size: 0,
        port_write=lambda port, size, value: None,
    )
    return CpuPortBuffer(cpu, BASE)


@settings(max_examples=150, deadline=None)
@given(before=actions, after=actions)
def test_a_restored_channel_goes_on_as_the_first(before: list[Action], after: list[Action]) -> None:
    first = Host(PlainPortBuffer())
    for action in before:
        first.do(action)
    second = first.copy()
    assert second.channel.state() == first.channel.state()
    begin = len(first.trace)
    for action in after:
        first.do(action)
        second.do(action)
    assert second.trace == first.trace[begin:]
    assert second.channel.state() == first.channel.state()


@settings(max_examples=60, deadline=None)
@given(doings=actions)
def test_the_cores_block_is_the_plain_one(doings: list[Action]) -> None:
    plain, core = Host(PlainPortBuffer()), Host(core_buffer())
    for action in doings:
        plain.do(action)
        core.do(action)
        assert core.trace == plain.trace
        assert core.channel.state() == plain.channel.state()
