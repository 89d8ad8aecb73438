"""Booting a Linux kernel by the 32-bit boot protocol (boot.rst, "32-bit BOOT PROTOCOL").

The kernel's real-mode code, which would ask a BIOS about the machine, does not
run: the loader fills in the boot parameters and enters the protected-mode code
with ESI pointing to them. memtest86+ and others take the same way in::

    0x00010000  boot parameters, GDT, command line
    0x00100000  the protected-mode code, as it is in the file
    ...         where it unpacks itself to, `SetupHeader.run_start`
    the end     the initial RAM disk, as high as memory and the kernel allow
"""

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot.linux_header import SetupHeader, read_header
from ftvm.machine.boot.linux_params import (
    CODE_SELECTOR,
    GDT_LIMIT,
    make_params_block,
)
from ftvm.machine.boot.memory_map import MIB, UPPER_MEMORY_START, check_memory_bytes
from ftvm.machine.boot.plan import (
    CR0_AT_ENTRY,
    EFLAGS_AT_ENTRY,
    BootPlan,
    StartRegisters,
    encode_command_line,
    flat_segments,
)
from ftvm.units import PAGE_BYTES, GuestPhysical

_PARAMS_START = GuestPhysical(0x10000)


def load(
    image: bytes, memory_bytes: int, command_line: str, name: str, initrd: bytes | None = None
) -> BootPlan:
    """Plan the boot of `image`, a bzImage, with `initrd` as its initial RAM disk.

    Raises ImageError if the image cannot be booted, UsageError if memory,
    command line or RAM disk do not fit it; the text is one line.
    """
    check_memory_bytes(memory_bytes)
    shown_name = name if name.isprintable() else ascii(name)
    try:
        header = read_header(image)
        _check_place(header, len(image), memory_bytes)
    except ImageError as error:
        raise ImageError(f"{shown_name}: {error}") from None
    text = encode_command_line(command_line)
    if len(text) > header.command_line_bytes_max:
        raise UsageError(
            f"the kernel's command line has {len(text)} bytes, and {shown_name} takes "
            f"{header.command_line_bytes_max}; shorten it"
        )
    initrd_start = None if initrd is None else _place_initrd(header, len(initrd), memory_bytes)
    initrd_place = None if initrd_start is None else (initrd_start, len(initrd or b""))
    params = make_params_block(_PARAMS_START, memory_bytes, header, text, initrd_place)
    segments = [
        (params.start, params.data),
        (GuestPhysical(header.code_start), image[header.code_offset :]),
    ]
    if initrd and initrd_start is not None:
        segments.append((initrd_start, initrd))
    code, data = flat_segments(CODE_SELECTOR)
    return BootPlan(
        segments=tuple(segments),
        zeroed=(),
        registers=StartRegisters(
            eip=header.code_start,
            eax=0,
            ebx=0,
            esi=params.start,
            eflags=EFLAGS_AT_ENTRY,
            cr0=CR0_AT_ENTRY,
            code=code,
            data=data,
            gdt_base=params.gdt_base,
            gdt_limit=GDT_LIMIT,
        ),
    )


def _check_place(header: SetupHeader, image_bytes: int, memory_bytes: int) -> None:
    if header.code_start < UPPER_MEMORY_START:
        raise ImageError(
            f"its code32_start is {header.code_start:#x}, below 1 MiB: it has no 32-bit entry, and "
            "starts in real mode with a BIOS, which is not here"
        )
    end = max(
        header.code_start + image_bytes - header.code_offset, header.run_start + header.run_bytes
    )
    if end > memory_bytes:
        raise ImageError(
            f"it needs memory up to {end:#x} to unpack itself; give the machine at least "
            f"{-(-end // MIB)}M"
        )


def _place_initrd(header: SetupHeader, initrd_bytes: int, memory_bytes: int) -> GuestPhysical:
    """Return the highest page that the RAM disk can begin at."""
    end = min(memory_bytes, header.initrd_last + 1)
    start = (end - initrd_bytes) // PAGE_BYTES * PAGE_BYTES
    kernel_end = header.run_start + header.run_bytes
    if start < kernel_end:
        raise UsageError(
            f"the initial RAM disk of {initrd_bytes} bytes does not fit between the kernel's end "
            f"at {kernel_end:#x} and {end:#x}; give the machine more memory"
        )
    return GuestPhysical(start)
