# Theory of operation
# ===================
#
# Two replicas of one guest run in lockstep; the primary's outputs are seen, the
# backup's are not. Everything about *who may run alone* is in this file, as
# tables; docs/protocol.md draws its diagrams from them.
#
# A *generation* is the right to run alone. There is one store that all can
# reach, holding one number; it is moved from G to G + 1 by an atomic
# test-and-set, in the name of one owner. The boot of a run takes it from 0 to
# 1. Then:
#
# 1) A primary without a backup holds its generation alone, and nobody else can
#    run: it releases outputs at once.
#
# 2) From the moment a primary says yes to a backup (its HELLO to one that
#    stands at the same place, its COMMIT to one that was sent its machine), the
#    backup may go live whenever it loses sight of the primary. So from that
#    moment the output rule holds: an output leaves only when the backup has
#    acknowledged a mark past it, and therefore would make the same output again.
#
# 3) When the two lose each other, neither can know whether the other lives.
#    Both may try G -> G + 1. The store lets one win. The winner runs alone
#    (case 1, in generation G + 1); the loser halts for ever. Both have the same
#    G, because a generation only ever changes when a pair breaks up.
#
# 4) Until the answer of the store is in, a primary releases nothing (but goes
#    on computing, within the bounds on held output and log), and a backup does
#    not run past the last mark. With the store out of reach they wait and try
#    again: safe, and alive again when the store is.
#
# 5) Losing is final, and so is halting: a replica that halted never computes
#    another instruction, and says no more on any channel. This is also what
#    happens to a primary that learns from an endpoint that a newer generation
#    exists (it was paused, and its backup went live meanwhile), and to a backup
#    whose machine is not equal to the primary's.
#
# 6) A leave on purpose (GOODBYE) after the end of the guest, or because
#    somebody asked for it, is no failure: the backup ends too and does not go
#    live. A *backup* that leaves on purpose is lost like any other, and the
#    primary goes to the store: one rule without exceptions is easier to trust.
#    A primary that hands over (GOODBYE with SWITCH_OVER) is lost like any other,
#    too: it has ended before it says so, and its backup asks the store.
#
# 7) A primary that runs alone, or has not begun yet, protects itself
#    (PROTECTING): it sends its state to a new backup, computes meanwhile, and is
#    still alone by right. The yes comes in three steps, each of which the next
#    presupposes:
#
#    a. HANDOVER: the machine that was sent stands at count C, and whatever the
#       primary does from there is log, with marks. No rights change.
#    b. COMPLETE: the backup has a machine with the digest of the primary's at C.
#       It replays the log, acknowledges marks, and has no right to go live.
#    c. COMMIT: the primary is PAIRED from before it sends this, the backup is
#       FOLLOWING from when it has this.
#
#    So whoever may go live is always somebody whom the primary knows of and
#    must arbitrate against: the primary's duty begins before the backup's
#    right. Up to the COMMIT a lost backup is no loss: it cannot have gone live,
#    and the primary is alone as before, without asking the store. Behind it, a
#    lost backup is arbitrated against whether or not the COMMIT has arrived: if
#    it has not, the backup halts (READY, primary lost), and the primary wins.
#
#    Outputs leave at once up to the COMMIT. That breaks no rule: they were made
#    at C or before, or their log and mark went ahead of the COMMIT on the same
#    connection; a backup that has the COMMIT has those, too. What left before C
#    and was perhaps not seen goes along (KEPT), because no replay from C makes it.
#
#    The pair needs no generation of its own. A generation ends with the first
#    pair that breaks up in it (3), so the primary says at most one yes in each,
#    and at most two replicas ever ask for G + 1. Backups of earlier generations
#    may still be waiting for the store: they ask for one that is long given
#    away, and lose. A backup that was lost before its COMMIT asks for none.
#
# The tables say which triggers exist in which state; a trigger that is not in
# the table is a bug of ours and raises. What the protocol objects decide
# themselves is only *when* a trigger fires.
#
# Endpoints guard themselves, so that even a primary that broke all of the above
# would not be heard: they take outputs from one link only, the one that greeted
# with the highest generation, and fence off all others (ENDPOINT_LINK).
"""States and transitions, as data."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar


class PrimaryState(StrEnum):
    """What a primary is doing."""

    CLAIMING = "claiming"
    """Asks the store for the first generation; the guest does not run."""
    AWAITING = "awaiting"
    """Has its generation and waits for a backup; the guest does not run."""
    PAIRED = "paired"
    """In lockstep with a backup; the output rule holds."""
    ARBITRATING = "arbitrating"
    """Lost its backup and asks for the right to run alone; outputs are held."""
    SOLO = "solo"
    """Runs alone by right; outputs leave at once."""
    PROTECTING = "protecting"
    """Runs alone by right, and sends its state to a new backup meanwhile."""
    ENDED = "ended"
    """The guest ended, or somebody stopped it."""
    HALTED = "halted"
    """Must not run: another has the right, or the store gave none."""


class PrimaryTrigger(StrEnum):
    """What changes a primary's state."""

    WON = "won"
    LOST = "lost"
    RUN_ALONE = "run alone"
    STATE_WANTED = "state wanted"
    BACKUP_JOINED = "backup joined"
    BACKUP_LOST = "backup lost"
    FENCED = "fenced"
    FINISHED = "finished"
    STOPPED = "stopped"


