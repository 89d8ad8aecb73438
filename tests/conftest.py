"""Options, fixtures and helper modules that all tests share."""

import importlib.resources
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from etcd_server import EtcdServer

# How long an example takes says something of the host alone.
settings.register_profile("ftvm", deadline=None)
settings.load_profile("ftvm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the simulations at their full length")
    parser.addoption("--seed", type=int, help="what the storm of faults on hosts is drawn from")


@pytest.fixture(scope="session")
def guest_images() -> Path:
    """The folder of the bundled guest images; FTVM_GUESTS names another one."""
    installed = str(importlib.resources.files("ftvm") / "guests")
    return Path(os.environ.get("FTVM_GUESTS", installed))


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    """A real etcd server for this test alone."""
    server = EtcdServer(tmp_path / "etcd")
    yield server
    server.kill()
