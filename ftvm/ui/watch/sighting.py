"""One replica or host, as it was found at a moment."""

from dataclasses import dataclass

from ftvm.runtime.status import HostStatus, Role
from ftvm.units import Nanoseconds

_NEVER = Nanoseconds(0)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What is known of one of those who run the guest, or may come to.

    `status` is the newest that it has said of itself, heard at `at`. Of hosts elsewhere `alive`
    is whether they answer, and `end` what is in the way.
    """

    name: str
    role: Role
    process: str = ""
    """Where to find it: "pid 4711"."""
    alive: bool = True
    end: str = ""
    paused: bool = False
    cut: bool = False
    status: HostStatus | None = None
    at: Nanoseconds = _NEVER

    @property
    def is_over(self) -> bool:
        """Whether it has said that it does not go on."""
        return self.status is not None and self.status.state in ("ended", "halted")

    @property
    def generation(self) -> int:
        """The newest right to run that it knows of."""
        return self.status.generation if self.status else 0
