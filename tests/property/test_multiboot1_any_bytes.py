"""Whatever the bytes, `load` plans a sound boot or raises ImageError, in bounded memory."""

import struct
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ftvm.errors import ImageError
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan

MIB = 1 << 20
HEADER_FLAGS = st.sampled_from([0, 3, 7, 1 << 16, 1 << 5]) | st.integers(0, 0xFFFFFFFF)
# Numbers that are near to something, and any others.
WORD = (
    st.sampled_from([0, 1, 32, 52, 84, 0x1000, 0x9000, 0x9FC00, 0xA0000, MIB, MIB + 16, 2 * MIB])
    | st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF])
    | st.integers(0, 0xFFFFFFFF)
)


@st.composite
def multiboot_headers(draw: st.DrawFn) -> bytes:
    flags = draw(HEADER_FLAGS)
    fields = draw(st.lists(WORD, max_size=5))
    magic = 0x1BADB002
    checksum = -(magic + flags) % (1 << 32)
    return struct.pack(f"<{3 + len(fields)}I", magic, flags, checksum, *fields)


@st.composite
def elf_like_images(draw: st.DrawFn) -> bytes:
    """Right file headers with program headers that are anything."""
    count = draw(st.integers(0, 4))
    ident = b"\x7fELF\x01\x01\x01"
    file_header = struct.pack(
        "<16sHHIIIIIHHHHHH", ident, 2, 3, 1, draw(WORD), 52, 0, 0, 52, 32, count, 0, 0, 0
    )
    table = b""
    for _ in range(count):
        table += struct.pack("<8I", 1, *(draw(WORD) for _ in range(7)))
    return file_header + table + draw(multiboot_headers()) + draw(st.binary(max_size=64))


def good_image() -> bytes:
    header = struct.pack("<3I", 0x1BADB002, 3, -(0x1BADB002 + 3) % (1 << 32))
    data = header + b"\xfa\xf4"
    ident = b"\x7fELF\x01\x01\x01"
    return (
        struct.pack("<16sHHIIIIIHHHHHH", ident, 2, 3, 1, MIB + 12, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        + struct.pack("<8I", 1, 116, MIB, MIB, len(data), 0x1000, 5, 4)
        + struct.pack("<8I", 1, 116, MIB + 0x1000, MIB + 0x1000, 8, 8, 6, 4)
        + data
    )


GOOD = good_image()


@st.composite
def mutated_images(draw: st.DrawFn) -> bytes:
    image = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        offset = draw(st.integers(0, len(image) - 4))
        image[offset : offset + 4] = draw(WORD).to_bytes(4, "little")
    return bytes(image[: draw(st.none() | st.integers(0, len(image)))])


def assert_planned_or_refused(image: bytes, memory_bytes: int) -> BootPlan | None:
    refusal = None
    try:
        plan = load(image, memory_bytes, "arguments", "image")
    except ImageError as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal.startswith("image: ")
        assert "\n" not in refusal
        return None
    ranges = sorted(
        [(start, start + len(data)) for start, data in plan.segments]
        + [(start, start + size) for start, size in plan.zeroed]
    )
    previous_end = 0
    for start, end in ranges:
        assert previous_end <= start < end <= memory_bytes
        previous_end = end
    assert any(0 <= plan.entry - start < len(data) for start, data in plan.segments[1:])
    return plan


MEMORY_BYTES = st.sampled_from([MIB, 2 * MIB, 64 * MIB, 3 << 30])


def test_the_image_that_is_mutated_is_good() -> None:
    assert assert_planned_or_refused(GOOD, 2 * MIB) is not None


@given(st.binary(max_size=300) | multiboot_headers(), MEMORY_BYTES)
@example(b"\x7fELF", MIB)
@example(b"\x7fELF\x01", MIB)
def test_any_bytes(image: bytes, memory_bytes: int) -> None:
    assert_planned_or_refused(image, memory_bytes)


@given(elf_like_images() | mutated_images(), MEMORY_BYTES)
def test_damaged_images(image: bytes, memory_bytes: int) -> None:
    assert_planned_or_refused(image, memory_bytes)


@given(st.integers(0, 40), multiboot_headers())
def test_images_by_address_fields(distance: int, header: bytes) -> None:
    assert_planned_or_refused(b"\0" * distance + header, 64 * MIB)


@pytest.mark.parametrize(
    ("step", "said"), [(MIB, "beyond the memory"), (0, "overlaps"), (-1, "overlaps")]
)
def test_segments_are_not_copied_before_they_are_known_to_fit(step: int, said: str) -> None:
    """Each of many segments asks for the whole file: together for 500 times its size."""
    count = 500
    file_bytes = MIB
    header = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 % (1 << 32))
    ident = b"\x7fELF\x01\x01\x01"
    image = header.join(
        [
            struct.pack("<16sHHIIIIIHHHHHH", ident, 2, 3, 1, MIB, 64, 0, 0, 52, 32, count, 0, 0, 0),
            b"".join(
                struct.pack("<8I", 1, 0, 0, 2 * MIB + index * step, file_bytes, MIB, 5, 4)
                for index in range(count)
            ),
        ]
    ).ljust(file_bytes, b"\0")
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=said):
            load(image, 64 * MIB, "", "image")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < MIB


def test_zeroed_memory_costs_the_loader_nothing() -> None:
    image = bytearray(GOOD)
    # The second segment's p_memsz.
    image[52 + 32 + 20 : 52 + 32 + 24] = (0xB0000000).to_bytes(4, "little")
    tracemalloc.start()
    try:
        plan = load(bytes(image), 3 << 30, "", "image")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (MIB + 0x1008, 0xB0000000 - 8) in plan.zeroed
    assert peak_bytes < MIB
