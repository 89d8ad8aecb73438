"""The other serial ports, port E9, and the exit status as QEMU has it."""

import os
import shutil
import subprocess
import termios
from pathlib import Path

import pytest
from assembler import EBX, Assembler
from ftvm_command import FtvmCommand
from port_program import COM1, COM2, COM3, COM4, DEBUG, out_byte, out_dword, program, say

TEXTS = {"com2": b"two\n", "com3": b"three\n", "com4": b"four\n", "debugcon": b"five\n"}
PORTS = (COM2, COM3, COM4, DEBUG)
FILES = tuple(word for name in TEXTS for word in (f"--{name}", name))
SENT = {
    "com2": b"to two.q",
    "com3": b"to three, more than fits at once" * 600 + b"q",
    "com4": bytes(set(range(256)) - set(b"q")) + b"q",
}
INPUTS = tuple(word for name in SENT for word in (f"--{name}", name, f"--{name}-in", f"{name}.in"))
LINE_STATUS, DATA_READY = 5, 1


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


@pytest.fixture
def answerer(ftvm: FtvmCommand) -> FtvmCommand:
    """The command, where a guest is that sends back what comes on COM1 to COM4, up to three q's."""
    code = Assembler(0).mov(EBX, 3).label("look")
    for port in (COM1, COM2, COM3, COM4):
        code.in_byte(port + LINE_STATUS).raw(0xA8, DATA_READY).j("e", f"none {port}")
        code.in_byte(port).raw(0xEE)  # out dx, al
        code.raw(0x3C, ord("q")).j("ne", f"none {port}")  # cmp al, "q"
        code.dec(EBX).j("e", "leave").label(f"none {port}")
    code.jmp("look").label("leave")
    (ftvm.home / "answerer").write_bytes(program(code.bytes(), out_dword(0xF4, 7)))
    for name, data in SENT.items():
        (ftvm.home / f"{name}.in").write_bytes(data)
    return ftvm


def answered(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in SENT}


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
    "how",
    [
        ("--solo",),
        ("--crash", "primary@instruction:40000"),
        ("--crash", "primary@entry:9", "--crash", "primary@output-sent:40"),
    ],
    ids=" ".join,
)
def test_the_guest_is_sent_files_exactly_once(answerer: FtvmCommand, how: tuple[str, ...]) -> None:
    done = answerer("run", "answerer", *INPUTS, *how)
    assert (done.status, done.out) == (7, b"")
    assert answered(answerer.home) == SENT


def test_what_a_guest_was_sent_is_in_its_recording(answerer: FtvmCommand) -> None:
    done = answerer("record", "answerer", "-o", "run", *INPUTS)
    assert (done.status, answered(answerer.home)) == (7, SENT)
    done = answerer("replay", "run")
    assert (done.status, done.out) == (0, b"")


def test_a_pipe_takes_one_writer_after_the_other(answerer: FtvmCommand) -> None:
    os.mkfifo(answerer.home / "fifo")
    process = answerer.start("run", "answerer", "--solo", "--com3", "com3", "--com3-in", "fifo")
    for word in (b"first q", b"second q", b"third q"):
        with (answerer.home / "fifo").open("wb") as fifo:
            fifo.write(word)
    process.communicate()
    assert process.returncode == 7
    assert (answerer.home / "com3").read_bytes() == b"first qsecond qthird q"


def test_a_terminal_is_a_line_in_both_directions(answerer: FtvmCommand) -> None:
    """As with a minicom at the other end."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    process = answerer.start("run", "answerer", "--com2", name, "--com2-in", name)
    while termios.tcgetattr(theirs)[3] & termios.ECHO:
        assert process.poll() is None
        os.sched_yield()
    sent = b"a\nb\x03\x04\x11\x13\r\xffqqq"
    heard = b""
    while len(heard) < len(sent):  # byte by byte, so that its echo would show
        os.write(ours, sent[len(heard) : len(heard) + 1])
        heard += os.read(ours, 1)
    process.communicate()
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, heard) == (7, sent)


def test_com1_is_a_file_while_the_screen_is_shown(answerer: FtvmCommand) -> None:
    (answerer.home / "com1.in").write_bytes(b"one qqq")
    done = answerer("run", "answerer", "--screen", "--com1", "com1", "--com1-in", "com1.in")
    assert done.status == 7
    assert (answerer.home / "com1").read_bytes() == b"one qqq"
    done = answerer("run", "answerer", "--com1-in", "com1.in")
    assert done.status == 2
    assert done.lines == [
        "ftvm: COM1 is standard input and output: --com1 and --com1-in want --screen"
    ]


@pytest.mark.parametrize(
    ("name", "why"), [("nowhere", "No such file or directory"), (".", "Is a directory")]
)
def test_what_cannot_be_sent_is_told_before_anything_runs(
    answerer: FtvmCommand, name: str, why: str
) -> None:
    done = answerer("run", "answerer", "--com4-in", name)
    assert (done.status, done.out) == (2, b"")
    assert done.lines == [f"ftvm: --com4-in {name!r}: {why}"]


def test_the_run_may_end_when_all_that_is_sent_is_used_up(answerer: FtvmCommand) -> None:
    (answerer.home / "com2.in").write_bytes(b"no end")
    done = answerer(
        "run", "answerer", "--com2", "com2", "--com2-in", "com2.in", "--eof-exit", typed=b"one"
    )
    assert (done.status, done.out) == (0, b"one")
    assert (answerer.home / "com2").read_bytes() == b"no end"


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
