"""Multiboot 1 boot plans: what a kernel finds at entry, and what is refused and how."""

import struct

import pytest
from multiboot_image import CODE, Elf, Load, multiboot_header

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan, Module
from ftvm.units import GuestPhysical

MIB = 1 << 20
MEMORY = 16 * MIB


def boot(image: bytes, memory_bytes: int = MEMORY, command_line: str = "") -> BootPlan:
    return load(image, memory_bytes, command_line, "kernel.elf")


def refusal(image: bytes, memory_bytes: int = MEMORY) -> str:
    with pytest.raises(ImageError) as caught:
        boot(image, memory_bytes)
    text = str(caught.value)
    assert text.startswith("kernel.elf: ")
    assert "\n" not in text
    return text


def memory_of(plan: BootPlan, memory_bytes: int = MEMORY) -> bytearray:
    memory = bytearray(memory_bytes)
    for start, data in plan.segments:
        memory[start : start + len(data)] = data
    return memory


def word(memory: bytearray, address: int) -> int:
    return int.from_bytes(memory[address : address + 4], "little")


def string(memory: bytearray, address: int) -> bytes:
    return bytes(memory[address : memory.index(0, address)])


# What a good image gets.


def test_segment_is_written_and_its_rest_zeroed() -> None:
    plan = boot(Elf().build())
    data = multiboot_header() + CODE
    assert (GuestPhysical(MIB), data) in plan.segments
    assert plan.zeroed == ((GuestPhysical(MIB + len(data)), 0x100 - len(data)),)


def test_registers_at_entry_are_those_of_section_3_2() -> None:
    plan = boot(Elf().build())
    registers = plan.registers
    assert plan.entry == registers.eip == MIB + 12
    assert registers.eax == 0x2BADB002
    assert registers.cr0 & 0x80000001 == 1
    assert registers.eflags == 2
    for segment in (registers.code, registers.data):
        assert (segment.base, segment.limit) == (0, 0xFFFFFFFF)


def test_gdt_in_memory_holds_the_descriptors_of_the_selectors() -> None:
    plan = boot(Elf().build())
    memory = memory_of(plan)
    registers = plan.registers
    assert registers.gdt_limit == 23
    for segment, kind in ((registers.code, 0x9B), (registers.data, 0x93)):
        low = word(memory, registers.gdt_base + segment.selector)
        high = word(memory, registers.gdt_base + segment.selector + 4)
        assert high == segment.descriptor_high
        assert (high >> 8) & 0xFF == kind
        limit = (low & 0xFFFF) | (high & 0xF0000)
        assert high & 1 << 23
        assert limit << 12 | 0xFFF == segment.limit
        assert (low >> 16) | (high & 0xFF) << 16 | (high & 0xFF000000) == segment.base


def test_boot_information() -> None:
    plan = boot(Elf().build(), command_line="a b  c")
    memory = memory_of(plan)
    info = plan.registers.ebx
    assert info % 4 == 0
    assert word(memory, info) == 1 << 0 | 1 << 2 | 1 << 6 | 1 << 9
    assert word(memory, info + 4) == 639
    assert word(memory, info + 8) == 15 * 1024
    assert string(memory, word(memory, info + 16)) == b"kernel.elf a b  c"
    assert string(memory, word(memory, info + 64)) == b"ftvm"


def test_memory_map() -> None:
    plan = boot(Elf().build())
    memory = memory_of(plan)
    info = plan.registers.ebx
    address = word(memory, info + 48)
    end = address + word(memory, info + 44)
    entries = []
    while address < end:
        entries.append(struct.unpack_from("<QQI", memory, address + 4))
        address += 4 + word(memory, address)
    assert address == end
    assert entries == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),
        (0xF0000, 0x10000, 2),
        (MIB, MEMORY - MIB, 1),
    ]


def test_smallest_machine_boots_a_low_image() -> None:
    header = multiboot_header()
    image = Elf(loads=[Load(0x20000, header + CODE)], entry=0x20000 + len(header)).build()
    memory = memory_of(boot(image, MIB), MIB)
    info = boot(image, MIB).registers.ebx
    assert word(memory, info + 8) == 0
    assert word(memory, info + 44) == 3 * 24


def test_information_moves_out_of_the_image() -> None:
    header = multiboot_header()
    image = Elf(
        loads=[Load(0x1000, header + CODE, memory_bytes=0x90000)], entry=0x1000 + len(header)
    ).build()
    plan = boot(image)
    assert plan.registers.ebx >= 0x91000
    info_start, info_data = plan.segments[0]
    assert info_start + len(info_data) <= 0x9FC00


def test_undecodable_bytes_of_the_command_line_go_through() -> None:
    plan = boot(Elf().build(), command_line="x=\udcff\u00e9")
    memory = memory_of(plan)
    assert string(memory, word(memory, plan.registers.ebx + 16)) == b"kernel.elf x=\xff\xc3\xa9"


