"""`ftvm record`, `--record` and `ftvm replay` as a shell sees them."""

import itertools
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ftvm_command import COMMAND, FtvmCommand
from layouts import assert_equal_elsewhere
from pseudo_terminal import PseudoTerminal
from recorded_run import EVERY_GUEST, boot, record

from ftvm.ui.cli import main

SESSION = b"counter: ready\n1\n2\n3\n3\n"


@pytest.fixture(scope="module")
def recorded(guest_images: Path) -> bytes:
    """A session of the counter, recorded."""
    data, output = record(boot(guest_images, "counter"), b"iiirq")
    assert output == SESSION
    return data


@pytest.fixture
def run(ftvm: FtvmCommand, recorded: bytes) -> Path:
    """Its file, where the command runs."""
    path = ftvm.home / "counter.run"
    path.write_bytes(recorded)
    return path


@pytest.fixture
def terminal(ftvm: FtvmCommand) -> Iterator[Callable[..., PseudoTerminal]]:
    opened = []

    def start(*arguments: str) -> PseudoTerminal:
        opened.append(PseudoTerminal([*COMMAND, *arguments], ftvm.home, ftvm.environment))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_recorded_session_is_replayed(ftvm: FtvmCommand) -> None:
    done = ftvm("record", "guest:counter", "-o", "r", typed=b"iiirq")
    assert (done.status, done.out) == (0, SESSION)
    done = ftvm("replay", "r")
    assert (done.status, done.out) == (0, SESSION)
    assert done.lines[-1].startswith("ftvm: equal: ")
    assert "output and end at instruction" in done.lines[-1]


@pytest.mark.parametrize(("guest", "append", "keys"), EVERY_GUEST)
def test_every_guest_is_the_same_in_another_process_and_address_space(
    ftvm: FtvmCommand, guest: str, append: str, keys: bytes
) -> None:
    recorded = ftvm("record", f"guest:{guest}", "-o", "r", "--append", append, typed=keys)
    replayed = ftvm("replay", "r")
    assert (replayed.status, replayed.out) == (0, recorded.out)
    assert recorded.out
    assert_equal_elsewhere(ftvm, "r")


def test_a_session_with_a_disk_is_the_same_in_another_address_space(ftvm: FtvmCommand) -> None:
    with (ftvm.home / "disk.img").open("wb") as image:
        image.truncate(1 << 20)
    disk = ("--disk", "disk.img")
    recorded = ftvm("record", "guest:disk", "-o", "r", *disk, typed=b"wwwrq")
    assert recorded.status == 0
    (ftvm.home / "disk.img").unlink()  # what was read of it is in the recording
    assert ftvm("replay", "r").out == recorded.out
    assert_equal_elsewhere(ftvm, "r")


def test_a_session_at_a_terminal_is_replayed_and_left(
    ftvm: FtvmCommand, terminal: Callable[..., PseudoTerminal]
) -> None:
    typist = terminal("record", "guest:counter", "-o", "r")
    typist.see("counter: ready\r\n")
    for answer in ("1", "2", "3"):
        typist.type(b"i")
        typist.see(f"{answer}\r\n")
    typist.type(b"\x01x")
    assert typist.end() == 0
    done = ftvm("replay", "r")
    assert (done.status, done.out) == (0, b"counter: ready\n1\n2\n3\n")
    assert_equal_elsewhere(ftvm, "r")
    live = terminal("replay", "r", "--go-live")
    live.see("3\r\n")
    live.see("Ctrl-A x leaves")
    live.type(b"i")
    live.see("4\r\n")
    assert live.is_raw()
    live.type(b"rq")
    live.see("4\r\n")
    assert live.end() == 0
    assert live.is_as_before()


def test_a_guest_goes_live_in_the_middle(ftvm: FtvmCommand, run: Path) -> None:
    end = json.loads(ftvm("replay", run.name, "--json").out)["instruction"]
    # Nothing typed has been taken yet here; so the recorded keys never come.
    done = ftvm("replay", run.name, "--until", f"{end // 2:,}", "--go-live", typed=b"irq")
    assert (done.status, done.out) == (0, b"counter: ready\n1\n1\n")
    assert done.lines[0].startswith("ftvm: equal so far: ")


