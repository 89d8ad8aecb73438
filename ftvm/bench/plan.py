"""How much is measured: everything at length, or a little of everything."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of a session. ``seconds`` is what one run of a guest is to take.

    With `tiny`, runs are of a fixed small size: they show that everything works
    and that all rivals compute the same, but say nothing of speed.
    """

    tiny: bool
    turns: int
    seconds: float
    failovers: int
    transfers: int


FULL = Plan(tiny=False, turns=3, seconds=0.4, failovers=40, transfers=3)
TINY = Plan(tiny=True, turns=1, seconds=0.05, failovers=1, transfers=1)

Tell = Callable[[str], None]
"""Says what is being done."""
