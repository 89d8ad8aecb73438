"""What holds of every command: help with an example, pipes that end, full disks, signals."""

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from ftvm_command import COMMAND, HANGS_AFTER_S, FtvmCommand
from recorded_run import boot, record

from ftvm.ui.cli import main, make_parser

COMMANDS = sorted(
    choice.dest
    for action in make_parser()._actions
    if (listed := getattr(action, "_choices_actions", None))
    for choice in listed
)
PRINTS = [
    ("guests",),
    ("inspect", "r"),
    ("inspect", "r", "--entries", "--json"),
    ("replay", "r"),
    ("diff", "r", "r"),
    ("export", "r"),
    ("run", "--crash", "list"),
    ("run", "--help"),
    ("completion", "zsh"),
    ("simulate", "--seed", "3"),
]


@pytest.fixture
def run(ftvm: FtvmCommand, guest_images: Path) -> Path:
    path = ftvm.home / "r"
    path.write_bytes(record(boot(guest_images, "ticker", "rate=1000 ticks=300"))[0])
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(f"  ftvm {command}" in line for line in lines[1:]), "no example"
    assert max(map(len, lines)) <= 80


def test_the_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24  # and the prompt
    assert max(map(len, lines)) <= 80
    assert all(any(f" {command} " in line for line in lines) for command in COMMANDS)


def test_options_of_one_name_are_of_one_kind() -> None:
    """So that what is learnt of one command holds of the next."""
    kinds: dict[str, set[tuple[str, bool]]] = {}
    (commands,) = (a for a in make_parser()._actions if hasattr(a, "_choices_actions"))
    for parser in commands.choices.values():  # type: ignore[union-attr]
        for action in parser._actions:
            for option in action.option_strings:
                value = str(action.metavar or "").split("[")[0]
                kinds.setdefault(option, set()).add((value, action.nargs == 0))
    assert kinds["--json"] == {("", True)}
    assert kinds["--record"] == {("RUN", False)}
    allowed = {"-o": 2, "--output": 2}  # RUN of record, FILE of export and bench
    assert {o: k for o, k in kinds.items() if len(k) > allowed.get(o, 1)} == {}


@pytest.mark.parametrize("arguments", PRINTS, ids=" ".join)
def test_a_reader_that_leaves_is_no_error(
    ftvm: FtvmCommand, run: Path, arguments: tuple[str, ...]
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdout=writes, stderr=subprocess.PIPE, cwd=ftvm.home, env=ftvm.environment,
    )  # fmt: skip
    os.close(writes)
    told = [line for line in done.stderr.splitlines() if b": equal" not in line]
    assert (done.returncode, told) == (141, [])


@pytest.mark.parametrize("arguments", PRINTS[::3], ids=" ".join)
def test_a_full_disk_is_told_in_a_line(
    ftvm: FtvmCommand, run: Path, arguments: tuple[str, ...]
) -> None:
    done = ftvm(*arguments, tail="> /dev/full")
    told = [line for line in done.lines if ": equal" not in line]
    assert done.status in (2, 125)
    assert len(told) == 1
    assert "standard output: No space left on device" in told[0]


NOTHING = [
    ("record", "guest:hello", "-o", ""),
    ("run", "guest:hello", "--record", ""),
    ("run", "guest:hello", "--report", ""),
    ("run", "guest:hello", "--journal", ""),
    ("run", ""),
    ("replay", ""),
    ("export", "r", "-o", ""),
    ("inspect", "r", "--entries", "--from", ""),
    ("inspect", "r", "--entries", "--from", "5", "--until", "2"),
    ("run", "guest:hello", "--store", "/dev/null"),
    ("run", "guest:hello", "--journal", "/dev/null"),
    ("demo", "--seed", "-1"),
    ("audit", "/dev/zero"),
    ("commit", "/dev/zero"),
    ("bench", "--show", "/dev/zero"),
]


@pytest.mark.parametrize("arguments", NOTHING, ids=repr)
def test_what_cannot_be_meant_is_refused(
    ftvm: FtvmCommand, run: Path, arguments: tuple[str, ...]
) -> None:
    """An empty text is a variable of the shell that is not set, and no wish to have no file."""
    done = ftvm(*arguments)
    assert (done.status, done.out, len(done.lines)) == (2, b"", 1)


def test_a_read_only_directory_is_told(ftvm: FtvmCommand, run: Path) -> None:
    for arguments in (
        ("record", "guest:hello", "-o", "/proc/r"),
        ("export", "r", "-o", "/proc/r"),
        ("run", "guest:hello", "--report", "/proc/r"),
        ("run", "guest:hello", "--journal", "/proc/r"),
    ):
        done = ftvm(*arguments)
        assert (done.status, done.out, len(done.lines)) == (2, b"", 1)
        assert "/proc/r" in done.lines[0]


SIGNALS, SIGNALS_LONG = 4, 300


def test_ctrl_c_at_any_moment_leaves_nothing(
    ftvm: FtvmCommand, run: Path, request: pytest.FixtureRequest
) -> None:
    """No traceback, no process, and a word about a guest that ran."""
    draw = random.Random(3)
    commands = [
        ("run", "guest:counter"),
        ("run", "guest:primes", "--append", "rounds=5000"),
        ("record", "guest:counter", "-o", "other"),
        ("replay", "r"),
        ("diff", "r", "r"),
        ("simulate",),
        ("guests",),
    ]
    for _ in range(SIGNALS_LONG if request.config.getoption("--long") else SIGNALS):
        command = draw.choice(commands)
        process = ftvm.start(*command)
        try:
            process.wait(draw.choice([0.2, 0.6, 1.5]) * (1 + draw.random()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=HANGS_AFTER_S)
        if b"Traceback" in told and b"ftvm/ui" not in told:
            continue  # on a busy host: Python itself was not ready yet
        assert process.returncode in (0, 130, -signal.SIGINT), (command, told)
        assert b"Traceback" not in told, told.decode()
        if command[0] == "run" and process.returncode == 130:
            assert b"SIGINT: the guest was stopped at instruction" in told or b"interrupted" in told
    assert ftvm.left_processes() == []


def test_parsing_loads_nothing_that_is_slow(ftvm: FtvmCommand) -> None:
    """Or help and completion keep people waiting."""
    probe = "import sys; from ftvm.ui.cli import make_parser; make_parser(); import json; "
    probe += "print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(ftvm.python(probe).out))
    slow = {"msgspec", "rich", "capstone", "cryptography", "ftvm._native", "matplotlib"}
    assert loaded & slow == set()
