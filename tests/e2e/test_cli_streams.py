"""The other serial ports, port E9, and the exit status as QEMU has it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from port_program import COM1, COM2, COM3, COM4, DEBUG, out_byte, out_dword, program, say

TEXTS = {"com2": b"two\n", "com3": b"three\n", "com4": b"four\n", "debugcon": b"five\n"}
PORTS = (COM2, COM3, COM4, DEBUG)
FILES = tuple(word for name in TEXTS for word in (f"--{name}", name))


@pytest.fixture
def talker(ftvm: FtvmCommand) -> FtvmCommand:
    """The command, where a guest is that says something on every stream, byte by byte by turns."""
    turns = b"".join(
        out_byte(port, text[at])
        for at in range(6)
        for port, text in zip((COM1, *PORTS), (b"one\n", *TEXTS.values()), strict=True)
        if at < len(text)
    )
    (ftvm.home / "talker").write_bytes(program(turns, out_dword(0xF4, 0x10)))
    return ftvm


def said(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in TEXTS}


def test_every_stream_has_its_file(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--solo", *FILES)
    assert (done.status, done.out) == (16, b"one\n")
    assert said(talker.home) == TEXTS


def test_streams_nobody_asked_for_go_nowhere(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--com3", "com3")
    assert (done.status, done.out) == (16, b"one\n")
    assert (talker.home / "com3").read_bytes() == b"three\n"


@pytest.mark.parametrize("instruction", [1, 20, 44, 61])
def test_streams_are_exactly_once_over_a_failover(talker: FtvmCommand, instruction: int) -> None:
    crash = ("--crash", f"primary@instruction:{instruction}")
    done = talker("run", "talker", *FILES, *crash)
    assert (done.status, done.out) == (16, b"one\n")
    assert said(talker.home) == TEXTS
    done = talker("run", "talker", *FILES, "--crash", "primary@output-sent:2")
    assert (done.status, done.out) == (16, b"one\n")
    assert said(talker.home) == TEXTS


def test_a_stream_goes_to_standard_output_as_well(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--solo", "--debugcon", "-")
    assert done.status == 16
    assert sorted(done.out) == sorted(b"one\nfive\n")


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--com2", "nowhere/com2")
    assert (done.status, done.out) == (2, b"")
    assert done.lines == ["ftvm: --com2 'nowhere/com2': No such file or directory"]


def test_two_streams_do_not_share_a_file(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--com2", "out", "--com4", "./out")
    assert (done.status, done.out) == (2, b"")
    assert done.lines == ["ftvm: --com4 ./out is the file of --com2: name another"]


def test_a_full_disk_ends_the_run(talker: FtvmCommand) -> None:
    done = talker("run", "talker", "--com2", "/dev/full")
    assert done.status == 125
    assert "cannot write to /dev/full: No space left on device" in done.lines[-1]


@pytest.mark.parametrize(
    ("value", "ours", "theirs"), [(0, 0, 1), (0x10, 16, 33), (0x1FF, 255, 255)]
)
def test_the_exit_status_is_the_value_or_as_qemu_has_it(
    ftvm: FtvmCommand, value: int, ours: int, theirs: int
) -> None:
    (ftvm.home / "leaver").write_bytes(program(say(COM1, b"bye\n"), out_dword(0xF4, value)))
    assert ftvm("run", "leaver", "--solo").status == ours
    assert ftvm("run", "leaver", "--solo", "--exit-convention", "ftvm").status == ours
    assert ftvm("run", "leaver", "--exit-convention", "qemu").status == theirs
    if shutil.which("qemu-system-i386"):
        exit_port = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        qemu = ["qemu-system-i386", "-nodefaults", "-display", "none", *exit_port]
        done = subprocess.run([*qemu, "-kernel", str(ftvm.home / "leaver")], timeout=60)
        assert done.returncode == theirs


@pytest.mark.parametrize("convention", ["ftvm", "qemu"])
def test_switching_off_is_success_by_either_convention(ftvm: FtvmCommand, convention: str) -> None:
    off = b"\xba\x04\x06\0\0\x66\xb8\0\x34\x66\xef"  # mov edx, 0x604; mov ax, 0x3400; out dx, ax
    (ftvm.home / "leaver").write_bytes(program(off))
    done = ftvm("run", "leaver", "--exit-convention", convention, "--report", "report")
    assert done.status == 0
    assert b'"end": "off"' in (ftvm.home / "report").read_bytes()
