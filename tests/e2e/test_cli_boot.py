"""What a kernel is given beside its image, by the commands that boot one."""

import json

import pytest
from ftvm_command import FtvmCommand
from linux_image import BzImage

# Put out the initial RAM disk on COM1 and end with status 2 * 3 + 1.
PRINT_INITRD = bytes.fromhex(
    "8b8618020000"  # mov eax, [esi + 0x218]    boot_params.hdr.ramdisk_image
    "8b8e1c020000"  # mov ecx, [esi + 0x21c]    ramdisk_size
    "89c6"  # mov esi, eax
    "baf8030000"  # mov edx, 0x3f8
    "ac"  # lodsb
    "ee"  # out dx, al
    "49"  # dec ecx
    "75fb"  # jnz to lodsb
    "b007"  # mov al, 7
    "e6f4"  # out 0xf4, al
    "f4"  # hlt
)
FILES = b"files of a system\n"


@pytest.fixture
def linux(ftvm: FtvmCommand) -> FtvmCommand:
    """The command, where a kernel and its files are."""
    (ftvm.home / "bzImage").write_bytes(BzImage(code=PRINT_INITRD).build())
    (ftvm.home / "initrd").write_bytes(FILES)
    return ftvm


@pytest.mark.parametrize("options", [(), ("--solo",), ("--crash", "primary@instruction:30")])
def test_a_linux_kernel_gets_its_initrd(linux: FtvmCommand, options: tuple[str, ...]) -> None:
    done = linux("run", "bzImage", "--initrd", "initrd", *options)
    assert (done.status, done.out) == (7, FILES)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bzImage", "--initrd", "nowhere"), "nowhere: no such file"),
        (("bzImage", "--module", "initrd"), "takes no modules: give --initrd"),
        (("guest:hello", "--initrd", "initrd"), "is no Linux kernel"),
        (("guest:hello", "--module", "nowhere text"), "nowhere: no such file"),
    ],
)
@pytest.mark.parametrize("command", ["run", "serve"])
def test_files_that_do_not_fit_are_refused(
    linux: FtvmCommand, command: str, arguments: tuple[str, ...], says: str
) -> None:
    place = ("--listen", "127.0.0.1:7000", "--store", "store") if command == "serve" else ()
    done = linux(command, *arguments, *place)
    assert (done.status, done.out) == (2, b"")
    (line,) = done.lines
    assert says in line


@pytest.mark.parametrize("option", [("--initrd", "initrd"), ("--module", "initrd")])
def test_a_backup_is_sent_them_with_the_machine(
    linux: FtvmCommand, option: tuple[str, ...]
) -> None:
    place = ("--listen", "127.0.0.1:7000", "--store", "store")
    done = linux("serve", "--join", "127.0.0.1:7001", *option, *place)
    assert done.status == 2
    assert "go with an IMAGE" in done.err


def test_the_report_of_a_linux_kernel_adds_up(linux: FtvmCommand) -> None:
    done = linux("run", "bzImage", "--initrd", "initrd", "--report", "r.json")
    report = json.loads((linux.home / "r.json").read_text())
    assert (done.status, report["end"], report["exit_status"]) == (7, "exit", 7)
    assert report["output_bytes"] == len(FILES)
