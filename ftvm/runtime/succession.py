"""The steps by which a node comes to run the guest alone, and when it took them."""

from ftvm.replication.events import GenerationWon, GoLive, PeerLost
from ftvm.runtime import control
from ftvm.runtime.clock import now_ns
from ftvm.runtime.guest import Guest
from ftvm.units import Generation, InstructionCount, Nanoseconds


class Succession:
    """Of one node, over its whole life; says each step to whoever started the node."""

    def __init__(self) -> None:
        self._lost_ns = self._drained_ns = Nanoseconds(0)
        self._live_generation = Generation(0)

    def lost(self, loss: PeerLost) -> control.PeerGone:
        """The other half of the pair is gone."""
        self._lost_ns = now_ns()
        return control.PeerGone(loss.cause.value, loss.detail, loss.count, self._lost_ns)

    def asks(self) -> None:
        """Note that the store is asked: whatever was in the log is done."""
        self._drained_ns = now_ns()

    def won(self, won: GenerationWon, count: InstructionCount) -> control.WentAlone | None:
        """A primary goes on without its backup; None if it has just begun, or gone live."""
        if not self._lost_ns or won.generation == self._live_generation:
            return None
        return control.WentAlone(won.generation, count, self._lost_ns, now_ns())

    def go_live(self, event: GoLive, guest: Guest, held_bytes: int) -> control.WentLive:
        """A backup lets its guest live."""
        won_ns = now_ns()
        entries = guest.machine.cpu.log_entries
        self._live_generation = event.generation
        guest.go_live()
        return control.WentLive(
            generation=event.generation,
            count=event.count,
            log_bytes=event.position,
            log_entries=entries,
            digests=guest.machine.links,
            held_bytes=held_bytes,
            lost_ns=self._lost_ns,
            drained_ns=self._drained_ns,
            won_ns=won_ns,
            live_ns=now_ns(),
        )
