"""`ftvm run` in a pipe: the guest's console, its exit status, crashes, the report."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand

COUNTED = b"counter: ready\n1\n2\n3\n3\n"

CRASHES = (
    "primary@instruction:0",
    "primary@instruction:5000",
    "primary@output:1",
    "primary@output:20",
    "primary@entry:3",
    "primary@time:1ms",
    "backup@instruction:5000",
    "backup@output:20",
    "backup@entry:3",
    "backup@time:1ms",
)


@pytest.mark.parametrize("options", [(), ("--solo",)], ids=["pair", "solo"])
def test_a_guest_is_driven_by_a_pipe(ftvm: FtvmCommand, options: tuple[str, ...]) -> None:
    done = ftvm("run", "guest:counter", *options, typed=b"iixirq")
    assert (done.status, done.out, done.err) == (0, COUNTED, "")


@pytest.mark.parametrize("when", CRASHES)
def test_a_crash_does_not_show_on_the_console(ftvm: FtvmCommand, when: str) -> None:
    process = ftvm.start("run", "guest:counter", "--crash", when, "--report", "r.json")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"iii")
    process.stdin.flush()
    line = process.stderr.readline().decode()  # a crash may come as late as it likes
    out, rest = process.communicate(b"rq", timeout=100)
    assert (process.returncode, out) == (0, COUNTED)
    assert all(line.startswith(b"ftvm: protected again: ") for line in rest.splitlines())
    report = json.loads((ftvm.home / "r.json").read_text())
    role = when.partition("@")[0]
    assert [death["role"] for death in report["deaths"]] == [role]
    assert report["deaths"][0]["status"] == "killed by SIGKILL"
    assert len(report["failovers"]) == (role == "primary")
    assert len(report["backup_losses"]) == (role == "backup")
    assert line.startswith(f"ftvm: {role} ")
    assert "killed by SIGKILL" in line


def test_the_report_adds_up(ftvm: FtvmCommand) -> None:
    done = ftvm(
        "run", "guest:counter", "--crash", "primary@output:18", "--report", "r.json",
        "--memory", "16M", "--append", "a b", typed=b"iiirq",
    )  # fmt: skip
    report = json.loads((ftvm.home / "r.json").read_text())
    assert report["end"] == "exit"
    assert report["exit_status"] == done.status == 0
    assert report["memory_bytes"] == 16 << 20
    assert report["append"] == "a b"
    assert report["output_bytes"] == len(done.out)
    assert report["input_bytes"] == 5
    assert len(bytes.fromhex(report["digest"])) == 16
    assert report["divergences"] == report["contradictions"] == []
    (failover,) = report["failovers"]
    assert 0 < failover["instruction"] <= report["instructions"]
    assert 0 < failover["log_entries"] <= report["log"]["entries"]
    assert 0 < failover["log_bytes"] <= report["log"]["bytes"]
    times = failover["time"]
    assert all(span >= 0 for span in times.values())
    assert sum(times.values()) == 2 * times["total_ns"]


def test_the_same_run_ends_in_the_same_machine(ftvm: FtvmCommand) -> None:
    """What neither reads the clock nor sleeps has the same count, with a failover or without."""
    reports = []
    for crash in ([], ["--crash", "primary@output:20"]):
        ftvm("run", "guest:crc", "--append", "rounds=1", "--report", "r.json", *crash)
        reports.append(json.loads((ftvm.home / "r.json").read_text()))
    assert reports[0]["instructions"] == reports[1]["instructions"]


@pytest.mark.parametrize(
    ("guest", "append", "status"),
    [("hello", "", 0), ("primes", "size=99999999999", 2), ("faults", "triple", 120)],
)
def test_the_exit_status_is_the_guests(
    ftvm: FtvmCommand, guest: str, append: str, status: int
) -> None:
    done = ftvm("run", f"guest:{guest}", "--append", append)
    assert done.status == status
    assert done.out.startswith(guest.encode())
    assert ("triple fault" in done.err) == (status == 120)


def test_a_guest_without_replicas_is_lost(ftvm: FtvmCommand) -> None:
    crashes = ("--crash", "primary@output:15", "--crash", "primary@output:19")
    done = ftvm("run", "guest:counter", *crashes, "--report", "r.json", typed=b"iiirq")
    assert done.status == 121
    assert COUNTED.startswith(done.out)
    assert done.lines[-1].startswith("ftvm: the guest is lost: ")
    report = json.loads((ftvm.home / "r.json").read_text())
    assert (report["end"], report["exit_status"]) == ("lost", 121)


def test_a_crash_point_that_never_comes_is_told(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:hello", "--crash", "primary@output:9999")
    assert done.status == 0
    assert done.lines == ["ftvm: crash point primary@output:9999 never came"]


def test_the_guest_goes_on_after_the_end_of_input(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:ticker", "--append", "rate=1000 ticks=30")
    assert done.status == 0
    assert done.out.count(b"\n") > 2


def test_eof_exit_leaves_a_guest_that_would_wait(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:counter", "--eof-exit", "--report", "r.json", typed=b"ii")
    assert (done.status, done.out, done.err) == (0, b"counter: ready\n1\n2\n", "")
    assert json.loads((ftvm.home / "r.json").read_text())["end"] == "stopped"


def test_input_may_come_from_a_file_of_any_size(ftvm: FtvmCommand) -> None:
    (ftvm.home / "keys").write_bytes(b"." * 100_000 + b"iiirq")
    done = ftvm("run", "guest:counter", tail="< keys")
    assert (done.status, done.out) == (0, COUNTED)


def test_closed_standard_streams_are_an_end_of_input_and_a_plain_error(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:hello", tail="<&-")
    assert (done.status, done.out.startswith(b"hello")) == (0, True)
    done = ftvm("run", "guest:hello", tail=">&-")
    assert done.status == 2
    assert done.lines == ["ftvm: cannot write to standard output: Bad file descriptor"]


def test_a_reader_that_leaves_ends_it_quietly(ftvm: FtvmCommand) -> None:
    """Even while the guest is silent, and standard input open."""
    process = ftvm.start("run", "guest:counter", tail='| head -1; exit "${PIPESTATUS[0]}"')
    process.wait(timeout=100)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (141, b"counter: ready\n", b"")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_signal_ends_the_pair_and_says_so(
    ftvm: FtvmCommand, number: signal.Signals, status: int
) -> None:
    process = ftvm.start("run", "guest:counter", "--report", "r.json")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"i")
    process.stdin.flush()
    assert process.stdout.readline() + process.stdout.readline() == b"counter: ready\n1\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=100)
    assert process.returncode == status
    assert err.decode().startswith(f"ftvm: {number.name}: the guest was stopped at instruction ")
    assert err.count(b"\n") == 1
    report = json.loads((ftvm.home / "r.json").read_text())
    assert (report["end"], report["exit_status"]) == ("stopped", status)
    assert report["instructions"] > 0


def test_a_signal_that_is_to_be_ignored_is(ftvm: FtvmCommand) -> None:
    """As under nohup."""
    process = ftvm.start("run", "guest:counter", before='trap "" HUP;')
    assert process.stdout is not None
    assert process.stdout.readline() == b"counter: ready\n"
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(b"iq", timeout=100)
    assert (process.returncode, out) == (0, b"1\n")


def test_a_signal_ends_it_even_while_nobody_reads(ftvm: FtvmCommand) -> None:
    process = ftvm.start("run", "guest:storm", "--append", "ops=2000000000")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=100)
    assert process.returncode == 130
    process.communicate()


def test_replicas_end_with_a_supervisor_that_is_killed(ftvm: FtvmCommand) -> None:
    process = ftvm.start("run", "guest:counter")
    assert process.stdout is not None
    process.stdout.readline()
    assert len(ftvm.left_processes()) == 3
    process.kill()
    process.wait()
    while ftvm.left_processes():
        pass
    # Nobody is left to remove the run's folder.
    for folder in ftvm.temporary.iterdir():
        subprocess.run(["rm", "-r", folder], check=True)
    process.communicate()


def test_a_report_replaces_the_old_one_whole(ftvm: FtvmCommand) -> None:
    report, link = ftvm.home / "r.json", ftvm.home / "link.json"
    report.write_text("old")
    report.chmod(0o640)
    link.symlink_to(report)
    ftvm("run", "guest:hello", "--solo", "--report", str(link))
    assert link.is_symlink()
    assert json.loads(report.read_text())["end"] == "exit"
    assert report.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in ftvm.home.iterdir()) == ["link.json", "r.json", "temporary"]


def test_a_report_may_go_to_a_pipe(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:hello", "--solo", "--report", "/dev/fd/2")
    assert json.loads(done.err)["protected"] is False


def test_a_full_disk_under_the_output_is_one_line(ftvm: FtvmCommand) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the host has no /dev/full")
    done = ftvm("run", "guest:counter", tail="> /dev/full")
    assert done.status == 2
    assert done.lines == ["ftvm: cannot write to standard output: No space left on device"]
    done = ftvm("run", "guest:hello", "--report", "/dev/full")
    assert done.status == 2
    assert done.lines == ["ftvm: cannot write the report /dev/full: No space left on device"]
