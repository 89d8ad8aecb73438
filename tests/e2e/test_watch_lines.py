"""`ftvm run --watch` and `ftvm watch` without a terminal: lines, for eyes and for programs."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_server import free_port
from ftvm_command import COMMAND, FtvmCommand
from hosts import Cluster

LINE = re.compile(r" *\d+\.\d{3} s  (state|check|event|console) +(.*)")


def told(output: bytes) -> list[tuple[str, str]]:
    """Kind and text of each line."""
    matches = [LINE.fullmatch(line) for line in output.decode().splitlines()]
    assert all(matches), output
    return [(match[1], match[2]) for match in matches if match]


def test_a_run_is_told_line_by_line_and_ends_as_its_guest_does(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:primes", "--watch", "--append", "rounds=40")
    lines = told(done.out)
    assert done.status == 0
    assert [text for kind, text in lines if kind == "state"] == [
        "starting (generation 0)",
        "protected (generation 1)",
        "ended (generation 1)",
    ]
    checks = [text for kind, text in lines if kind == "check"]
    assert checks
    assert all(
        re.fullmatch(r" *\d+ at [\d,]+ [0-9a-f]{8} equal, [\d.]+ ms apart", c) for c in checks
    )
    assert any(kind == "console" and text.startswith("primes:") for kind, text in lines)
    assert lines[-1][1].startswith("the guest has ended: exit, status 0, at instruction ")
    assert done.err == ""


def test_a_failover_is_told_and_the_guest_is_protected_again_without_a_key(
    ftvm: FtvmCommand,
) -> None:
    run = ftvm.start("run", "guest:counter", "--watch", "--crash", "primary@output:18")
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(b"iii")
    run.stdin.flush()
    text = b""
    while b"protected again: backup c" not in text:
        line = run.stdout.readline()
        assert line, text
        text += line
    run.stdin.write(b"q")
    run.stdin.close()
    text += run.stdout.read()
    assert run.wait() == 0
    lines = told(text)
    assert [text for kind, text in lines if kind == "console"] == ["counter: ready", "1", "2", "3"]
    assert any("primary a killed by SIGKILL; backup live" in text for _, text in lines)
    run.stderr.close()  # type: ignore[union-attr]


def test_what_does_not_go_together_is_refused(ftvm: FtvmCommand) -> None:
    done = ftvm("run", "guest:counter", "--watch", "--solo")
    assert (done.status, done.lines) == (2, ["ftvm: --watch shows a pair: leave out --solo"])
    assert ftvm("watch", "nowhere").status == 2


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, str(tmp_path / "store"))
    yield cluster
    cluster.close()


def test_hosts_are_told_as_json_until_nobody_wants_to_know(
    cluster: Cluster, guest_images: Path
) -> None:
    one, two = (f"127.0.0.1:{free_port()}" for _ in range(2))
    cluster.serve(one, guest_images / "counter.elf")
    cluster.join(two, one)
    watch = subprocess.Popen(
        [*COMMAND, "watch", f"{one},{two}", "--json"],
        stdout=subprocess.PIPE,
        env=cluster.environment,
    )
    assert watch.stdout is not None
    seen: dict[str, list[dict[str, object]]] = {"state": [], "check": [], "event": []}
    while not (
        any(each["text"] == "protected" for each in seen["state"])
        and any(each["verdict"] == "equal" for each in seen["check"])
    ):
        line = watch.stdout.readline()
        assert line, seen
        said = json.loads(line)
        seen[said["kind"]].append(said)
    check = seen["check"][-1]
    assert len(str(check["digest"])) == 32
    assert {"after_ns", "number", "instruction", "apart_ns"} <= check.keys()
    assert any(str(each["text"]).startswith(f"protected: {one}") for each in seen["event"])
    watch.send_signal(signal.SIGTERM)
    assert watch.wait() == 143
    watch.stdout.close()
