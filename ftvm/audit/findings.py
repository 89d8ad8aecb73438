"""What an audit finds."""

from dataclasses import dataclass, field
from enum import StrEnum


class Rule(StrEnum):
    """What must hold over a whole run."""

    OUTPUT_RULE = "output rule"
    """No output left before a backup had all that led to it, or by a primary alone by right."""
    SINGLE_PRIMARY = "single primary"
    """Each generation had one owner, and nobody let out anything without one, or past its end."""
    EXACTLY_ONCE = "console exactly once"
    """Every byte of output once, in order, and the same whoever sent it."""
    INPUT = "input"
    """No input that the console was told to forget was lost, none was taken twice."""
    END = "end"
    """The guest had one end, told when no failure could undo it."""


@dataclass(frozen=True)
class Violation:
    """A rule that did not hold, and the record that proves it."""

    rule: Rule
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.rule} violated at {self.file}:{self.line}: {self.text}"


@dataclass
class Findings:
    """What was found in all journals together."""

    violations: list[Violation] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Journals without which there is no judging, and what they would have to tell."""
    notes: list[str] = field(default_factory=list)
