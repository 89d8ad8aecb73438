"""Imports run one way only, and the pure layers know nothing of the host."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ftvm"

# Each layer imports only itself and what stands before it.
LAYERS = (
    "base",
    "_native",
    "machine",
    "log",
    "replication",
    "audit",
    "simulation",
    "runtime",
    "bench",
    "ui",
)
BASE_MODULES = {"__init__", "errors", "units"}
# `python -m ftvm` is the user's way in.
TOP_MODULES = {"__main__"}

PURE_LAYERS = {"machine", "log", "replication", "audit"}
# A simulation knows as little of its host, but draws its schedules from a seed.
SEEDED_LAYERS = {"simulation"}
BANNED = {
    *("time", "os", "socket", "random", "threading", "asyncio", "select", "subprocess"),
    # The same by other names.
    *("concurrent", "multiprocessing", "secrets", "selectors", "signal", "tempfile", "uuid"),
    *("socketserver", "ssl", "queue", "sched", "_thread", "posix"),
}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str:
    """The layer of a dotted module name under ftvm, by its second part."""
    part = module.split(".")[1] if "." in module else "__init__"
    if part in BASE_MODULES:
        return "base"
    if part in TOP_MODULES:
        return "ui"
    assert part in LAYERS, f"{module} stands in no layer of {LAYERS}"
    return part


def module_of(source: Path) -> str:
    parts = source.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: Path) -> list[tuple[int, str]]:
    """Line and full name of everything that is imported, wherever the import stands."""
    package = source.relative_to(ROOT).parent.parts
    return list(imports_in(source.read_text(encoding="utf-8"), package))


def imports_in(text: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """The same for the text of a module in `package`; `from a import b` counts as `a.b`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield node.lineno, ".".join([*base, alias.name])


def imported_layer(name: str) -> str | None:
    """The layer of an imported name; None if it is not ours."""
    parts = name.split(".")
    if parts[0] != "ftvm":
        return None
    known = {*LAYERS, *BASE_MODULES, *TOP_MODULES}
    # `from ftvm import __version__` and the like are names of the package itself.
    return layer_of(".".join(parts[:2])) if len(parts) > 1 and parts[1] in known else "base"


def test_there_is_something_to_look_at() -> None:
    layers = {layer_of(module_of(source)) for source in SOURCES}
    assert {"base", *PURE_LAYERS, *SEEDED_LAYERS, "runtime", "ui"} <= layers


@pytest.mark.parametrize("source", SOURCES, ids=module_of)
def test_imports_run_one_way(source: Path) -> None:
    own_rank = LAYERS.index(layer_of(module_of(source)))
    upwards = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports_of(source)
        if (layer := imported_layer(name)) is not None and LAYERS.index(layer) > own_rank
    ]
    assert upwards == []


@pytest.mark.parametrize("source", SOURCES, ids=module_of)
def test_only_the_machine_imports_the_native_core(source: Path) -> None:
    users = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports_of(source)
        if imported_layer(name) == "_native"
    ]
    assert users == [] or layer_of(module_of(source)) in {"machine", "_native"}


@pytest.mark.parametrize(
    "source",
    [source for source in SOURCES if layer_of(module_of(source)) in PURE_LAYERS],
    ids=module_of,
)
def test_pure_layers_know_nothing_of_the_host(source: Path) -> None:
    banned = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports_of(source)
        if name.split(".")[0] in BANNED
    ]
    assert banned == []


@pytest.mark.parametrize(
    "source",
    [source for source in SOURCES if layer_of(module_of(source)) in SEEDED_LAYERS],
    ids=module_of,
)
def test_a_simulation_depends_on_its_seed_alone(source: Path) -> None:
    banned = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports_of(source)
        # The class takes a seed; the functions beside it have a generator of the process's own.
        if name.split(".")[0] in BANNED and name != "random.Random"
    ]
    assert banned == []


@pytest.mark.parametrize("source", SOURCES, ids=module_of)
def test_nothing_but_its_command_imports_the_simulation(source: Path) -> None:
    users = [
        f"{source.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports_of(source)
        if imported_layer(name) == "simulation"
    ]
    assert users == [] or layer_of(module_of(source)) in {"simulation", "ui"}


def test_every_form_of_import_is_seen() -> None:
    text = """
import os.path
from time import sleep
from . import pic
from ..boot import plan
from ftvm import __version__, runtime
from ftvm.ui.cli import main
import ftvm._native
"""
    names = [name for _, name in imports_in(text, ("ftvm", "machine", "devices"))]
    assert [(name, imported_layer(name)) for name in names] == [
        ("os.path", None),
        ("time.sleep", None),
        ("ftvm.machine.devices.pic", "machine"),
        ("ftvm.machine.boot.plan", "machine"),
        ("ftvm.__version__", "base"),
        ("ftvm.runtime", "runtime"),
        ("ftvm.ui.cli.main", "ui"),
        ("ftvm._native", "_native"),
    ]
