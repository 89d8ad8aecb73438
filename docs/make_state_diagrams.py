"""Draws the state diagrams in protocol.md from the tables in ftvm/replication/states.py.

Run it after a change of the tables: python docs/make_state_diagrams.py
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from ftvm.replication import states

PAGE = Path(__file__).with_name("protocol.md")
DIAGRAMS: dict[str, tuple[Mapping[Any, Mapping[Any, Any]], StrEnum]] = {
    "primary": (states.PRIMARY, states.PrimaryState.CLAIMING),
    "backup": (states.BACKUP, states.BackupState.JOINING),
    "arbiter": (states.ARBITER, states.ArbiterState.IDLE),
    "endpoint link": (states.ENDPOINT_LINK, states.LinkState.GREETING),
}


def diagram(table: Mapping[Any, Mapping[Any, Any]], start: StrEnum) -> str:
    """Return one table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start.name}"]
    for state, moves in table.items():
        lines += [f"    {state.name} --> {to.name}: {trigger}" for trigger, to in moves.items()]
        if not moves:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join([*lines, "```"])


def redrawn(page: str) -> str:
    """Return the page with every diagram between its two comments drawn anew."""
    for name, (table, start) in DIAGRAMS.items():
        begin, end = f"<!-- states: {name} -->", "<!-- end of states -->"
        before, opening, rest = page.partition(f"{begin}\n")
        _, closing, after = rest.partition(end)
        if not opening or not closing:
            raise SystemExit(f"{PAGE.name} has no place for the diagram of {name}")
        page = f"{before}{opening}{diagram(table, start)}\n{closing}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
