"""Bugs put in on purpose, each the kind a hurried change could make; the oracle must see each."""

from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Link, Send
from ftvm.replication.messages import Ack, Mark, Released
from ftvm.replication.primary import PrimaryProtocol
from ftvm.units import Generation, InstructionCount, LogPosition

from .store import ObligingStore
from .world import Build


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
            if self._backup is not None:
                told = Released(channel, stream.released, stream.wanted)
                self._events.append(Send(self._backup.link, told))


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
}
