"""What an image is, its content says."""

import gzip

import pytest
from linux_image import BzImage
from multiboot_image import Elf

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.boot.plan import Module

MEMORY = 16 << 20
LINUX, MULTIBOOT = BzImage().build(), Elf().build()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_each_kind_is_found_packed_or_not(pack) -> None:  # type: ignore[no-untyped-def]
    linux = plan_boot(BootFiles("a", pack(LINUX), ""), MEMORY)
    assert linux.registers.esi
    multiboot = plan_boot(BootFiles("a", pack(MULTIBOOT), ""), MEMORY)
    assert multiboot.registers.eax == 0x2BADB002


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (BootFiles("a", MULTIBOOT, "", initrd=b"x"), "a is no Linux kernel.*--module"),
        (BootFiles("a", LINUX, "", modules=[Module("m", "m", b"x")]), "takes no modules"),
    ],
)
def test_what_is_for_the_other_kind_is_refused(files: BootFiles, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        plan_boot(files, MEMORY)


@pytest.mark.parametrize(
    "image",
    [
        gzip.compress(LINUX)[:-30],
        b"\x1f\x8b" + bytes(50),
        gzip.compress(bytes(MEMORY + 1)),
    ],
    ids=["cut off", "damaged", "too large"],
)
def test_a_bad_gzip_file_is_refused_in_one_line(image: bytes) -> None:
    with pytest.raises(ImageError, match=r"^a: ") as caught:
        plan_boot(BootFiles("a", image, ""), MEMORY)
    assert "\n" not in str(caught.value)
