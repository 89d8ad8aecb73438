"""Bugs put in on purpose, each the kind a hurried change could make; the oracle must see each."""

import json
from dataclasses import dataclass

from log_entries import encode_entry

from ftvm.machine.cpu import Kind
from ftvm.machine.log_entries import decode_entries
from ftvm.replication.arbitration import Outcome, Won
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Link, Send
from ftvm.replication.messages import Ack, Commit, Complete, Handover, Mark, Message, Released
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.protection import Inheritance
from ftvm.replication.states import BackupTrigger, PrimaryTrigger
from ftvm.simulation.guest import Draw, Guest
from ftvm.simulation.machine import MachineGuest, MachineKind, MachineSender
from ftvm.simulation.model_transfer import ModelSender
from ftvm.simulation.store import MemoryStore
from ftvm.simulation.world import Build
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds


class ObligingStore(MemoryStore):
    """Says yes to everybody: as good as none."""

    def advance(self, expected: Generation, owner: str) -> Outcome:
        self.generation, self.owner = Generation(expected + 1), owner
        return Won(self.generation)


class SkipsOutputRule(PrimaryProtocol):
    def _may_leave(self, count: InstructionCount, position: LogPosition) -> bool:
        return True


class TakesSentForAcknowledged(PrimaryProtocol):
    def _may_leave(self, count: InstructionCount, position: LogPosition) -> bool:
        return self.lockstep.marked.covers(count, position) or super()._may_leave(count, position)


class HoldsByCountAlone(PrimaryProtocol):
    """Forgets that events can fall on a count whose mark was sent before them."""

    def _may_leave(self, count: InstructionCount, position: LogPosition) -> bool:
        return super()._may_leave(count, min(position, self.lockstep.acknowledged.position))


class TakesReleasedForConfirmed(PrimaryProtocol):
    """Tells the backup to forget outputs that are still on their way to the endpoint."""

    def _tell_released(self) -> None:
        for channel, stream in self.console.outputs.items():
            if self._backup is not None and self.shares_log:
                self._backup.send(Released(channel, stream.released, stream.wanted))


class ForgetsInputTooSoon(PrimaryProtocol):
    """Lets the endpoint forget what only one machine has."""

    def _settle(self) -> None:
        for channel, stream in self.console.inputs.items():
            if stream.settle(lambda _count, _position: True):
                self.console.consumed(channel)
        super()._settle()


class ReusesGeneration(BackupProtocol):
    def promote(self) -> PrimaryProtocol:
        self.generation = Generation(self.generation - 1)
        return super().promote()


class DropsLastMark(BackupProtocol):
    """Acknowledges each mark, but runs only to the one before."""

    _newest: Mark | None = None

    def _take_mark(self, mark: Mark) -> None:
        if self._newest is not None:
            super()._take_mark(self._newest)
        self._newest = mark

    def _acknowledge(self, link: Link) -> None:
        if self._newest is not None:
            self._told_mark, self._told_executed = self.mark, self.count
            self._events.append(
                Send(link, Ack(self._newest.count, self._newest.position, self.count))
            )


class EmitsNothingAgain(BackupProtocol):
    """Goes live believing that all it made had been seen."""

    def promote(self) -> PrimaryProtocol:
        for stream in self.console.outputs.values():
            stream.confirm(stream.produced)
        return super().promote()


class GoesLiveUntold(BackupProtocol):
    """Takes a machine of its own for the right to run it."""

    def state_complete(self, digest: bytes) -> None:
        super().state_complete(digest)
        if not self.over:
            self._automaton.fire(BackupTrigger.COMMITTED)

    def _take(self, link: Link, message: Message, now: Nanoseconds) -> None:
        if not isinstance(message, Commit):
            super()._take(link, message, now)


class CommitsBeforeItIsPaired(PrimaryProtocol):
    """Gives the backup its right, and takes on its own duty when the backup has answered."""

    _committed: InstructionCount | None = None

    def _take(self, message: Message, now: Nanoseconds) -> None:
        if isinstance(message, Complete):
            assert self._backup is not None
            self._backup.send(Commit(self.generation))
            self._committed = self.count
            return
        if isinstance(message, Ack) and self._committed and message.count > self._committed:
            self._committed = None
            self._automaton.fire(PrimaryTrigger.BACKUP_JOINED)
            self._protection = None
        super()._take(message, now)


class ForgetsKeptOutput(BackupProtocol):
    """Begins with the outputs of its own machine only."""

    def _take_handover(self, given: Handover) -> None:
        self._inheritance = Inheritance(self.console.outputs, self.console.inputs)
        super()._take_handover(given)


class LosesADirtyPage(ModelSender):
    """Begins to watch anew behind the list of what was written, not together with it."""

    def written(self) -> list[int]:
        pages = super().written()
        return pages[:-1] if self._rounds > 1 else pages


class LosesADirtyPageUnseen(LosesADirtyPage):
    """... and takes the digest of what it has sent."""

    def finish(self) -> list[bytes]:
        pieces = super().finish()
        end = json.loads(pieces[-1])
        return [*pieces[:-1], json.dumps({**end, "digest": None}).encode()]


class LosesAPieceOfTheMachine(MachineSender):
    """Drops what was written during the first round."""

    _pieces = 0

    def next_piece(self) -> bytes | None:
        piece = super().next_piece()
        if piece is not None and piece.startswith(b"P"):
            self._pieces += 1
        return super().next_piece() if self._pieces == 2 else piece


class ForgetsAnInterrupt(MachineGuest):
    """Leaves what its timer did out of the log, once."""

    _forgotten = False

    def drain(self) -> None:
        log = self.machine.cpu.log_take()
        bases = self._bases
        for entry, end, self._bases in decode_entries(log, bases):
            if entry.kind is Kind.TIMER and not self._forgotten and len(self.log) > 100:
                self._forgotten = True
                length = len(encode_entry(entry, bases)[0])
                log = log[: end - length] + log[end:]
            bases = self._bases
        self.log += log


@dataclass(frozen=True)
class LossyKind(MachineKind):
    def sender(self, guest: Guest) -> MachineSender:
        assert isinstance(guest, MachineGuest)
        return LosesAPieceOfTheMachine(guest)


@dataclass(frozen=True)
class ForgetfulKind(MachineKind):
    def live(self, draw: Draw, now: Nanoseconds) -> MachineGuest:
        guest = ForgetsAnInterrupt(super().following().machine)
        guest.begin(draw, now)
        return guest


PLANTED_IN_THE_MACHINE = {"lose a piece": LossyKind, "forget an interrupt": ForgetfulKind}

PLANTED = {
    "skip the output rule": Build(primary=SkipsOutputRule),
    "skip the test-and-set": Build(store=ObligingStore),
    "acknowledge before receipt": Build(primary=TakesSentForAcknowledged),
    "reuse a generation": Build(backup=ReusesGeneration),
    "drop the last mark": Build(backup=DropsLastMark),
    "hold by count alone": Build(primary=HoldsByCountAlone),
    "take released for confirmed": Build(primary=TakesReleasedForConfirmed),
    "forget input too soon": Build(primary=ForgetsInputTooSoon),
    "emit nothing again": Build(backup=EmitsNothingAgain),
    "go live untold": Build(backup=GoesLiveUntold),
    "commit before being paired": Build(primary=CommitsBeforeItIsPaired),
    "forget kept output": Build(backup=ForgetsKeptOutput),
    "lose a dirty page": Build(sender=LosesADirtyPage),
    "lose a dirty page unseen": Build(sender=LosesADirtyPageUnseen),
}
