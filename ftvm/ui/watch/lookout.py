"""Asks the replicas of a run how they are, and gives it to the model."""

from ftvm.runtime.clock import now_ns
from ftvm.runtime.replica import Replica
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.sighting import Sighting
from ftvm.units import Nanoseconds

LOOK_NS = Nanoseconds(100_000_000)


class Lookout:
    """Call `look` again and again."""

    def __init__(self, supervisor: Supervisor, model: PairModel) -> None:
        self._supervisor = supervisor
        self._model = model
        self._asked_ns = Nanoseconds(0)
        self._heard: dict[str, tuple[object, Nanoseconds]] = {}

    def look(self, *, last: bool = False) -> None:
        """Take what the replicas have said, and ask anew if it is time and will not be the last."""
        now = now_ns()
        replicas = self._supervisor.replicas
        fresh = [r for r in replicas if r.measured is not self._heard.get(r.name, (None,))[0]]
        for replica in fresh:
            self._heard[replica.name] = replica.measured, now
        due = now - self._asked_ns >= LOOK_NS
        if due or fresh or last:
            self._model.see([self._sighting(replica) for replica in replicas], now)
        if due and not last:
            self._asked_ns = now
            for replica in replicas:
                if replica.alive and not replica.paused:
                    replica.measure()

    def _sighting(self, replica: Replica) -> Sighting:
        measured, at = replica.measured, self._heard.get(replica.name, (None, Nanoseconds(0)))[1]
        return Sighting(
            name=replica.name,
            role="primary" if replica.role == "primary" else "backup",
            process=f"pid {replica.pid}",
            alive=replica.alive,
            end=self._end_of(replica),
            paused=replica.paused,
            cut=replica.is_cut,
            status=measured.status if measured else None,
            at=at,
        )

    def _end_of(self, replica: Replica) -> str:
        if replica.alive:
            return ""
        if replica.over is not None and replica.over.cause:
            return replica.over.cause
        return replica.ending
