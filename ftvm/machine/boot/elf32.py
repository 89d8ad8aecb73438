"""Strict reader of ELF32 executables for the i386: program headers only.

Names and layouts are those of the System V ABI, edition 4.1, chapter 4 ("ELF
Header") and chapter 5 ("Program Header"), and of its Intel386 supplement.

::

    file header, 52 bytes                     program header, 32 bytes
    0  e_ident[16]  7f E L F class data ver   0  p_type    1 is PT_LOAD
    16 e_type       2 is ET_EXEC, 3 ET_DYN    4  p_offset  where in the file
    18 e_machine    3 is EM_386               8  p_vaddr
    20 e_version                              12 p_paddr   where in memory
    24 e_entry      virtual address           16 p_filesz  bytes in the file
    28 e_phoff      program headers           20 p_memsz   bytes in memory
    32 e_shoff  36 e_flags  40 e_ehsize       24 p_flags   1 is PF_X
    42 e_phentsize  44 e_phnum  46 ...        28 p_align
"""

import struct
from typing import NamedTuple

from ftvm.errors import ImageError
from ftvm.machine.boot.program import Program, Segment

MAGIC = b"\x7fELF"

_FILE_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<8I")

_EI_CLASS, _EI_DATA, _EI_VERSION = 4, 5, 6
_ELFCLASS32, _ELFDATA2LSB, _EV_CURRENT = 1, 1, 1
_ET_EXEC, _ET_DYN, _EM_386 = 2, 3, 3
_PT_LOAD, _PT_INTERP = 1, 3
_PF_X = 1

_KINDS_REFUSED = {
    1: "a relocatable object: link it first",
    4: "a core dump: give the program itself",
}


class _FileHeader(NamedTuple):
    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class _ProgramHeader(NamedTuple):
    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    flags: int
    align: int


def read_program(image: bytes) -> Program:
    """Read the loadable segments and the physical entry point of an ELF32 executable.

    A position-independent one is taken for the addresses that it has, as by GRUB and
    QEMU: it relocates itself. Raises ImageError, one line, if `image` is not a whole
    ELF32 executable for the i386. Where the segments lie in memory is not looked at here.
    """
    header = _read_file_header(image)
    segments = []
    entry = header.entry
    for index, program_header in enumerate(_read_program_headers(image, header)):
        if program_header.type == _PT_INTERP:
            raise ImageError(
                "it wants a dynamic linker, which no machine has: link it with -no-pie -static"
            )
        if program_header.type != _PT_LOAD:
            continue
        segment = _read_segment(image, index, program_header)
        if segment.memory_bytes:
            segments.append(segment)
        entry_offset = header.entry - program_header.vaddr
        if program_header.flags & _PF_X and 0 <= entry_offset < program_header.filesz:
            # e_entry is virtual and paging is off: the kernel starts where the
            # bytes were put. GRUB and QEMU do the same.
            entry = program_header.paddr + entry_offset
    return Program(entry=entry, segments=tuple(segments))


def _read_file_header(image: bytes) -> _FileHeader:
    if not image.startswith(MAGIC):
        raise ImageError("not an ELF file (no 7f 45 4c 46 at offset 0); give an ELF32 image")
    # The class comes first: a 64-bit file has another layout behind it.
    if len(image) > _EI_CLASS and image[_EI_CLASS] != _ELFCLASS32:
        raise ImageError(
            f"not a 32-bit ELF file (class {image[_EI_CLASS]} at offset {_EI_CLASS}, not 1); "
            "build it with -m32 and link it with -m elf_i386"
        )
    if len(image) < _FILE_HEADER.size:
        raise ImageError(
            f"truncated: {len(image)} bytes of the {_FILE_HEADER.size} of an ELF header; "
            "copy or build it again"
        )
    header = _FileHeader._make(_FILE_HEADER.unpack_from(image))
    if header.ident[_EI_DATA] != _ELFDATA2LSB:
        raise ImageError(
            f"not little-endian (data encoding {header.ident[_EI_DATA]} at offset {_EI_DATA}, "
            "not 1); build it for i386"
        )
    if header.machine != _EM_386:
        raise ImageError(
            f"made for ELF machine {header.machine} (offset 18), not 3, the i386; "
            "build it with -m32"
        )
    if header.ident[_EI_VERSION] != _EV_CURRENT or header.version != _EV_CURRENT:
        raise ImageError("ELF version (offsets 6 and 20) is not 1; the header is damaged, rebuild")
    if header.type not in (_ET_EXEC, _ET_DYN):
        kind = _KINDS_REFUSED.get(header.type, "unknown: the header is damaged, rebuild")
        raise ImageError(f"not an executable: ELF type {header.type} (offset 16) is {kind}")
    return header


def _read_program_headers(image: bytes, header: _FileHeader) -> list[_ProgramHeader]:
    if header.phnum and header.phentsize != _PROGRAM_HEADER.size:
        raise ImageError(
            f"program headers of {header.phentsize} bytes (offset 42), not "
            f"{_PROGRAM_HEADER.size}; the header is damaged, rebuild"
        )
    end = header.phoff + header.phnum * _PROGRAM_HEADER.size
    if end > len(image):
        raise ImageError(
            f"truncated: program headers at {header.phoff:#x}..{end:#x} go beyond the file's "
            f"{len(image):#x} bytes; copy or build it again"
        )
    table = memoryview(image)[header.phoff : end]
    return [_ProgramHeader._make(fields) for fields in _PROGRAM_HEADER.iter_unpack(table)]


def _read_segment(image: bytes, index: int, header: _ProgramHeader) -> Segment:
    label = f"segment {index}"
    if header.filesz > header.memsz:
        raise ImageError(
            f"{label} has {header.filesz:#x} bytes in the file but room for {header.memsz:#x} "
            "in memory; the program header is damaged, rebuild"
        )
    file_end = header.offset + header.filesz
    if header.filesz and file_end > len(image):
        raise ImageError(
            f"truncated: {label} needs the file's bytes {header.offset:#x}..{file_end:#x}, "
            f"the file ends at {len(image):#x}; copy or build it again"
        )
    return Segment(
        label=label,
        file_offset=header.offset,
        file_bytes=header.filesz,
        physical=header.paddr,
        memory_bytes=header.memsz,
    )
