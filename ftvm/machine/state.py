"""Everything that a machine goes on by, except its memory, as plain data.

A snapshot and a state transfer both carry this; they differ in how they carry
the pages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from ftvm.errors import StateError, UsageError
from ftvm.machine.boot.memory_map import check_memory_bytes
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import REGISTER_BYTES, Mode
from ftvm.machine.disk import SECTOR_BYTES, Disk
from ftvm.machine.machine import DIGEST_BYTES, Machine, MachineConfig
from ftvm.machine.plain import convert_plain
from ftvm.units import PAGE_BYTES, InstructionCount, Nanoseconds, Sector

Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


@dataclass(frozen=True)
class MachineState:
    """A machine without its memory.

    ``log_bases`` are what the next log entry refers to, ``log_entries`` how
    many there were before; from ``clock_reading``, a count and a time, time stamps
    follow that the log leaves out (results.c); ``digest`` is the chain's newest link, ``links``
    how many it has; ``input_bytes`` are what it was given on each stream.
    """

    config: MachineConfig
    count: Natural
    registers: bytes
    guest_ns: Natural
    log_bases: tuple[Natural, Natural]
    log_entries: Natural
    clock_reading: tuple[Natural, Natural] | None
    digest: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    links: Natural
    input_bytes: tuple[Natural, ...]
    exit_value: Annotated[int, msgspec.Meta(ge=0, le=0xFF)] | None
    powered_off: bool
    devices: dict[str, Any]


@dataclass(frozen=True)
class DiskSectors:
    """Sectors that were written: their numbers, rising, and their contents one after the other."""

    sectors: tuple[Natural, ...]
    content: bytes


def sectors_of(disk: Disk) -> DiskSectors:
    """Return what was written to a disk."""
    sectors = disk.written
    return DiskSectors(tuple(sectors), disk.content(sectors))


def write_sectors(disk: Disk, written: DiskSectors, what: str) -> None:
    """Write sectors to a disk; StateError, naming `what`, if they cannot be its."""
    sectors = written.sectors
    if (
        len(written.content) != len(sectors) * SECTOR_BYTES
        or any(low >= high for low, high in pairwise(sectors))
        or (sectors and sectors[-1] >= disk.sectors)
    ):
        raise StateError(f"{what}: disk sectors and their contents do not fit each other")
    disk.put([Sector(sector) for sector in sectors], written.content)


def describe(machine: Machine) -> MachineState:
    """Return the state of a machine that does not run."""
    return MachineState(
        config=machine.config,
        count=machine.count,
        registers=machine.cpu.register_bytes,
        guest_ns=machine.cpu.last_time,
        log_bases=machine.cpu.log_bases,
        log_entries=machine.cpu.log_entries,
        clock_reading=machine.cpu.clock_reading,
        digest=machine.digest,
        links=machine.links,
        input_bytes=tuple(machine.input_bytes.values()),
        exit_value=machine.exit_value,
        powered_off=machine.powered_off,
        devices=dict(machine.bus.state()),
    )


def check_config(config: MachineConfig, what: str) -> None:
    """Raise StateError, naming `what`, if no machine is configured so."""
    try:
        check_memory_bytes(config.memory_bytes)
    except UsageError as error:
        raise StateError(f"{what}: {error}") from None


def check_state(state: MachineState, what: str) -> None:
    """Raise StateError, naming `what`, if no machine has this state."""
    check_config(state.config, what)
    if len(state.registers) != REGISTER_BYTES:
        raise StateError(f"{what}: the registers are not those of this CPU")
    if len(state.input_bytes) != len(Stream):
        raise StateError(f"{what}: has input of {len(state.input_bytes)} streams")
    if state.log_bases[0] > state.count or state.log_bases[1] > state.guest_ns:
        raise StateError(f"{what}: the log's last entry is later than the machine")
    reading = state.clock_reading
    if reading is not None and (reading[0] >= state.count or reading[1] > state.guest_ns):
        raise StateError(f"{what}: the clock was read later than the machine is")


def resume(machine: Machine, state: MachineState, what: str) -> None:
    """Make a machine, new but for memory and disks, go on from `state`, which was checked.

    Raises StateError, naming `what`, if a device or the CPU cannot; the machine
    is of no use then.
    """
    machine.bus.restore(_device_states(machine, state.devices, what))
    machine.cpu.hash_memory()
    machine.cpu.count = InstructionCount(state.count)
    machine.cpu.register_bytes = state.registers
    machine.cpu.log_bases = state.log_bases
    machine.cpu.log_entries = state.log_entries
    machine.cpu.set_guest_ns(Nanoseconds(state.guest_ns))
    machine.go_live(Mode.SOLO)
    if state.clock_reading is not None:
        machine.cpu.clock_reading = state.clock_reading
    machine.digest = state.digest
    machine.links = state.links
    machine.input_bytes = dict(zip(Stream, state.input_bytes, strict=True))
    machine.exit_value = state.exit_value
    machine.powered_off = state.powered_off


def _device_states(
    machine: Machine, states: dict[str, Any], what: str
) -> tuple[tuple[str, object], ...]:
    kinds = {name: type(state) for name, state in machine.bus.state()}
    if sorted(kinds) != sorted(states):
        raise StateError(f"{what}: has devices {', '.join(sorted(states))}")
    return tuple(
        (name, convert_plain(states[name], kinds[name], f"{what}: {name}"))
        for name in sorted(states)
    )


def spans(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where in memory each run of neighbouring pages begins and ends."""
    begin = 0
    for at in range(1, len(pages) + 1):
        if at == len(pages) or pages[at] != pages[at - 1] + 1:
            yield pages[begin] * PAGE_BYTES, (pages[at - 1] + 1) * PAGE_BYTES
            begin = at
