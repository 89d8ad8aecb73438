"""Options that all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the simulations at their full length")
    parser.addoption("--seed", type=int, help="simulate only the schedule of this seed")
