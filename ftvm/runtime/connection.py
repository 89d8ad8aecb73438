"""One connection of a transport, as data."""

import socket
from dataclasses import dataclass, field

from ftvm.runtime.sockets import Errand
from ftvm.runtime.tls import TlsSession


@dataclass
class Connection:
    """A socket, and what waits for it or is to be known of it."""

    socket: socket.socket
    what: str
    """For the log: "connection from 10.0.0.7:4711"."""
    listener: str | None
    """Where it came in and is still to be `Accepted`, if so."""
    session: TlsSession | None = None
    gathered: list[bytes] = field(default_factory=list)
    """What was sent since the last flush."""
    unsent: bytearray = field(default_factory=bytearray)
    """What there was no room for."""
    deaf: str = ""
    """Why nothing can be sent any more; what the other side sent last is still to be read."""
    closing: bool = False
    errand: Errand | None = None
    """If we made it: what for, until the other side has said something."""
    is_ours: bool = False
    """Whether we made it."""
    is_cut: bool = False

    def take_gathered(self) -> bytes:
        """Return what was sent since the last flush, which is now."""
        gathered, self.gathered = self.gathered, []
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    @property
    def unproven(self) -> bool:
        """Whether the other side has yet to show that it is one of the pair."""
        return self.session is not None and not self.session.established

    @property
    def waiting_bytes(self) -> int:
        """What was sent and has not gone out."""
        waiting = len(self.unsent) + sum(map(len, self.gathered))
        return waiting + (self.session.waiting_bytes if self.session else 0)
