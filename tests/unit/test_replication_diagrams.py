"""The state diagrams in the documentation are those of the tables."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_documentation_agrees_with_the_tables() -> None:
    spec = importlib.util.spec_from_file_location("diagrams", DOCS / "make_state_diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    diagrams = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(diagrams)
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    assert "PAIRED --> ARBITRATING: backup lost" in page
    assert diagrams.redrawn(page) == page
