"""`ftvm doctor`: what it says of a machine that has everything, something, nothing."""

import json
import os

from ftvm_command import FtvmCommand


def test_this_machine_can_run_guests(ftvm: FtvmCommand) -> None:
    done = ftvm("doctor")
    assert (done.status, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("ok ")][:2] == ["python", "engine"]
    assert lines[-1].startswith("guests can be run here")
    assert b"\x1b" not in done.out
    told = json.loads(ftvm("doctor", "--json").out)
    assert told["works"] is True
    assert {finding["grade"] for finding in told["findings"]} <= {"ok", "lacking"}
    assert all(finding["detail"] for finding in told["findings"])


def test_what_is_lacking_is_told_with_its_remedy(ftvm: FtvmCommand) -> None:
    empty = ftvm.home / "bin"
    empty.mkdir()
    (empty / "apt-get").write_text("#!/bin/sh\n")
    (empty / "apt-get").chmod(0o755)
    (empty / "tmux").write_text("no program")
    (empty / "tmux").chmod(0o755)
    ftvm.environment["PATH"] = str(empty)
    done = ftvm("doctor", "--json")
    assert done.status == 0  # none of these is needed to run a guest
    findings = {finding["name"]: finding for finding in json.loads(done.out)["findings"]}
    assert findings["qemu"]["grade"] == "lacking"
    assert findings["qemu"]["remedy"] == "sudo apt-get install qemu-system-x86"
    assert findings["tmux"]["remedy"] == "sudo apt-get install tmux"
    assert "does not start" in findings["tmux"]["detail"]
    assert findings["engine"]["grade"] == "ok"


def test_a_machine_that_cannot_run_guests_is_told(ftvm: FtvmCommand) -> None:
    """Without the C core; nothing else needs it to be told so."""
    hide = "import sys; sys.modules['ftvm._native'] = None; "
    done = ftvm.python(hide + "from ftvm.ui.cli import main; raise SystemExit(main(['doctor']))")
    assert done.status == 1
    lines = done.out.decode().splitlines()
    (failed,) = [index for index, line in enumerate(lines) if line.startswith("FAILED")]
    assert "engine" in lines[failed]
    assert "pip install" in lines[failed + 1]
    assert lines[-1].startswith("guests cannot be run here")


def test_one_processor_is_few(ftvm: FtvmCommand) -> None:
    one = min(os.sched_getaffinity(0))
    process = ftvm.start("doctor", before=f"taskset -p -c {one} $$ >/dev/null;")
    out, _ = process.communicate()
    assert process.returncode == 0
    assert b"lacking   processors 1: primary and backup take turns" in out
