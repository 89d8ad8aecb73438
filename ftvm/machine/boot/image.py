"""What kind of image it is, by its content, and the boot protocol for it."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot import linux, multiboot1
from ftvm.machine.boot.bios_data_area import bios_data
from ftvm.machine.boot.bios_stub import bios_stub
from ftvm.machine.boot.firmware_tables import firmware_segments
from ftvm.machine.boot.linux_header import is_linux
from ftvm.machine.boot.plan import BootPlan, Module

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31  # zlib.h, inflateInit2: 15 bits, and 16 for a gzip header


@dataclass(frozen=True)
class BootFiles:
    """The files that a machine boots from, and the kernel's arguments."""

    name: str
    image: bytes
    command_line: str
    initrd: bytes | None = None
    modules: Sequence[Module] = ()


def plan_boot(files: BootFiles, memory_bytes: int) -> BootPlan:
    """Plan the boot of a Linux or Multiboot 1 kernel, gzipped or not.

    Raises ImageError or UsageError, one line, if that is not possible.
    """
    image = _unzipped(files, memory_bytes)
    if is_linux(image):
        if files.modules:
            raise UsageError(
                f"{files.name} is a Linux kernel, which takes no modules: give --initrd"
            )
        plan = linux.load(image, memory_bytes, files.command_line, files.name, files.initrd)
        return _with_firmware(plan)
    if files.initrd is not None:
        raise UsageError(f"{files.name} is no Linux kernel, which --initrd is for: give --module")
    return _with_firmware(
        multiboot1.load(image, memory_bytes, files.command_line, files.name, files.modules)
    )


def _with_firmware(plan: BootPlan) -> BootPlan:
    """Add what firmware leaves in memory, but not where the image wants to lie."""
    taken = [(start, start + len(data)) for start, data in plan.segments]
    taken += [(start, start + size) for start, size in plan.zeroed]
    left = tuple(
        (start, data)
        for start, data in (*bios_stub(), *bios_data(), *firmware_segments())
        if not any(start < end and begin < start + len(data) for begin, end in taken)
    )
    return replace(plan, segments=(*plan.segments, *left))


def _unzipped(files: BootFiles, memory_bytes: int) -> bytes:
    """Return the image itself, as boot loaders unpack it on the way."""
    if not files.image.startswith(_GZIP_MAGIC):
        return files.image
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        image = inflater.decompress(files.image, memory_bytes)
    except zlib.error as error:
        raise ImageError(f"{files.name}: damaged gzip file ({error}); copy it again") from None
    if not inflater.eof:
        raise ImageError(
            f"{files.name}: unpacked it is larger than the memory of {memory_bytes:#x} bytes, or "
            "it is cut off; give the machine more memory or copy it again"
        )
    return image
