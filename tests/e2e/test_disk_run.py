"""Disks on the command line: a primary dies, and the file has what an undisturbed run writes."""

import subprocess
import sys
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand

from ftvm.runtime.crash_steps import STEPS

SECTOR = 512
SECTORS = 400
KEYS = b"wwwwrwwq"


@pytest.fixture
def ftvm(tmp_path: Path) -> FtvmCommand:
    return FtvmCommand(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path / "disk.img")


def make_image(path: Path) -> Path:
    path.write_bytes(bytes(SECTOR * 100) + b"\xa5" * SECTOR * (SECTORS - 100))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """What a run writes that nothing happens to, and what it says."""
    ftvm = FtvmCommand(tmp_path_factory.mktemp("undisturbed"))
    path = make_image(ftvm.home / "disk.img")
    done = ftvm("run", "guest:disk", "--solo", "--disk", "disk.img", typed=KEYS)
    assert done.status == 0, done.err
    content = path.read_bytes()
    assert sum(any(content[at : at + SECTOR]) for at in range(0, SECTOR * 100, SECTOR)) == 6
    return content, done.out


COMMITTING = [f"{step.role}@{step.name}" for step in STEPS if step.name.startswith("disk-")]
"""Steps of putting what the guest wrote into its image."""


@pytest.mark.parametrize("crash", ["primary@output:40", *COMMITTING])
def test_a_killed_primarys_writes_are_in_the_file(
    ftvm: FtvmCommand, image: Path, undisturbed: tuple[bytes, bytes], crash: str
) -> None:
    done = ftvm("run", "guest:disk", "--disk", "disk.img", "--crash", crash, typed=KEYS)
    assert done.status == 0, done.err
    assert "killed by SIGKILL" in done.err
    assert (image.read_bytes(), done.out) == undisturbed
    assert [path for path in ftvm.home.iterdir() if path.is_file()] == [image]


def test_a_new_backup_has_what_was_written_before_it_came(
    ftvm: FtvmCommand, image: Path, undisturbed: tuple[bytes, bytes]
) -> None:
    process = ftvm.start(
        *("run", "guest:disk", "--disk", "disk.img"),
        *("--crash", "primary@output:30", "--crash", "primary@commit-sent"),
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(KEYS[:4])
    process.stdin.flush()
    said = ""
    while said.count("killed by SIGKILL") < 2:
        line = process.stderr.readline().decode()
        assert line, said
        said += line
    out, _ = process.communicate(KEYS[4:])
    assert process.returncode == 0, said
    assert (image.read_bytes(), out) == undisturbed


@pytest.mark.parametrize("mode", ["ro", "snapshot"])
def test_an_image_that_is_not_to_be_changed_is_not(
    ftvm: FtvmCommand, image: Path, mode: str
) -> None:
    before = image.read_bytes(), image.stat().st_mtime_ns
    done = ftvm("run", "guest:disk", "--disk", f"disk.img,{mode}", typed=b"wrq")
    assert done.status == 0, done.err
    wrote = {"ro": b"error 44\n0 records\n", "snapshot": b"1\n1 records\n"}
    assert done.out.endswith(wrote[mode])
    assert (image.read_bytes(), image.stat().st_mtime_ns) == before


def test_a_guest_that_is_left_keeps_what_it_wrote(ftvm: FtvmCommand, image: Path) -> None:
    done = ftvm("run", "guest:disk", "--disk", "disk.img", "--eof-exit", typed=b"ww")
    assert done.status == 0, done.err
    again = ftvm("run", "guest:disk", "--disk", "disk.img", typed=b"q")
    assert again.out == b"disk: 400 sectors, 2 records\n"


def test_two_disks_are_two_drives(ftvm: FtvmCommand, image: Path) -> None:
    make_image(ftvm.home / "second.img")
    done = ftvm(
        *("run", "guest:disk", "--append", "check", "--solo"),
        *("--disk", "disk.img", "--disk", "second.img,snapshot"),
    )
    assert done.status == 0, done.out
    assert b"all 15 checks ok" in done.out


def test_an_image_in_use_is_refused(ftvm: FtvmCommand, image: Path) -> None:
    process = ftvm.start("run", "guest:disk", "--disk", "disk.img")
    assert process.stdout is not None
    assert process.stdout.readline() == b"disk: 400 sectors, 0 records\n"
    refused = ftvm("run", "guest:disk", "--disk", "disk.img")
    assert refused.status == 2
    assert refused.lines == [
        "ftvm: disk.img is in use by another run: end that first, or add ,snapshot or ,ro"
    ]
    assert ftvm("run", "guest:disk", "--disk", "disk.img,ro", typed=b"q").status == 0
    process.communicate(b"q")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("disks", "why"),
    [
        (["none.img"], "ftvm: disk none.img: No such file or directory"),
        (["disk.img"] * 3, "ftvm: 3 times --disk: the ATA channel has 2 drives"),
        (["disk.img,ro"] * 2, "is the same file as the other: give a copy"),
        ([",ro"], "names no file"),
        (["."], "not a regular file"),
    ],
)
def test_bad_disks_are_one_line(ftvm: FtvmCommand, image: Path, disks: list[str], why: str) -> None:
    options = [part for disk in disks for part in ("--disk", disk)]
    done = ftvm("run", "guest:disk", *options)
    assert done.status == 2
    assert len(done.lines) == 1
    assert why in done.err


