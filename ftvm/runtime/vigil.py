"""How long a node stays awake for what the other half of the pair is about to say.

A primary that holds output waits for an acknowledgement, a backup that has log for
the mark that covers it. Nearby, either comes within a fraction of a millisecond, and
to fall asleep and be woken takes much of that, on both sides. So who has nothing
else to do looks for it for a while before he sleeps, if the last ones came soon: what
KVM calls halt polling (Linux, Documentation/virt/kvm/halt-polling.rst).
"""

import os

from ftvm.units import Nanoseconds

AWAKE_MAX_NS = Nanoseconds(200_000)
"""So long at most, as KVM by its `halt_poll_ns`."""
NEARBY_NS = Nanoseconds(2 * AWAKE_MAX_NS)
"""What comes later, even if that is because we slept, is worth sleeping for."""
NEAR_BEFORE = 16
"""After one that came late, so many have to come soon: on a host with more to do than it has
processors for, who does not sleep is made to wait by others, and seldom is often enough."""


class Vigil:
    """Of one node."""

    def __init__(self) -> None:
        self._may = len(os.sched_getaffinity(0)) > 1  # else it is the other one who waits for us
        self._near = NEAR_BEFORE
        """Words that came soon, one after the other."""
        self._since: Nanoseconds | None = None

    def begin(self, now: Nanoseconds) -> Nanoseconds:
        """Note what is waited for since now; return until when to stay awake for it."""
        if self._since is not None:
            return now  # that was tried
        self._since = now
        return Nanoseconds(now + AWAKE_MAX_NS) if self.is_kept else now

    @property
    def is_kept(self) -> bool:
        """Whether it is of use."""
        return self._may and self._near >= NEAR_BEFORE

    def end(self, now: Nanoseconds) -> None:
        """Note that nothing is waited for any more, if anything was."""
        if self._since is not None:
            self._near = self._near + 1 if now - self._since <= NEARBY_NS else 0
            self._since = None
