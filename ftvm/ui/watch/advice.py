"""The line that says what is so, and what can be done: who reads nothing else gets on."""

from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.view import View

GOOD, CAREFUL, BAD, PLAIN = "green", "yellow", "red", ""


def advise(model: PairModel, view: View) -> tuple[str, str]:
    """Return the line and its style."""
    if view.notice:
        return view.notice, CAREFUL
    if model.end and not model.is_lost:
        return f"{model.end} q leaves.", PLAIN
    if view.typing:
        return "Keys go to the guest. Ctrl-A comes back to the keys below.", PLAIN
    owned = model.owned
    backup, primary = model.backup, model.primary
    match model.state:
        case "starting":
            return "The pair is starting.", PLAIN
        case "lost":
            return "The guest is lost: nobody is left to run it. q leaves.", BAD
        case "unknown":
            return "No host answers: is the address right, and ftvm serve running there?", CAREFUL
        case "deciding":
            return _deciding(model), CAREFUL
        case "protecting":
            transfer = primary.status.transfer if primary and primary.status else None
            so_far = f": {transfer.describe()}" if transfer else ""
            return f"A new backup is being made{so_far}. The guest runs on.", CAREFUL
        case "alone":
            name = primary.name if primary else "one process"
            how = "p starts a new backup." if owned else "Any host can join: ftvm serve --join."
            return f"NOT PROTECTED: the guest runs on {name} alone. {how}", CAREFUL
    if backup and backup.cut:
        return "The link is cut: output waits. c mends it; if late, one of the two halts.", CAREFUL
    if backup and backup.paused:
        return "The backup is paused: output waits. r resumes it; if late, it is dropped.", CAREFUL
    if model.paused:
        return "An old primary sleeps: r wakes it, it hears of the new one, and halts.", CAREFUL
    if model.is_silent:
        return "The primary has not answered for a while.", CAREFUL
    if owned:
        return "Protected: either of the two may die. k kills the primary, for instance.", GOOD
    return "Protected: either of the two may die.", GOOD


def _deciding(model: PairModel) -> str:
    primary = model.primary
    if primary and primary.paused:
        return "The primary is paused: r resumes it; if late, the backup takes over."
    return "One of the two is gone; the other asks the store whether it may go on."
