"""Booting an image by Multiboot 1, as ``qemu-system-i386 -kernel`` does.

The Multiboot Specification, version 0.6.96: section 3.1 is the header in the
image, 3.2 the state of the machine at entry, 3.3 the boot information. The A20
gate of section 3.2 is always open here: the machine has none.
"""

from collections.abc import Sequence

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot import elf32
from ftvm.machine.boot.memory_map import LOWER_MEMORY_END, UPPER_MEMORY_START, check_memory_bytes
from ftvm.machine.boot.multiboot1_header import (
    MAGIC,
    SEARCH_BYTES,
    find_header,
    read_program,
)
from ftvm.machine.boot.multiboot1_info import (
    CODE_SELECTOR,
    GDT_LIMIT,
    InfoBlock,
    ModulePlace,
    make_info_block,
)
from ftvm.machine.boot.plan import (
    CR0_AT_ENTRY,
    EFLAGS_AT_ENTRY,
    BootPlan,
    Module,
    StartRegisters,
    encode_command_line,
    flat_segments,
)
from ftvm.machine.boot.program import Program, check_placement
from ftvm.units import PAGE_BYTES, GuestPhysical

EAX_AT_ENTRY = 0x2BADB002
# Where QEMU puts its own block; the other place is for images that lie there.
_INFO_START = 0x9000
_INFO_START_LOWEST = 0x1000


def load(
    image: bytes,
    memory_bytes: int,
    command_line: str,
    name: str,
    modules: Sequence[Module] = (),
) -> BootPlan:
    """Plan the boot of `image`, an ELF32 or address-field Multiboot 1 kernel.

    The kernel's command line is `name`, a space and `command_line`. Raises
    ImageError if the image cannot be booted, UsageError if memory, command
    line or modules are not possible; the text is one line and begins with the
    name of the file that is wrong.
    """
    check_memory_bytes(memory_bytes)
    full_command_line = encode_command_line(f"{name} {command_line}")
    try:
        program = _read_program(image)
        check_placement(program, memory_bytes)
        places = _place_modules(program, memory_bytes, modules)
        info = _place_info(program, memory_bytes, full_command_line, places)
    except ImageError as error:
        shown_name = name if name.isprintable() else ascii(name)
        raise ImageError(f"{shown_name}: {error}") from None
    code, data = flat_segments(CODE_SELECTOR)
    return BootPlan(
        segments=(
            (info.start, info.data),
            *(
                (
                    GuestPhysical(segment.physical),
                    image[segment.file_offset : segment.file_offset + segment.file_bytes],
                )
                for segment in program.segments
                if segment.file_bytes
            ),
            *(
                (place.start, module.data)
                for place, module in zip(places, modules, strict=True)
                if module.data
            ),
        ),
        zeroed=tuple(
            (
                GuestPhysical(segment.physical + segment.file_bytes),
                segment.memory_bytes - segment.file_bytes,
            )
            for segment in program.segments
            if segment.memory_bytes > segment.file_bytes
        ),
        registers=StartRegisters(
            eip=program.entry,
            eax=EAX_AT_ENTRY,
            ebx=info.start,
            esi=0,
            eflags=EFLAGS_AT_ENTRY,
            cr0=CR0_AT_ENTRY,
            code=code,
            data=data,
            gdt_base=info.gdt_base,
            gdt_limit=GDT_LIMIT,
        ),
    )


def _read_program(image: bytes) -> Program:
    if not image:
        raise ImageError("the file is empty; give an ELF32 Multiboot 1 image")
    header = find_header(image)
    if header is not None and header.addresses is not None:
        return read_program(image, header.offset, header.addresses)
    if header is None and not image.startswith(elf32.MAGIC):
        raise ImageError(_NO_HEADER)
    # An ELF file of the wrong kind is told so, header or not.
    program = elf32.read_program(image)
    if header is None:
        raise ImageError(_NO_HEADER)
    return program


_NO_HEADER = (
    f"no Multiboot 1 header: no {MAGIC:#x} with flags and right checksum, 4-byte aligned, in the "
    f"first {SEARCH_BYTES} bytes; link the header in front of the code"
)


def _place_modules(
    program: Program, memory_bytes: int, modules: Sequence[Module]
) -> tuple[ModulePlace, ...]:
    """Put the modules one behind the other, on pages of their own, behind the image.

    Always on page boundaries, so flag 0 of the header has nothing left to ask for.
    """
    places = []
    at = _page_up(max(UPPER_MEMORY_START, *(segment.end for segment in program.segments)))
    for module in modules:
        end = at + len(module.data)
        if end > memory_bytes:
            raise UsageError(
                f"module {module.name} needs {at:#x}..{end:#x} behind the image, and memory ends "
                f"at {memory_bytes:#x}; give the machine more memory"
            )
        string = encode_command_line(module.string)
        places.append(ModulePlace(GuestPhysical(at), GuestPhysical(end), string))
        at = _page_up(end)
    return tuple(places)


def _page_up(address: int) -> int:
    return -(-address // PAGE_BYTES) * PAGE_BYTES


def _place_info(
    program: Program, memory_bytes: int, command_line: bytes, modules: Sequence[ModulePlace]
) -> InfoBlock:
    """Make the information block at the first page of lower memory that has room for it."""
    starts = [_INFO_START, _INFO_START_LOWEST]
    starts += sorted(_page_up(segment.end) for segment in program.segments)
    size = len(make_info_block(GuestPhysical(0), memory_bytes, command_line, modules).data)
    for start in starts:
        end = start + size
        if end <= LOWER_MEMORY_END and all(
            end <= segment.physical or segment.end <= start for segment in program.segments
        ):
            return make_info_block(GuestPhysical(start), memory_bytes, command_line, modules)
    raise ImageError(
        f"no room for {size} bytes of boot information below {LOWER_MEMORY_END:#x} beside the "
        "image; shorten the command line or link the image at 1 MiB (0x100000)"
    )
