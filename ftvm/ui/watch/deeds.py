"""What can be done to a pair by a key, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ftvm.ui.watch.model import PairModel

ELSEWHERE = "these processes are on other hosts: kill or stop them there"


@dataclass(frozen=True)
class Deed:
    """A key that does something to the pair. `hindrance` says why not now; nothing if it may."""

    key: str
    words: str
    summary: str
    hindrance: Callable[[PairModel], str]


def _needs_primary(model: PairModel) -> str:
    return "" if model.primary else "there is no primary"


def _needs_backup(model: PairModel) -> str:
    return "" if model.backup else "there is no backup: p starts one"


def _pauses(role: str) -> Callable[[PairModel], str]:
    def hindrance(model: PairModel) -> str:
        why = _needs_primary(model) if role == "primary" else _needs_backup(model)
        sighting = model.primary if role == "primary" else model.backup
        return why or (
            f"the {role} is paused: r resumes it" if sighting and sighting.paused else ""
        )

    return hindrance


def _resumes(model: PairModel) -> str:
    return "" if model.paused else "nobody is paused"


def _flips(model: PairModel) -> str:
    backup = model.backup
    if backup is None:
        return _needs_backup(model)
    follows = backup.status is not None and backup.status.instructions > 0
    return "" if follows else "the backup has no machine yet"


def _protects(model: PairModel) -> str:
    if model.primary is None:
        return _needs_primary(model)
    return "there is a backup" if model.backup else ""


KILL_PRIMARY: Final = Deed("k", "kill", "kill the primary: SIGKILL", _needs_primary)
KILL_BACKUP: Final = Deed("K", "kill", "kill the backup: SIGKILL", _needs_backup)
PAUSE_PRIMARY: Final = Deed("s", "pause", "pause the primary: SIGSTOP", _pauses("primary"))
PAUSE_BACKUP: Final = Deed("S", "pause", "pause the backup: SIGSTOP", _pauses("backup"))
RESUME: Final = Deed("r", "resume", "resume who is paused", _resumes)
CUT: Final = Deed("c", "cut the link", "cut the link, or mend it", _needs_backup)
FLIP: Final = Deed("f", "flip", "flip a bit in the backup", _flips)
PROTECT: Final = Deed("p", "protect again", "start a new backup", _protects)

DEEDS: Final = (
    KILL_PRIMARY, KILL_BACKUP, PAUSE_PRIMARY, PAUSE_BACKUP, RESUME, CUT, FLIP, PROTECT
)  # fmt: skip


def hindrance(deed: Deed, model: PairModel) -> str:
    """Return why a deed cannot be done now; nothing if it can."""
    if not model.owned:
        return ELSEWHERE
    if model.end:
        return "the guest has ended"
    return deed.hindrance(model)


def would_lose_guest(deed: Deed, model: PairModel) -> bool:
    """Whether a deed ends the guest: it has nobody to go on."""
    return deed is KILL_PRIMARY and model.state in ("alone", "protecting", "starting")
