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