class BackupState(StrEnum):
    """What a backup is doing."""

    JOINING = "joining"
    """Has greeted the primary and has no consent yet; may not go live."""
    RECEIVING = "receiving"
    """Is being sent a machine; may not go live."""
    READY = "ready"
    """Has the machine and replays the primary's log; may not go live before it is told so."""
    FOLLOWING = "following"
    """Replays the primary's log up to the newest mark."""
    CATCHING_UP = "catching up"
    """Lost the primary; runs to the last mark."""
    ARBITRATING = "arbitrating"
    """Stands at the last mark and asks for the right to run alone."""
    LIVE = "live"
    """Is the primary now."""
    ENDING = "ending"
    """The primary said goodbye; runs to the last mark, to compare the end."""
    ENDED = "ended"
    """Done; did not go live."""
    HALTED = "halted"
    """Must not run: not equal, refused, or another has the right."""


class BackupTrigger(StrEnum):
    """What changes a backup's state."""

    ACCEPTED = "accepted"
    STATE_COMES = "state comes"
    COMPLETE = "complete"
    COMMITTED = "committed"
    REFUSED = "refused"
    PRIMARY_LOST = "primary lost"
    CAUGHT_UP = "caught up"
    WON = "won"
    LOST = "lost"
    GOODBYE = "goodbye"
    DIVERGED = "diverged"
    STOPPED = "stopped"


class ArbiterState(StrEnum):
    """Where one replica's question to the store stands."""

    IDLE = "idle"
    ASKING = "asking"
    WAITING = "waiting"
    """The store was out of reach; asks again after a while."""
    REFUSED = "refused"


class ArbiterTrigger(StrEnum):
    """What changes an arbiter's state."""

    CLAIM = "claim"
    WON = "won"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    RETRY = "retry"


class LinkState(StrEnum):
    """What an endpoint thinks of one of its connections."""

    GREETING = "greeting"
    WATCHING = "watching"
    """Leads to a backup; kept open, because the backup may go live."""
    ATTACHED = "attached"
    """Leads to the primary; the only one whose output counts."""
    FENCED = "fenced"
    """Led to a primary of the past; closed."""


class LinkTrigger(StrEnum):
    """What changes an endpoint's opinion of a connection."""

    BACKUP_GREETS = "backup greets"
    PRIMARY_GREETS = "primary greets"
    OLD_PRIMARY_GREETS = "old primary greets"
    SUPERSEDED = "superseded"


State = TypeVar("State", bound=StrEnum)
Trigger = TypeVar("Trigger", bound=StrEnum)
Transitions = Mapping[State, Mapping[Trigger, State]]