def test_a_replay_begins_at_an_instruction(ftvm: FtvmCommand, run: Path) -> None:
    whole = json.loads(ftvm("replay", run.name, "--json").out)
    shown = b""
    edges = [0, whole["instruction"] * 9 // 10, whole["instruction"] - 20, whole["instruction"]]
    for begin, end in itertools.pairwise(edges):
        done = ftvm("replay", run.name, "--from", str(begin), "--until", str(end))
        assert done.status == 0
        shown += done.out
    assert shown == SESSION


def test_the_recording_of_a_pair_goes_over_its_failover(ftvm: FtvmCommand) -> None:
    crash = ("--crash", "primary@output:17")
    done = ftvm("run", "guest:counter", "--record", "r", *crash, typed=b"iiirq")
    assert (done.status, done.out) == (0, SESSION)
    replayed = ftvm("replay", "r")
    assert (replayed.status, replayed.out) == (0, SESSION)
    assert sorted(path.name for path in ftvm.home.iterdir()) == ["r", "temporary"]


def test_the_recordings_of_a_lost_pair_are_kept(ftvm: FtvmCommand) -> None:
    crashes = ("--crash", "primary@output:17", "--crash", "primary@output:19")
    done = ftvm("run", "guest:counter", "--record", "r", *crashes, typed=b"iiirq")
    assert done.status == 121
    assert "ftvm: the recordings break off where their replicas died: r.a and r.b" in done.lines
    assert not (ftvm.home / "r").exists()
    replayed = ftvm("replay", "r.b")
    assert replayed.status == 1
    assert replayed.out.startswith(done.out)


def test_what_was_seen_of_a_killed_guest_is_in_its_recording(ftvm: FtvmCommand) -> None:
    crash = ("--crash", "primary@output:20")
    seen = ftvm("run", "guest:counter", "--solo", "--record", "r", *crash, typed=b"iiirq")
    assert seen.status == 121
    replayed = ftvm("replay", "r")
    assert replayed.status == 1
    assert replayed.out.startswith(seen.out)
    assert replayed.out in SESSION
    assert "its end is missing, and the recording is torn at byte" in replayed.lines[-1]


def test_a_recording_that_cannot_be_written_stops_the_guest(ftvm: FtvmCommand) -> None:
    arguments = ("record", "guest:entropy", "-o", "r", "--append", "n=5000")
    process = ftvm.start(*arguments, before="ulimit -f 80;")
    out, err = process.communicate(b"")
    assert process.returncode != 0
    assert b"cannot write the recording r: File too large; the guest is stopped at" in err
    assert err.count(b"\n") == 1
    assert (ftvm.home / "r").stat().st_size == 80 << 10
    replayed = ftvm("replay", "r")
    assert replayed.status == 1
    assert "torn" in replayed.lines[-1]
    assert replayed.out.startswith(out)


def test_ctrl_c_leaves_a_whole_recording(ftvm: FtvmCommand) -> None:
    process = ftvm.start("record", "guest:counter", "-o", "r")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"i")
    process.stdin.flush()
    assert process.stdout.readline() + process.stdout.readline() == b"counter: ready\n1\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    replayed = ftvm("replay", "r")
    assert (replayed.status, replayed.out) == (0, b"counter: ready\n1\n")


def test_a_backup_with_a_flipped_bit_leaves_its_recording(ftvm: FtvmCommand) -> None:
    flip = ("--flip", "backup@instruction:500000:0x3f00000:0")
    done = ftvm("run", "guest:primes", "--record", "r", "--append", "rounds=20", *flip)
    assert done.status == 122
    assert "ftvm: ftvm diff r r.b finds the first instruction that differs" in done.lines
    assert ftvm("replay", "r").status == 0
    assert ftvm("replay", "r.b").status == 122


BAD = {
    "record guest:hello": "-o",
    "record guest:hello -o no/such": "recording no/such: No such file",
    "record guest:hello -o .": "Is a directory",
    "run guest:hello --record .": "Is a directory",
    "replay nothing": "nothing: No such file",
    "replay .": "is a directory",
    "replay counter.run --until 9e9": "not a number of instructions",
    "replay counter.run --until 999999999": "goes from instruction 0 to",
    "replay counter.run --from 9 --until 5": "--from 9 is behind --until 5",
    "replay counter.run --json --go-live": "leave one of them out",
    "replay counter.run --go-live": "does not run on",
    "run guest:hello --flip backup@5": "ROLE@instruction:N:ADDR:BIT",
    "run guest:hello --flip backup@instruction:1:0x9999999:0": "memory",
    "run guest:hello --flip backup@instruction:0:0x9999:0": "1 or more",
    "run guest:hello --flip backup@instruction:1:0x9999:8": "bits 0 to 7",
    "run guest:hello --flip third@instruction:1:0x9999:7": "primary or backup",
    "run guest:hello --solo --flip backup@instruction:1:0:7": "--solo",
}


@pytest.mark.parametrize(("arguments", "says"), BAD.items())
def test_bad_input_is_one_line(
    tmp_path: Path,
    recorded: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: str,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("counter.run").write_bytes(recorded)
    try:
        status = main(arguments.split())
    except SystemExit as left:
        status = left.code  # type: ignore[assignment]
    assert status == 2
    assert says in capfd.readouterr().err.splitlines()[-1]


def test_what_cannot_be_a_run_is_refused(ftvm: FtvmCommand, run: Path) -> None:
    shutil.copy(shutil.which("true") or "/bin/true", ftvm.home / "true")
    assert "not a recorded run" in ftvm("replay", "true").err
    pipe = subprocess.run(
        [*COMMAND, "replay", "/dev/stdin"], input=run.read_bytes(), capture_output=True
    )
    assert (pipe.returncode, pipe.stdout) == (2, b"")
    assert b"give a file, not a pipe" in pipe.stderr