def test_entry_of_a_higher_half_kernel_is_translated() -> None:
    header = multiboot_header()
    image = Elf(
        loads=[Load(MIB, header + CODE, virtual=0xC0100000)], entry=0xC0100000 + len(header)
    ).build()
    assert boot(image).entry == MIB + len(header)


def test_segments_that_load_nothing_are_passed_over() -> None:
    elf = Elf()
    elf.loads += [
        Load(0xF0000000, b"note", type=4),
        Load(0xF0000000, b"", memory_bytes=0),
    ]
    assert boot(elf.build()).entry == MIB + 12


def test_video_mode_request_is_ignored() -> None:
    header = multiboot_header(0b111)
    image = Elf(loads=[Load(MIB, header + CODE)]).build()
    memory = memory_of(boot(image))
    assert word(memory, boot(image).registers.ebx) & (1 << 11 | 1 << 12) == 0


def test_header_is_found_behind_a_false_one() -> None:
    false_header = multiboot_header(checksum_error=1)
    image = Elf(loads=[Load(MIB, false_header + multiboot_header() + CODE)]).build()
    assert boot(image).entry == MIB + 12


@pytest.mark.parametrize("in_front", [b"", b"front"])
def test_address_fields_stand_in_for_elf_headers(in_front: bytes) -> None:
    start = 0x200000
    front = in_front.ljust(16, b"\0")
    header = multiboot_header(
        1 << 16, start + len(front), start, 0, start + 0x1000, start + len(front) + 32
    )
    image = front + header + CODE
    plan = boot(image)
    assert plan.entry == start + len(image) - len(CODE)
    assert plan.segments[1] == (start, image)
    assert plan.zeroed == ((start + len(image), 0x1000 - len(image)),)


def test_address_fields_load_a_part_of_the_file() -> None:
    start = 0x200000
    header = multiboot_header(1 << 16, start, start, start + 36, 0, start + 32)
    plan = boot(b"\x90" * 64 + header + CODE + b"not to be loaded")
    assert plan.segments[1] == (start, header + CODE)
    assert plan.zeroed == ()


# What a bad image is told.


def test_empty_file() -> None:
    assert "empty" in refusal(b"")


def test_not_an_elf_file() -> None:
    assert "no Multiboot 1 header" in refusal(b"#!/bin/sh\n" * 1000)
    assert "not an ELF file" in refusal(multiboot_header() + CODE)


def test_elf_without_multiboot_header() -> None:
    text = refusal(Elf(loads=[Load(MIB, CODE)], entry=MIB).build())
    assert "no Multiboot 1 header" in text


def test_header_with_wrong_checksum() -> None:
    image = Elf(loads=[Load(MIB, multiboot_header(checksum_error=1) + CODE)]).build()
    assert "checksum" in refusal(image)


@pytest.mark.parametrize("distance", [2, 8192])
def test_header_where_nobody_looks(distance: int) -> None:
    image = Elf(loads=[Load(MIB, b"\0" * distance + multiboot_header() + CODE)]).build()
    assert "first 8192 bytes" in refusal(image)


def test_unknown_mandatory_feature() -> None:
    image = Elf(loads=[Load(MIB, multiboot_header(1 << 5) + CODE)]).build()
    assert "0x0020" in refusal(image)


def test_unknown_optional_feature_is_no_matter() -> None:
    image = Elf(loads=[Load(MIB, multiboot_header(1 << 20) + CODE)]).build()
    assert boot(image).entry == MIB + 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"elf_class": 2}, "not a 32-bit ELF file (class 2"),
        ({"encoding": 2}, "not little-endian"),
        ({"machine": 62}, "ELF machine 62"),
        ({"machine": 40}, "ELF machine 40"),
        ({"ident_version": 0}, "version"),
        ({"version": 9}, "version"),
        ({"type": 1}, "relocatable"),
        ({"loads": [Load(MIB, b"/lib/ld.so", type=3)], "type": 3}, "-no-pie"),
        ({"type": 9}, "ELF type 9"),
        ({"phentsize": 56}, "program headers of 56 bytes"),
        ({"loads": []}, "nothing in it is to be loaded"),
        ({"entry": 0}, "entry point 0x0"),
        ({"entry": MIB + 0x80}, "entry point 0x100080"),
    ],
)
def test_wrong_elf_file(change: dict[str, object], said: str) -> None:
    # The header stands behind the segments too, for the file that has none.
    assert said in refusal(Elf(**change).build() + multiboot_header())  # type: ignore[arg-type]


def test_a_position_independent_image_lies_where_it_says() -> None:
    """Debian 11's memtest86+_multiboot.bin is one, for address 0."""
    plan = boot(Elf(type=3).build())
    assert (plan.entry, plan.segments) == (MIB + 12, boot(Elf().build()).segments)
    low = Elf(type=3, loads=[Load(0, multiboot_header() + CODE)], entry=12)
    assert boot(low.build()).entry == 12


