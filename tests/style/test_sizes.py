"""Files stay short enough to be read in one go."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("ftvm", "guest", "tests", "benchmarks")
SUFFIXES = {".py", ".c", ".h", ".S"}
LINES_MAX = 500

SOURCES = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_is_short(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").count("\n")
    assert lines <= LINES_MAX, f"{source.relative_to(ROOT)} has {lines} lines: split it by nouns"


def test_there_are_sources_to_look_at() -> None:
    assert {path.suffix for path in SOURCES} >= {".py", ".c", ".h"}
