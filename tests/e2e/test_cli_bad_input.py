"""Whatever is wrong with what is typed: one line on standard error, status 2, nothing started."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from linux_image import BzImage

MULTIBOOT_MAGIC = 0x1BADB002
PAGE = 4096


def elf(*segments: tuple[int, int], magic: bool = True, file_class: int = 1) -> bytes:
    """An ELF32 image with segments (address, bytes in memory), all of no content but the first."""
    header = struct.pack("<III", MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC & 0xFFFFFFFF)
    content = header if magic else bytes(12)
    place = 52 + 32 * len(segments)
    ident = b"\x7fELF" + bytes((file_class, 1, 1)) + bytes(9)
    start = struct.pack(
        "<HHIIIIIHHHHHH",
        2, 3, 1, segments[0][0], 52, 0, 0, 52, 32, len(segments), 0, 0, 0,
    )  # fmt: skip
    table = b"".join(
        struct.pack("<IIIIIIII", 1, place, at, at, len(content) if not i else 0, size, 7, 1)
        for i, (at, size) in enumerate(segments)
    )
    return ident + start + table + content


MIB = 1 << 20
GOOD = elf((MIB, PAGE))
IMAGES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "no image": (b"#!/bin/sh\n" * 100, "header"),
    "truncated": (GOOD[:60], ""),
    "wrong class": (elf((MIB, PAGE), file_class=2), ""),
    "no header": (elf((MIB, PAGE), magic=False), "header"),
    "overlapping": (elf((MIB, PAGE), (MIB, PAGE)), "overlap"),
    "larger than memory": (elf((MIB, 256 * MIB)), "memory"),
}


def assert_refused(ftvm: FtvmCommand, *arguments: str, says: str = "") -> str:
    before = sorted(ftvm.home.iterdir())
    done = ftvm(*arguments)
    assert (done.status, done.out) == (2, b"")
    (line,) = done.lines
    assert line.startswith("ftvm")
    assert says in line
    assert len(line) < 400
    assert sorted(ftvm.home.iterdir()) == before
    return line


@pytest.mark.parametrize("name", IMAGES)
def test_bad_images(ftvm: FtvmCommand, name: str) -> None:
    content, says = IMAGES[name]
    (ftvm.home / "bad.elf").write_bytes(content)
    assert "bad.elf" in assert_refused(ftvm, "run", "bad.elf", says=says)


def test_the_good_image_is_good(ftvm: FtvmCommand) -> None:
    """So that the bad ones are bad for the reason that they name."""
    (ftvm.home / "good.elf").write_bytes(GOOD)
    assert ftvm("run", "good.elf", "--solo", "--memory", "2M").status == 120


def make_folder(path: Path) -> None:
    path.mkdir()


def make_unreadable(path: Path) -> None:
    path.write_bytes(GOOD)
    path.chmod(0)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (None, "no such file"),
        (make_folder, "directory"),
        (make_pipe, "regular file"),
        (make_loop, "symbolic links"),
        pytest.param(
            make_unreadable,
            "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything"),
        ),
    ],
)
def test_what_is_no_file(ftvm: FtvmCommand, make: Callable[[Path], None] | None, says: str) -> None:
    if make is not None:
        make(ftvm.home / "odd")
    assert_refused(ftvm, "run", "odd", says=says)


def test_an_unknown_guest_is_told_its_neighbours(ftvm: FtvmCommand) -> None:
    line = assert_refused(ftvm, "run", "guest:conter")
    assert "did you mean guest:counter?" in line
    assert "hello, counter, dice, ticker" in line
    assert "did you mean" not in assert_refused(ftvm, "run", "guest:xyzzy")
    assert "guest:counter" in assert_refused(ftvm, "run", "counter")


@pytest.mark.parametrize("line", ["run guest:hello extra", "doctor extra", "guests --loud"])
def test_one_word_too_many_is_told_of_by_the_command(ftvm: FtvmCommand, line: str) -> None:
    command, *_, extra = line.split()
    said = assert_refused(ftvm, *line.split(), says=f"unrecognized arguments: {extra}")
    assert said.startswith(f"ftvm {command}: ")
    assert said.endswith(f"see ftvm {command} --help")


@pytest.mark.parametrize("size", ["", "64Q", "0", "1000", "4097", "-1M", "64 M", "9G", "1e6"])
def test_bad_sizes(ftvm: FtvmCommand, size: str) -> None:
    assert_refused(ftvm, "run", "guest:hello", f"--memory={size}", says="memory")


@pytest.mark.parametrize(
    "when",
    [
        "", "primary", "primary@", "primary@output", "primary@output:", "primary@output:0",
        "primary@output:-1", "primary@output:x", "tertiary@output:1", "primary@moon:1",
        "primary@time:2", "primary@time:2h", "backup@entry:0",
    ],
)  # fmt: skip
def test_bad_crash_points(ftvm: FtvmCommand, when: str) -> None:
    assert_refused(ftvm, "run", "guest:hello", "--crash", when, says="crash point")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--solo", "--crash", "backup@entry:1"),
        ("--solo", "--crash", "primary@entry:1", "--crash", "primary@entry:2"),
        ("--solo", "--crash", "primary@state:1"),
    ],
)
def test_crash_points_that_could_never_come(ftvm: FtvmCommand, arguments: tuple[str, ...]) -> None:
    assert_refused(ftvm, "run", "guest:hello", *arguments)


@pytest.mark.parametrize(
    ("report", "says"),
    [("nowhere/r.json", "No such file"), (".", "directory"), ("/proc/r.json", "")],
)
def test_a_report_that_cannot_be_written(ftvm: FtvmCommand, report: str, says: str) -> None:
    line = assert_refused(ftvm, "run", "guest:hello", "--report", report, says=says)
    assert "report" in line


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--nonsense",), ("rum",), ("run",), ("run", "guest:hello", "more"),
        ("run", "guest:hello", "--mem", "64M"), ("demo", "--seed", "x"), ("demo", "now"),
        ("guests", "--jason"), ("completion",), ("completion", "tcl"),
    ],
)  # fmt: skip
def test_bad_command_lines(ftvm: FtvmCommand, arguments: tuple[str, ...]) -> None:
    assert "--help" in assert_refused(ftvm, *arguments)


def test_text_that_no_guest_could_be_told(ftvm: FtvmCommand) -> None:
    assert_refused(ftvm, "run", "guest:hello", "--append", "\udcff", says="UTF-8")
    assert_refused(ftvm, "run", "\udcff.elf", says="UTF-8")


def test_files_that_the_kernel_could_not_be_given(ftvm: FtvmCommand) -> None:
    (ftvm.home / "ramdisk").write_bytes(b"files")
    run = ("run", "guest:hello")
    assert_refused(ftvm, *run, "--initrd", "absent", says="absent: no such file")
    assert_refused(ftvm, *run, "--initrd", "ramdisk", says="--module")
    assert_refused(ftvm, *run, "--module", "absent one", says="absent: no such file")
    (ftvm.home / "vmlinuz").write_bytes(BzImage().build())
    linux = ("run", "vmlinuz")
    assert_refused(ftvm, *linux, "--module", "ramdisk", says="--initrd")
    assert_refused(ftvm, *linux, "--memory", "4M", says="at least 6M")


def test_no_temporary_directory(ftvm: FtvmCommand) -> None:
    """The first that exists is taken, so take all away."""
    ftvm.environment["TMPDIR"] = "/proc"
    probe = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']; "
    probe += "from ftvm.ui.cli import main; raise SystemExit(main(['run', 'guest:hello']))"
    done = ftvm.python(probe)
    assert done.status == 2
    (line,) = done.lines
    assert "TMPDIR" in line
