"""Fixtures of the tests that run the command itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ftvm_command import FtvmCommand
from hosts import Cluster


@pytest.fixture
def ftvm(tmp_path: Path) -> Iterator[FtvmCommand]:
    """The command; whatever a test does with it, nothing may be left behind."""
    command = FtvmCommand(tmp_path)
    yield command
    assert command.left_processes() == []
    assert command.left_files() == []


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Hosts of one guest, with a store of their own; their journals are audited at the end."""
    cluster = Cluster(tmp_path, f"file://{tmp_path}/store")
    yield cluster
    cluster.close()
