"""What the command tells about itself: guests, help, version, completion."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand

import ftvm as package

COMMANDS = (
    *("demo", "run", "serve", "console", "watch", "status", "simulate", "bench", "guests"),
    "completion",
)


def test_guests_as_json(ftvm: FtvmCommand) -> None:
    guests = json.loads(ftvm("guests", "--json").out)
    assert [set(guest) for guest in guests] == [{"name", "path", "summary"}] * len(guests)
    assert {"hello", "counter", "ticker", "storm"} <= {guest["name"] for guest in guests}
    for guest in guests:
        assert Path(guest["path"]).read_bytes().startswith(b"\x7fELF")
        assert guest["summary"]


def test_guests_as_lines(ftvm: FtvmCommand) -> None:
    done = ftvm("guests")
    text = done.out.decode()
    for guest in json.loads(ftvm("guests", "--json").out):
        assert f"guest:{guest['name']} " in text
        assert guest["summary"] in text
    assert max(len(line) for line in text.splitlines()[:-1]) <= 100


@pytest.mark.parametrize("arguments", [("guests",), ("guests", "--json"), ("--help",)])
def test_a_reader_that_leaves_gets_no_traceback(
    ftvm: FtvmCommand, arguments: tuple[str, ...]
) -> None:
    assert ftvm(*arguments, tail="| true").err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example(ftvm: FtvmCommand, command: str) -> None:
    text = ftvm(command, "--help").out.decode()
    assert f"  ftvm {command}" in text or f"  bash  ftvm {command}" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_version(ftvm: FtvmCommand) -> None:
    assert ftvm("--version").out.decode() == f"ftvm {package.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_good_shell(ftvm: FtvmCommand, shell: str) -> None:
    done = ftvm("completion", shell)
    assert done.status == 0
    assert b"--crash" in done.out or b"crash" in done.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.out, check=True)


def test_bash_completes(ftvm: FtvmCommand) -> None:
    script = ftvm.home / "completion"
    script.write_bytes(ftvm("completion", "bash").out)
    ask = f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_ftvm ftvm; '
    ask += 'echo "${COMPREPLY[@]}"'
    for words, answer in (
        (("ftvm", "gu"), "guests"),
        (("ftvm", "run", "--mem"), "--memory"),
        (("ftvm", "completion", "z"), "zsh"),
    ):
        done = subprocess.run(["bash", "-c", ask, "bash", *words], capture_output=True, check=True)
        assert done.stdout.decode().split() == [answer]
