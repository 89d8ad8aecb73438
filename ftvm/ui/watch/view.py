"""What the user looks at: nothing of the pair, all of the screen."""

from dataclasses import dataclass


@dataclass
class View:
    """The screen's own state."""

    typing: bool = False
    """Whether keys go to the guest."""
    helping: bool = False
    selected: int | None = None
    """Number of the check that is looked at; None for the newest."""
    question: str = ""
    """A key that was asked back for, and does what it does when it comes again."""
    notice: str = ""
    """What there is to say of the last key."""
    can_type: bool = True
    """Whether there is a console here to type at."""
