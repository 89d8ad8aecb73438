"""Leaving on purpose: the primary hands over, and the backup goes live as after any loss."""

from primary_rig import BACKUP, TERMINAL, Primary, at, identity, paired

from ftvm.replication.arbitration import Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import AskStore, Ended, Event, GoLive, Link, LossCause, PeerLost
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import Entries, Goodbye, Mark, Reason, Role
from ftvm.replication.settings import Settings
from ftvm.replication.states import BackupState, PrimaryState
from ftvm.units import Generation, InstructionCount, LogPosition

PRIMARY = Link(7)


def following() -> BackupProtocol:
    backup = BackupProtocol(identity("b"), Settings())
    backup.peer_connected(PRIMARY, at(0))
    hello = greeting(
        identity("p"), Role.PRIMARY, Generation(1), InstructionCount(0), LogPosition(0)
    )
    backup.receive(PRIMARY, encode(hello), at(0))
    events(backup)
    return backup


def events(backup: BackupProtocol) -> list[Event]:
    found = []
    while (event := backup.next_event()) is not None:
        found.append(event)
    return found


def test_primary_that_hands_over_says_so_to_all_and_lets_nothing_more_out() -> None:
    primary: Primary = paired()
    primary.attach()
    primary.run(10, log=b"xx", output=b"held")
    primary.protocol.stop("SIGTERM", Reason.SWITCH_OVER)
    primary.look()
    farewell = Goodbye(Reason.SWITCH_OVER, 0, "SIGTERM")
    assert primary.sent(BACKUP)[-1] == primary.sent(TERMINAL)[-1] == farewell
    assert primary.of(Ended) == [Ended(Reason.SWITCH_OVER, 0)]
    assert primary.protocol.state is PrimaryState.ENDED
    primary.acknowledge(10, 2)
    assert primary.events == []


def test_backup_of_a_primary_that_hands_over_runs_to_the_last_mark_and_goes_live() -> None:
    backup = following()
    words = [
        Entries(LogPosition(0), b"xx"),
        Mark(InstructionCount(10), LogPosition(2)),
        Goodbye(Reason.SWITCH_OVER, 0, "SIGTERM"),
    ]
    backup.receive(PRIMARY, b"".join(map(encode, words)), at(0))
    (lost,) = [e for e in events(backup) if isinstance(e, PeerLost)]
    assert (lost.cause, lost.detail) == (LossCause.LEFT, "SIGTERM")
    assert backup.state is BackupState.CATCHING_UP
    backup.executed(InstructionCount(10), LogPosition(2), at(0))
    assert events(backup) == [AskStore(Generation(1), "b")]
    backup.store_answered(Won(Generation(2)), at(0))
    (live,) = events(backup)
    assert isinstance(live, GoLive)
    assert (live.generation, live.count) == (2, 10)