_P, _PT = PrimaryState, PrimaryTrigger
PRIMARY: Transitions[PrimaryState, PrimaryTrigger] = {
    _P.CLAIMING: {
        _PT.WON: _P.AWAITING,
        _PT.LOST: _P.HALTED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.AWAITING: {
        _PT.BACKUP_JOINED: _P.PAIRED,
        _PT.RUN_ALONE: _P.SOLO,
        _PT.STATE_WANTED: _P.PROTECTING,
        _PT.FENCED: _P.HALTED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.PAIRED: {
        _PT.BACKUP_LOST: _P.ARBITRATING,
        _PT.FENCED: _P.HALTED,
        _PT.FINISHED: _P.ENDED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.ARBITRATING: {
        _PT.WON: _P.SOLO,
        _PT.LOST: _P.HALTED,
        _PT.FENCED: _P.HALTED,
        _PT.FINISHED: _P.ENDED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.SOLO: {
        _PT.BACKUP_JOINED: _P.PAIRED,
        _PT.STATE_WANTED: _P.PROTECTING,
        _PT.FENCED: _P.HALTED,
        _PT.FINISHED: _P.ENDED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.PROTECTING: {
        _PT.BACKUP_JOINED: _P.PAIRED,
        _PT.BACKUP_LOST: _P.SOLO,
        _PT.FENCED: _P.HALTED,
        _PT.FINISHED: _P.ENDED,
        _PT.STOPPED: _P.ENDED,
    },
    _P.ENDED: {},
    _P.HALTED: {},
}

_B, _BT = BackupState, BackupTrigger
BACKUP: Transitions[BackupState, BackupTrigger] = {
    _B.JOINING: {
        _BT.ACCEPTED: _B.FOLLOWING,
        _BT.STATE_COMES: _B.RECEIVING,
        _BT.REFUSED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.RECEIVING: {
        _BT.COMPLETE: _B.READY,
        _BT.PRIMARY_LOST: _B.HALTED,
        _BT.GOODBYE: _B.ENDED,
        _BT.DIVERGED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.READY: {
        _BT.COMMITTED: _B.FOLLOWING,
        _BT.PRIMARY_LOST: _B.HALTED,
        _BT.GOODBYE: _B.ENDING,
        _BT.DIVERGED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.FOLLOWING: {
        _BT.PRIMARY_LOST: _B.CATCHING_UP,
        _BT.GOODBYE: _B.ENDING,
        _BT.DIVERGED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.CATCHING_UP: {
        _BT.CAUGHT_UP: _B.ARBITRATING,
        _BT.DIVERGED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.ARBITRATING: {
        _BT.WON: _B.LIVE,
        _BT.LOST: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.ENDING: {
        _BT.CAUGHT_UP: _B.ENDED,
        _BT.DIVERGED: _B.HALTED,
        _BT.STOPPED: _B.ENDED,
    },
    _B.LIVE: {},
    _B.ENDED: {},
    _B.HALTED: {},
}

_A, _AT = ArbiterState, ArbiterTrigger
ARBITER: Transitions[ArbiterState, ArbiterTrigger] = {
    _A.IDLE: {_AT.CLAIM: _A.ASKING},
    _A.ASKING: {
        _AT.WON: _A.IDLE,
        _AT.LOST: _A.REFUSED,
        _AT.UNREACHABLE: _A.WAITING,
    },
    _A.WAITING: {_AT.RETRY: _A.ASKING},
    _A.REFUSED: {},
}

_L, _LT = LinkState, LinkTrigger
ENDPOINT_LINK: Transitions[LinkState, LinkTrigger] = {
    _L.GREETING: {
        _LT.BACKUP_GREETS: _L.WATCHING,
        _LT.PRIMARY_GREETS: _L.ATTACHED,
        _LT.OLD_PRIMARY_GREETS: _L.FENCED,
    },
    _L.WATCHING: {
        _LT.BACKUP_GREETS: _L.WATCHING,
        _LT.PRIMARY_GREETS: _L.ATTACHED,
        _LT.OLD_PRIMARY_GREETS: _L.FENCED,
    },
    _L.ATTACHED: {
        _LT.PRIMARY_GREETS: _L.ATTACHED,
        _LT.SUPERSEDED: _L.FENCED,
    },
    _L.FENCED: {},
}


class Automaton(Generic[State, Trigger]):
    """A state that moves only as its table says."""

    def __init__(self, table: Transitions[State, Trigger], start: State) -> None:
        """Begin in `start`."""
        self._table = table
        self.state = start

    def allows(self, trigger: Trigger) -> bool:
        """Whether the table has `trigger` in the present state."""
        return trigger in self._table[self.state]

    def fire(self, trigger: Trigger) -> State:
        """Move along `trigger` and return the new state; RuntimeError if the table has no such."""
        if not self.allows(trigger):
            raise RuntimeError(f"no transition for {trigger!r} in state {self.state!r}")
        self.state = self._table[self.state][trigger]
        return self.state
