"""A whole machine as bytes, and a machine from them.

    offset  bytes
    0       8      magic, "ftvmsnap": not some other file
    8       4      version, little-endian: 1
    12      4      length of the body
    16      32     BLAKE2b of the body: not a damaged one
    48             body: a `Snapshot` in MessagePack, deflated

What is in a body is explicit, field by field; nothing of it is an address in
a process or depends on one. Taking a snapshot synchronises the machine, as a
checkpoint does: the original and the copy go on from the same empty TLB.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from ftvm.errors import StateError, UsageError
from ftvm.machine.boot.memory_map import check_memory_bytes
from ftvm.machine.cpu import REGISTER_BYTES, Mode
from ftvm.machine.machine import DIGEST_BYTES, Machine, MachineConfig
from ftvm.machine.plain import convert_plain, decode_plain, encode_plain
from ftvm.units import PAGE_BYTES, GuestPhysical, InstructionCount, Nanoseconds

MAGIC = b"ftvmsnap"
VERSION = 1
_HEADER = struct.Struct("<8sII32s")
_BODY_BYTES_MAX = 1 << 32

Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


@dataclass(frozen=True)
class Snapshot:
    """Everything that a machine goes on by.

    ``pages`` are the numbers of the pages that are not all zeros, rising, and
    ``memory`` their contents one after the other. ``log_bases`` are what the
    next log entry refers to; ``digest`` is the chain's newest link.
    """

    config: MachineConfig
    count: Natural
    registers: bytes
    pages: tuple[Natural, ...]
    memory: bytes
    guest_ns: Natural
    log_bases: tuple[Natural, Natural]
    digest: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    links: Natural
    input_bytes: Natural
    exit_value: Annotated[int, msgspec.Meta(ge=0, le=0xFF)] | None
    devices: dict[str, Any]


def take(machine: Machine) -> bytes:
    """Return the machine's state; the machine goes on as its copies do."""
    machine.cpu.synchronize()
    memory = machine.cpu.memory
    pages = tuple(machine.cpu.used_pages())
    snapshot = Snapshot(
        config=machine.config,
        count=machine.count,
        registers=machine.cpu.register_bytes,
        pages=pages,
        memory=b"".join(memory[n * PAGE_BYTES : (n + 1) * PAGE_BYTES] for n in pages),
        guest_ns=machine.cpu.last_time,
        log_bases=machine.cpu.log_bases,
        digest=machine.digest,
        links=machine.links,
        input_bytes=machine.input_bytes,
        exit_value=machine.exit_value,
        devices=dict(machine.bus.state()),
    )
    body = zlib.compress(encode_plain(snapshot), 1)
    checksum = hashlib.blake2b(body, digest_size=32).digest()
    return _HEADER.pack(MAGIC, VERSION, len(body), checksum) + body


def restore(data: bytes) -> Machine:
    """Make a machine of what `take` returned.

    Raises StateError, saying what is wrong, if the bytes are damaged, of
    another version, or describe no possible machine.
    """
    snapshot = _decode(data)
    _check(snapshot)
    machine = Machine(snapshot.config)
    for index, number in enumerate(snapshot.pages):
        page = snapshot.memory[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
        machine.cpu.write_memory(GuestPhysical(number * PAGE_BYTES), page)
    machine.bus.restore(_device_states(machine, snapshot.devices))
    machine.cpu.hash_memory()
    machine.cpu.count = InstructionCount(snapshot.count)
    machine.cpu.register_bytes = snapshot.registers
    machine.cpu.log_bases = snapshot.log_bases
    machine.cpu.set_guest_ns(Nanoseconds(snapshot.guest_ns))
    machine.go_live(Mode.SOLO)
    machine.digest = snapshot.digest
    machine.links = snapshot.links
    machine.input_bytes = snapshot.input_bytes
    machine.exit_value = snapshot.exit_value
    return machine


def _decode(data: bytes) -> Snapshot:
    if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise StateError("snapshot: these bytes are no ftvm snapshot")
    _, version, length, checksum = _HEADER.unpack_from(data)
    if version != VERSION:
        raise StateError(
            f"snapshot: this is version {version}, and this ftvm reads version {VERSION}; "
            "take it again with this ftvm"
        )
    body = data[_HEADER.size :]
    if len(body) != length:
        raise StateError(f"snapshot: {len(body)} bytes of {length} are here")
    if hashlib.blake2b(body, digest_size=32).digest() != checksum:
        raise StateError("snapshot: damaged: the checksum is not that of the content")
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, _BODY_BYTES_MAX)
    except zlib.error as error:
        raise StateError(f"snapshot: {error}") from None
    return decode_plain(plain, Snapshot, "snapshot")


def _check(snapshot: Snapshot) -> None:
    try:
        check_memory_bytes(snapshot.config.memory_bytes)
    except UsageError as error:
        raise StateError(f"snapshot: {error}") from None
    if len(snapshot.registers) != REGISTER_BYTES:
        raise StateError("snapshot: the registers are not those of this CPU")
    page_count = snapshot.config.memory_bytes // PAGE_BYTES
    if (
        len(snapshot.memory) != len(snapshot.pages) * PAGE_BYTES
        or any(low >= high for low, high in pairwise(snapshot.pages))
        or any(number >= page_count for number in snapshot.pages)
    ):
        raise StateError("snapshot: pages and memory do not fit each other")
    if snapshot.log_bases[0] > snapshot.count or snapshot.log_bases[1] > snapshot.guest_ns:
        raise StateError("snapshot: the log's last entry is later than the machine")


def _device_states(machine: Machine, states: dict[str, Any]) -> tuple[tuple[str, object], ...]:
    kinds = {name: type(state) for name, state in machine.bus.state()}
    if sorted(kinds) != sorted(states):
        raise StateError(f"snapshot: has devices {', '.join(sorted(states))}")
    return tuple(
        (name, convert_plain(states[name], kinds[name], f"snapshot: {name}"))
        for name in sorted(states)
    )
