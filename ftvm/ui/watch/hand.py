"""Does to the processes of a run what the keys say: signals, commands, new processes."""

import secrets

from ftvm.runtime.replica import Replica
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.watch import deeds
from ftvm.ui.watch.deeds import Deed

FLIP_FROM = 0x100000
"""Below are the tables that a guest boots with, and the memory of its VGA."""


class Hand:
    """On the replicas of one supervisor."""

    def __init__(self, supervisor: Supervisor, memory_bytes: int) -> None:
        self._supervisor = supervisor
        self._memory_bytes = memory_bytes

    def do(self, deed: Deed) -> str:
        """Do it; return what is to be told of it, nothing if it shows by itself."""
        match deed:
            case deeds.PROTECT:
                self._supervisor.protect()
                return "a new backup is started"
            case deeds.RESUME:
                sleepers = [r for r in self._supervisor.replicas if r.alive and r.paused]
                for sleeper in sleepers:
                    sleeper.resume()
                return f"SIGCONT to {', '.join(map(_called, sleepers))}" if sleepers else ""
        is_of_primary = deed in (deeds.KILL_PRIMARY, deeds.PAUSE_PRIMARY)
        replica = self._supervisor.replica("primary" if is_of_primary else "backup")
        return "" if replica is None else self._do_to(replica, deed)

    def _do_to(self, replica: Replica, deed: Deed) -> str:
        match deed:
            case deeds.KILL_PRIMARY | deeds.KILL_BACKUP:
                replica.kill()
                return f"SIGKILL to {_called(replica)}"
            case deeds.PAUSE_PRIMARY | deeds.PAUSE_BACKUP:
                replica.pause()
                return f"SIGSTOP to {_called(replica)}"
            case deeds.CUT if replica.is_cut:
                replica.mend()
                return "the link is whole again"
            case deeds.CUT:
                replica.cut()
                return "the link is cut"
        address = FLIP_FROM + secrets.randbelow(max(self._memory_bytes - FLIP_FROM, 1))
        bit = secrets.randbelow(8)
        replica.flip(address, bit)
        return f"bit {bit} at {address:#x} flipped in {_called(replica)}"


def _called(replica: Replica) -> str:
    return f"{replica.role} {replica.name}, pid {replica.pid}"