def test_every_truncation_is_refused() -> None:
    image = Elf().build()
    for size in range(len(image)):
        refusal(image[:size])
    assert "truncated" in refusal(image[:-1])
    assert "truncated" in refusal(image[:40])


def test_more_file_bytes_than_memory() -> None:
    image = Elf(loads=[Load(MIB, multiboot_header() + CODE, memory_bytes=4)]).build()
    assert "segment 0 has 0x10 bytes in the file but room for 0x4" in refusal(image)


def test_segment_beyond_memory() -> None:
    image = Elf(loads=[Load(MIB, multiboot_header() + CODE, memory_bytes=MIB)]).build()
    assert boot(image, 2 * MIB).entry == MIB + 12
    text = refusal(image, 2 * MIB - 4096)
    assert "segment 0 at 0x100000..0x200000 lies beyond the memory" in text


def test_segments_that_overlap() -> None:
    elf = Elf()
    elf.loads.append(Load(MIB + 0xFF, b"data"))
    assert "segment 1 at 0x1000ff..0x100103 overlaps segment 0" in refusal(elf.build())


def test_segment_in_the_video_window() -> None:
    elf = Elf()
    elf.loads.append(Load(0x9FFFF, b"data"))
    assert "video window" in refusal(elf.build())


def test_no_room_for_the_boot_information() -> None:
    elf = Elf()
    elf.loads.append(Load(0x0, b"", memory_bytes=0x9FC00))
    assert "boot information" in refusal(elf.build())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((0x200000, 0x300000, 0, 0, 0x200020), "load_addr"),
        ((0x200000, 0x100000, 0, 0, 0x200020), "before the start of the file"),
        ((0x200000, 0x200000, 0x1FFFFF, 0, 0x200020), "load_end_addr"),
        ((0x200000, 0x200000, 0x300000, 0, 0x200020), "truncated"),
        ((0x200000, 0x200000, 0, 0x200001, 0x200020), "bss_end_addr"),
        ((0x200000, 0x200000, 0, 0xFFFFFFFF, 0x200020), "beyond the memory"),
        ((0x200000, 0x200000, 0, 0, 0x400000), "entry point"),
        ((0x200000, 0x200000, 0x200000, 0, 0x200000), "nothing in it"),
    ],
)
def test_wrong_address_fields(fields: tuple[int, ...], said: str) -> None:
    assert said in refusal(multiboot_header(1 << 16, *fields) + CODE)


def test_address_fields_cut_off() -> None:
    assert "cut off" in refusal(multiboot_header(1 << 16, 0x200000, 0x200000) + CODE)


def test_name_with_a_line_break_does_not_break_the_line() -> None:
    with pytest.raises(ImageError) as caught:
        load(b"", MEMORY, "", "two\nlines")
    assert str(caught.value).startswith("'two\\nlines': ")


def test_command_line_with_nul() -> None:
    with pytest.raises(UsageError, match="NUL"):
        boot(Elf().build(), command_line="a\0b")


def test_command_line_that_is_not_text() -> None:
    with pytest.raises(UsageError, match="not Unicode"):
        boot(Elf().build(), command_line="\ud800")


def test_command_line_longer_than_lower_memory() -> None:
    with pytest.raises(ImageError, match="shorten the command line"):
        boot(Elf().build(), command_line="x" * 0xA0000)


@pytest.mark.parametrize("memory_bytes", [0, MIB - 4096, MIB + 1, (3 << 30) + 4096])
def test_impossible_memory(memory_bytes: int) -> None:
    with pytest.raises(UsageError, match="memory of"):
        boot(Elf().build(), memory_bytes)


# Modules, section 3.3


def test_modules_lie_on_pages_of_their_own_behind_the_image() -> None:
    modules = [Module("a", "a one two", b"first" * 1000), Module("b", "b", b"")]
    plan = load(Elf().build(), MEMORY, "", "kernel.elf", modules)
    memory = memory_of(plan)
    info = plan.registers.ebx
    assert word(memory, info) & 8
    assert word(memory, info + 20) == 2
    table = word(memory, info + 24)
    start, end, text = (word(memory, table + 4 * n) for n in range(3))
    assert (start % 4096, start >= MIB + 0x100, end - start) == (0, True, 5000)
    assert memory[start:end] == b"first" * 1000
    assert string(memory, text) == b"a one two"
    assert word(memory, table + 12) == 0
    start, end, text = (word(memory, table + 16 + 4 * n) for n in range(3))
    assert start == end
    assert start % 4096 == 0
    assert string(memory, text) == b"b"


def test_without_modules_none_are_told_of() -> None:
    plan = boot(Elf().build())
    assert not word(memory_of(plan), plan.registers.ebx) & 8


def test_a_module_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="module initrd needs"):
        load(Elf().build(), MEMORY, "", "k", [Module("initrd", "", bytes(MEMORY))])
