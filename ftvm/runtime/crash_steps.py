"""The named steps at which a replica can be killed, from a guest's byte to its client.

Each step is the moment right before or right after a replica acts on one kind
of event of its protocol. Between two of these moments nothing happens that
anybody else could see, so killing at each of them, one by one, is killing
everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from ftvm.replication.events import (
    AskStore,
    Ended,
    Event,
    FeedLog,
    FeedState,
    GoLive,
    InputArrived,
    OutputReleased,
    PeerJoined,
    PeerLost,
    Send,
    StateGiven,
    StateWanted,
)
from ftvm.replication.messages import (
    Ack,
    Commit,
    Complete,
    ConsoleHello,
    Consumed,
    Entries,
    Exited,
    Goodbye,
    Handover,
    Mark,
    Message,
    Output,
    Reason,
    Released,
    Role,
    State,
)

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Step:
    """A moment in the life of a replica: `moment` of acting on what `matches`."""

    role: Literal["primary", "backup"]
    name: str
    moment: Moment
    matches: Callable[[Event], bool]
    summary: str
    needs_backup: bool = True
    """Whether a run without a backup never comes there."""


class DiskStep(Event, frozen=True):
    """A step of committing a disk, of which the protocol knows nothing."""

    name: str


def _commits(name: str) -> Callable[[Event], bool]:
    return lambda event: event == DiskStep(name)


def _is(kind: type[Event]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, kind)


def _sends(kind: type[Message]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Send) and isinstance(event.message, kind)


def _confirms(event: Event) -> bool:
    """Whether a backup is told that output has arrived: any at all."""
    match event:
        case Send(_, Released(offset=offset)):
            return offset > 0
    return False


def _acknowledges_input(event: Event) -> bool:
    match event:
        case Send(_, Consumed(offset=offset)):
            return offset > 0
    return False


def _greets_anew(event: Event) -> bool:
    """Whether the console is told of another generation than the run's first."""
    match event:
        case Send(_, ConsoleHello(role=Role.PRIMARY, generation=generation)):
            return generation > 1
    return False


def _tells_the_end(event: Event) -> bool:
    match event:
        case Send(_, Goodbye(reason=Reason.GUEST_ENDED)):
            return True
    return False


def _asks_again(event: Event) -> bool:
    """Whether the store is asked for another generation than the run's first."""
    return isinstance(event, AskStore) and event.expected > 0


