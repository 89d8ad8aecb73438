import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_tiny_benchmark_runs_every_guest_on_every_engine(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(file.read_text())
    assert measured["machine"]
    guests = {entry["guest"]: entry for entry in measured["guests"]}
    assert {"primes", "sort", "crc", "strings", "storm"} <= guests.keys()
    for entry in guests.values():
        assert entry["steps"] > 0
        assert {"counted", "primary"} <= entry["engines"].keys()
    assert {"stock", "stock, hooked", "uncounted"} <= guests["primes"]["engines"].keys()
    for engine in ("primary", "pair"):
        assert guests["storm"]["engines"][engine]["log_entries"] > 0
    assert {figure["name"] for figure in measured["figures"]} >= {
        "rdtsc, logged",
        "rdtsc, replayed",
        "stop anywhere and resume, in C",
    }
    for guest in guests:
        assert guest in result.stdout


def test_the_tiny_benchmark_of_channels_measures_both_kinds() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.channel", "--tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for word in ("plain", "protected", "connect and first answer", "MB/s"):
        assert word in result.stdout


def test_the_tiny_benchmark_of_transfers_protects_both_guests(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.transfer", "--tiny", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for word in ("sleeps", "writes 4 MB", "pause, ms", "plain copy, MB/s"):
        assert word in result.stdout
    transfers = json.loads(file.read_text())["transfers"]
    assert [transfer["hot"] for transfer in transfers] == [0, 4]
    for transfer in transfers:
        (run,) = transfer["runs"]
        assert run["bytes"] > 8 << 20
        assert 0 < run["pause_ns"] < run["total_ns"]