def test_what_cannot_be_committed_is_saved_and_can_be_committed_later(
    ftvm: FtvmCommand, undisturbed: tuple[bytes, bytes]
) -> None:
    image = make_image(ftvm.home / "disk.img")
    before = image.read_bytes()
    # No file may become larger than 100 KiB: a copy of the image would.
    process = ftvm.start("run", "guest:disk", "--disk", "disk.img", before="ulimit -f 100;")
    _, err = process.communicate(KEYS)
    assert process.returncode == 125
    saved = ftvm.home / "disk.img.ftvm-writes"
    assert f"cannot be committed: File too large; it is in {saved}" in err.decode()
    assert image.read_bytes() == before
    refused = ftvm("run", "guest:disk", "--disk", "disk.img")
    assert (refused.status, len(refused.lines)) == (2, 1)
    assert f"ftvm commit {saved}, or delete it" in refused.err
    done = ftvm("commit", saved.name)
    assert done.status == 0, done.err
    assert "6 sectors are in" in done.err
    assert image.read_bytes() == undisturbed[0]
    assert not saved.exists()


def test_a_recorded_run_needs_no_image_to_be_replayed(ftvm: FtvmCommand, image: Path) -> None:
    done = ftvm(
        *("run", "guest:disk", "--disk", "disk.img", "--record", "run"),
        *("--crash", "primary@output:40"),
        typed=KEYS,
    )
    assert done.status == 0, done.err
    image.unlink()
    replayed = ftvm("replay", "run")
    assert replayed.status == 0, replayed.err
    assert replayed.out == done.out
    half = ftvm("replay", "run", "--until", "20000", "--go-live", "--eof-exit")
    assert half.status == 2
    assert "disk.img: No such file" in half.err


def test_an_image_that_becomes_unreadable_is_an_error_of_the_guests_drive(
    ftvm: FtvmCommand, image: Path
) -> None:
    shrink = f"import os; os.truncate({str(image)!r}, {SECTOR})"
    process = ftvm.start("run", "guest:disk", "--disk", "disk.img,snapshot", "--record", "run")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"disk: 400 sectors, 0 records\n"
    subprocess.run([sys.executable, "-c", shrink], check=True)
    process.stdin.write(b"ww")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == [b"1\n", b"2\n"]
    out, _ = process.communicate(b"rq")  # the third record cannot be read, nobody wrote it
    assert out == b"2 records\n"
    assert process.returncode == 0
    assert b"failure" in ftvm("inspect", "run", "--entries", "--kind", "failure").out
    assert ftvm("replay", "run").status == 0
