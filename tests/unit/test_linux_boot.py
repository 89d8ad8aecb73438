"""Linux boot plans: what a kernel finds at entry, and what is refused and how."""

import struct

import pytest
from linux_image import CODE, BzImage

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot.linux import load
from ftvm.machine.boot.plan import BootPlan

MIB = 1 << 20
MEMORY = 16 * MIB


def boot(image: BzImage, command_line: str = "", initrd: bytes | None = None) -> BootPlan:
    return load(image.build(), MEMORY, command_line, "vmlinuz", initrd)


def memory_of(plan: BootPlan) -> bytearray:
    memory = bytearray(MEMORY)
    for start, data in plan.segments:
        memory[start : start + len(data)] = data
    return memory


def params_of(plan: BootPlan) -> bytes:
    return bytes(memory_of(plan)[plan.registers.esi : plan.registers.esi + 4096])


def number(params: bytes, offset: int, kind: str = "I") -> int:
    value: int = struct.unpack_from("<" + kind, params, offset)[0]
    return value


def test_the_code_lies_at_one_mebibyte_and_the_header_in_the_parameters() -> None:
    image = BzImage()
    plan = boot(image)
    assert memory_of(plan)[MIB : MIB + 4] == CODE
    params = params_of(plan)
    changed_by_the_loader = {0x210, *range(0x218, 0x220), *range(0x228, 0x22C)}
    for offset, byte in enumerate(image.build()[0x1F1:0x26C], 0x1F1):
        assert offset in changed_by_the_loader or params[offset] == byte
    assert params[0x210] == 0xFF, "a boot loader without a number of its own"
    assert not any(params[0x26C:0x2D0]), "what the loader does not know is zero"


def test_registers_at_entry_are_those_of_the_32_bit_protocol() -> None:
    plan = boot(BzImage())
    registers = plan.registers
    assert (registers.eip, registers.ebx, registers.eflags) == (MIB, 0, 2)
    assert registers.cr0 & 0x80000001 == 1
    assert (registers.code.selector, registers.data.selector) == (0x10, 0x18)
    memory = memory_of(plan)
    table = memory[registers.gdt_base : registers.gdt_base + registers.gdt_limit + 1]
    assert table[0x10:0x20] == bytes.fromhex("ffff0000009bcf00 ffff00000093cf00")


def test_the_memory_map_is_the_machines() -> None:
    params = params_of(boot(BzImage()))
    entries = [struct.unpack_from("<QQI", params, 0x2D0 + 20 * n) for n in range(params[0x1E8])]
    assert entries == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),
        (0xF0000, 0x10000, 2),
        (MIB, 15 * MIB, 1),
    ]
    assert number(params, 0x1E0) == 15 * 1024


def test_the_command_line_is_where_the_header_says() -> None:
    plan = boot(BzImage(), "console=ttyS0 é")
    memory = memory_of(plan)
    start = number(params_of(plan), 0x228)
    assert memory[start : memory.index(0, start)] == "console=ttyS0 é".encode()


@pytest.mark.parametrize(
    ("highest", "start"), [(0x7FFFFFFF, MEMORY - 4096), (8 * MIB - 1, 8 * MIB - 4096)]
)
def test_the_initrd_lies_as_high_as_kernel_and_memory_allow(highest: int, start: int) -> None:
    plan = boot(BzImage(initrd_addr_max=highest), initrd=b"files")
    params = params_of(plan)
    assert (number(params, 0x218), number(params, 0x21C)) == (start, 5)
    assert memory_of(plan)[start : start + 5] == b"files"


def test_without_an_initrd_there_is_none() -> None:
    params = params_of(boot(BzImage()))
    assert (number(params, 0x218), number(params, 0x21C)) == (0, 0)


def test_an_old_header_has_what_was_meant_then() -> None:
    old = BzImage(version=0x0202, header_end=0x22C, setup_sectors=0)
    assert memory_of(boot(old))[MIB : MIB + 4] == CODE
    boot(old, "x" * 255)
    with pytest.raises(UsageError, match="has 256 bytes, and vmlinuz takes 255"):
        boot(old, "x" * 256)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (BzImage(version=0x0201), "boot protocol is 2.01"),
        (BzImage(loadflags=0), "a zImage"),
        (BzImage(code=b""), "truncated"),
        (BzImage(header_end=0x210), "setup header ends at 0x210"),
        (BzImage(code32_start=0x10000), "below 1 MiB"),
        (BzImage(init_size=64 * MIB), "at least 68M"),
        (BzImage(code=bytes(20 * MIB)), "at least 24M"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_booted_is_refused_in_one_line(image: BzImage, why: str) -> None:
    with pytest.raises(ImageError, match=why) as caught:
        boot(image)
    assert str(caught.value).startswith("vmlinuz: ")
    assert "\n" not in str(caught.value)


def test_an_initrd_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="more memory"):
        boot(BzImage(), initrd=bytes(11 * MIB))