STEPS: Final = (
    # From the console into the guest, and from the guest to the console.
    Step("primary", "input-arrived", "before", _is(InputArrived),
         "input has come, the guest has none of it", needs_backup=False),
    Step("primary", "log-made", "before", _sends(Entries),
         "log entries are made and none is sent"),
    Step("primary", "log-sent", "after", _sends(Entries),
         "log entries are sent, and no mark that covers them"),
    Step("primary", "mark-sent", "after", _sends(Mark),
         "the backup is told how far it may run"),
    Step("primary", "output-released", "before", _is(OutputReleased),
         "the output rule lets output out, and it is not sent", needs_backup=False),
    Step("primary", "output-sent", "after", _sends(Output),
         "output is sent to the console", needs_backup=False),
    Step("primary", "output-confirmed", "before", _confirms,
         "the console has the output, the backup does not know"),
    Step("primary", "confirmation-sent", "after", _confirms,
         "the backup is told that the console has the output"),
    Step("primary", "input-safe", "before", _acknowledges_input,
         "input can be lost no more, the console does not know", needs_backup=False),
    Step("primary", "input-acknowledged", "after", _acknowledges_input,
         "the console is told that it may forget input", needs_backup=False),
    Step("primary", "exit-sent", "after", _sends(Exited),
         "the console is told that the guest has ended", needs_backup=False),
    Step("primary", "exit-confirmed", "before", _tells_the_end,
         "the console knows of the guest's end, the backup does not", needs_backup=False),
    Step("primary", "ended", "before", _is(Ended),
         "everybody knows of the guest's end", needs_backup=False),
    # What a backup does meanwhile.
    Step("backup", "paired", "before", _is(PeerJoined),
         "from here on it may go live"),
    Step("backup", "log-received", "before", _is(FeedLog),
         "log and mark have come, nothing of it is executed"),
    Step("backup", "acknowledgement-due", "before", _sends(Ack),
         "it has what it is about to acknowledge"),
    Step("backup", "acknowledged", "after", _sends(Ack),
         "the primary is told what it has"),
    Step("backup", "ended", "before", _is(Ended),
         "it has come to the same end as the primary"),
    # Going live.
    Step("backup", "primary-lost", "before", _is(PeerLost),
         "it knows that the primary is lost"),
    Step("backup", "log-drained", "before", _is(AskStore),
         "it has run to the end of the log, the store is not asked"),
    Step("backup", "go-live-claimed", "after", _is(AskStore),
         "the store is asked for the right to go live"),
    Step("backup", "go-live-won", "before", _is(GoLive),
         "the store has given it the right to go live"),
    Step("backup", "gone-live", "after", _is(GoLive),
         "its guest is live, the console does not know"),
    # Going on alone.
    Step("primary", "backup-lost", "before", _is(PeerLost),
         "it knows that the backup is lost"),
    Step("primary", "alone-claimed", "after", _asks_again,
         "the store is asked for the right to go on alone"),
    Step("primary", "generation-won", "before", _greets_anew,
         "a new generation is its own, the console does not know"),
    Step("primary", "console-greeted", "after", _greets_anew,
         "the console is told that a new generation is its own"),
    # Protecting again.
    Step("primary", "transfer-begun", "before", _is(StateWanted),
         "a new backup has greeted, no state is sent"),
    Step("primary", "state", "before", _sends(State),
         "a piece of the guest's state is made and not sent"),
    Step("primary", "handover-sent", "after", _sends(Handover),
         "all state is sent, the new backup has the log from here on"),
    Step("primary", "commit-due", "before", _sends(Commit),
         "the new backup is complete and may not go live yet"),
    Step("primary", "commit-sent", "after", _sends(Commit),
         "the new backup is told that it may go live"),
    Step("backup", "state", "before", _is(FeedState),
         "a piece of the guest's state has come"),
    Step("backup", "handover-received", "before", _is(StateGiven),
         "all of the guest's state has come"),
    Step("backup", "complete-sent", "after", _sends(Complete),
         "it has a machine, and may not go live yet"),
    # Disks of a guest that has ended (disk_commit.py); without one, nothing comes there.
    Step("primary", "disk-copy", "before", _commits("disk-copy"),
         "the guest has ended, what it wrote to its disk is not committed", needs_backup=False),
    Step("primary", "disk-write", "before", _commits("disk-write"),
         "the disk's image is copied, without what the guest wrote", needs_backup=False),
    Step("primary", "disk-replace", "before", _commits("disk-replace"),
         "the copy has what the guest wrote, the image is the old one", needs_backup=False),
    Step("primary", "disk-replaced", "before", _commits("disk-replaced"),
         "the image is the new one, nobody knows of the guest's end", needs_backup=False),
)  # fmt: skip


def find_step(role: str, name: str) -> Step | None:
    """Return the step of that name, if the role has one."""
    return next((step for step in STEPS if (step.role, step.name) == (role, name)), None)


class StepCrash:
    """Dies at the `number`-th time that a step is reached."""

    def __init__(self, step: Step, number: int, die: Callable[[], None]) -> None:
        self._step = step
        self._left = number
        self._die = die

    def before(self, event: Event) -> None:
        """Note that `event` is about to be acted on."""
        self._look("before", event)

    def after(self, event: Event) -> None:
        """Note that `event` has been acted on."""
        self._look("after", event)

    def _look(self, moment: Moment, event: Event) -> None:
        if self._step.moment == moment and self._step.matches(event):
            self._left -= 1
            if self._left == 0:
                self._die()
