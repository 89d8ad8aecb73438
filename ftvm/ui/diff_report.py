"""What `ftvm diff` shows of a difference."""

import sys
from collections.abc import Iterable
from typing import TextIO

from ftvm.log.state_difference import GENERAL
from ftvm.ui.difference import Difference
from ftvm.ui.inspection import entry_text
from ftvm.ui.notices import wants_colour

_ALWAYS = (*GENERAL, "eip", "eflags")
_NAME_COLUMNS = 30
_DEVICES_MAX = 12


class _Page:
    """Lines for a file; those that differ stand out, on a terminal by colour too."""

    def __init__(self, file: TextIO, *, colour: bool) -> None:
        self._file = file
        self._colour = colour

    def line(self, text: str = "", *, marked: bool = False) -> None:
        if marked and self._colour:
            text = f"\x1b[1;31m{text}\x1b[0m"
        print(text, file=self._file)


def print_report(found: Difference, file: TextIO | None = None) -> None:
    """Print what was found of two runs, on standard output if no file is given."""
    page = _Page(file or sys.stdout, colour=file is None and wants_colour(1))
    a, b = found.names
    if found.began_otherwise:
        page.line(f"they began with other {', '.join(found.began_otherwise)}; besides:")
    if found.verdict == "equal":
        page.line(f"{a} and {b} are equal: {found.equal:,} instructions")
        return
    if found.verdict == "ended":
        page.line(f"{a} and {b} are equal up to instruction {found.equal:,}")
        page.line(found.detail)
        return
    if found.different == found.equal:
        page.line(f"{a} and {b} are different from the beginning, instruction {found.equal:,}")
    elif found.verdict == "different":
        where = f"{a} and {b} part at instruction {found.different:,}"
        page.line(f"{where}: equal before, different behind")
    if found.detail:
        page.line(found.detail)
    _print_code(page, found)
    _print_log(page, found)
    _print_registers(page, found)
    _print_memory(page, found)
    _print_devices(page, found)


def _short(name: str) -> str:
    """The end of a name, as wide as a column."""
    return name if len(name) <= _NAME_COLUMNS else "…" + name[1 - _NAME_COLUMNS :]


def _code(instruction: tuple[int, str]) -> str:
    return f"{instruction[0]:08x}  {instruction[1]}"


def _print_code(page: _Page, found: Difference) -> None:
    if found.instruction is None:
        return
    page.line("\nexecuted")
    for instruction in found.before:
        page.line(f"    {_code(instruction)}")
    page.line(f"  > {_code(found.instruction)}", marked=True)
    a, b = ([_code(instruction) for instruction in side] for side in (found.a, found.b))
    if a == b:
        page.line("next")
        for text in a:
            page.line(f"    {text}")
        return
    for name, side in zip(found.names, (a, b), strict=True):
        page.line(f"next in {name}")
        for text in side:
            page.line(f"    {text}")


def _print_log(page: _Page, found: Difference) -> None:
    a, b = found.came_in
    if not (a or b):
        return
    page.line("\ncame in")
    for name, entries in zip(found.names, (a, b), strict=True):
        told = ", ".join(f"{entry['kind']} {entry_text(entry)}" for entry in entries)
        page.line(f"  {_short(name):{_NAME_COLUMNS}}  {told or 'nothing'}", marked=a != b)


def _columns(page: _Page, title: str, found: Difference) -> None:
    a, b = (_short(name) for name in found.names)
    page.line(f"\n{title:14}{a:{max(12, len(a) + 2)}}{b}")


def _rows(
    page: _Page, found: Difference, rows: Iterable[tuple[str, str, str]], *, all_differ: bool
) -> None:
    width = max(12, len(_short(found.names[0])) + 2)
    for name, a, b in rows:
        differs = a != b
        mark = "*" if differs and not all_differ else " "
        page.line(f"{mark} {name:12}{a:{width}}{b}".rstrip(), marked=differs)


def _print_registers(page: _Page, found: Difference) -> None:
    _columns(page, "register", found)
    rows = [
        (name, f"{a:08x}", f"{b:08x}")
        for name, a, b in found.registers
        if name in _ALWAYS or a != b
    ]
    _rows(page, found, rows, all_differ=False)


def _print_memory(page: _Page, found: Difference) -> None:
    if not found.memory:
        page.line("\nmemory is equal")
        return
    _columns(page, "memory", found)
    rows = []
    for address, a, b in found.memory:
        changed = a ^ b
        bit = f"   bit {changed.bit_length() - 1}" if changed & (changed - 1) == 0 else ""
        rows.append((f"{address:08x}", f"{a:02x}", f"{b:02x}{bit}"))
    _rows(page, found, rows, all_differ=True)
    if found.memory_bytes > len(found.memory):
        page.line(f"  ... of {found.memory_bytes:,} bytes that differ")


def _print_devices(page: _Page, found: Difference) -> None:
    if not found.devices:
        return
    page.line("\ndevices")
    for name, a, b in found.devices[:_DEVICES_MAX]:
        page.line(f"  {name}: {a!r} and {b!r}", marked=True)
    if len(found.devices) > _DEVICES_MAX:
        page.line(f"  ... of {len(found.devices)} fields that differ")
