"""A whole machine as bytes, and a machine from them.

    offset  bytes
    0       8      magic, "ftvmsnap": not some other file
    8       4      version, little-endian: 3
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ftvm.errors import StateError
from ftvm.machine.disk import OpenImages, no_images
from ftvm.machine.machine import Machine
from ftvm.machine.plain import decode_plain, encode_plain
from ftvm.machine.state import (
    DiskSectors,
    MachineState,
    Natural,
    check_state,
    describe,
    resume,
    sectors_of,
    spans,
    write_sectors,
)
from ftvm.units import PAGE_BYTES, GuestPhysical

MAGIC = b"ftvmsnap"
VERSION = 3
_HEADER = struct.Struct("<8sII32s")
_BODY_BYTES_MAX = 1 << 32
_DEFLATED_AT_ONCE = 1 << 22
"""Bytes: some tens of milliseconds of work."""


@dataclass(frozen=True)
class Snapshot:
    """A machine with its memory and what was written to its disks.

    ``pages`` are the numbers of the pages that are not all zeros, rising, and
    ``memory`` their contents one after the other.
    """

    machine: MachineState
    pages: tuple[Natural, ...]
    memory: bytes
    disks: tuple[DiskSectors, ...] = ()


def nothing() -> None:
    """Do what there is to do meanwhile: nothing."""


def take(machine: Machine, meanwhile: Callable[[], None] = nothing) -> bytes:
    """Return the machine's state; the machine goes on as its copies do.

    A large memory takes seconds to deflate: `meanwhile` is called now and then.
    """
    machine.cpu.synchronize()
    disks = tuple(sectors_of(disk) for disk in machine.disks)
    pages = machine.cpu.used_pages()
    return encode(describe(machine), pages, machine.cpu.memory, disks, meanwhile)


def encode(
    state: MachineState,
    pages: Sequence[int],
    memory: memoryview,
    disks: tuple[DiskSectors, ...],
    meanwhile: Callable[[], None] = nothing,
) -> bytes:
    """Return the snapshot of a machine with this state, these pages but for zeros, these disks."""
    content = b"".join(memory[first:end] for first, end in spans(pages))
    plain = encode_plain(Snapshot(state, tuple(pages), content, disks))
    body = b"".join(_deflated(plain, meanwhile))
    checksum = hashlib.blake2b(body, digest_size=32).digest()
    return _HEADER.pack(MAGIC, VERSION, len(body), checksum) + body


def _deflated(plain: bytes, meanwhile: Callable[[], None]) -> Iterator[bytes]:
    deflater, view = zlib.compressobj(1), memoryview(plain)
    for at in range(0, len(view), _DEFLATED_AT_ONCE):
        yield deflater.compress(view[at : at + _DEFLATED_AT_ONCE])
        meanwhile()
    yield deflater.flush()


def restore(data: bytes, open_images: OpenImages = no_images) -> Machine:
    """Make a machine of what `take` returned, on the images that `open_images` finds.

    Raises StateError, saying what is wrong, if the bytes are damaged, of
    another version, or describe no possible machine.
    """
    snapshot = _decode(data)
    _check(snapshot)
    config = snapshot.machine.config
    machine = Machine(config, open_images(config.disks))
    for index, number in enumerate(snapshot.pages):
        page = snapshot.memory[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
        machine.cpu.write_memory(GuestPhysical(number * PAGE_BYTES), page)
    for disk, written in zip(machine.disks, snapshot.disks, strict=True):
        write_sectors(disk, written, "snapshot")
    resume(machine, snapshot.machine, "snapshot")
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
    check_state(snapshot.machine, "snapshot")
    page_count = snapshot.machine.config.memory_bytes // PAGE_BYTES
    if (
        len(snapshot.memory) != len(snapshot.pages) * PAGE_BYTES
        or any(low >= high for low, high in pairwise(snapshot.pages))
        or any(number >= page_count for number in snapshot.pages)
    ):
        raise StateError("snapshot: pages and memory do not fit each other")
    disks = len(snapshot.machine.config.disks)
    if len(snapshot.disks) != disks:
        raise StateError(f"snapshot: {len(snapshot.disks)} disks of {disks} are here")
