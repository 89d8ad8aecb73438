"""Every public module, class and function says what it is for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "ftvm").rglob("*.py"))

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def is_setter(node: Documented) -> bool:
    """Whether it belongs to a property, whose getter has the words."""
    decorators = [] if isinstance(node, ast.Module) else node.decorator_list
    return any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in decorators)


def public_parts(module: ast.Module) -> Iterator[tuple[str, int, Documented]]:
    """Name, line and node of the module and of what can be imported or called from it."""
    yield "the module", 1, module
    waiting: list[tuple[str, ast.Module | ast.ClassDef]] = [("", module)]
    while waiting:
        prefix, parent = waiting.pop()
        for node in parent.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_") or is_setter(node):
                continue
            yield prefix + node.name, node.lineno, node
            if isinstance(node, ast.ClassDef):
                waiting.append((f"{prefix}{node.name}.", node))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_parts_have_docstrings(source: Path) -> None:
    module = ast.parse(source.read_text(encoding="utf-8"))
    undocumented = [
        f"{source.relative_to(ROOT)}:{line} {name}"
        for name, line, node in public_parts(module)
        if not (ast.get_docstring(node) or "").strip()
    ]
    assert undocumented == []


def test_there_are_sources_to_look_at() -> None:
    assert ROOT / "ftvm" / "errors.py" in SOURCES
