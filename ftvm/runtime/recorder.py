"""What a guest and its node tell whoever records them."""

from collections.abc import Sequence

from ftvm.log.run_format import Flip
from ftvm.machine.machine import Output
from ftvm.replication.backup import BackupProtocol
from ftvm.replication.events import Event
from ftvm.replication.primary import PrimaryProtocol


class Recorder:
    """Takes note of a node's run, and keeps nothing of it."""

    def logged(self, entries: bytes) -> None:
        """Take log that the live machine made, or that the replaying one was fed."""

    def put_out(self, outputs: Sequence[Output]) -> None:
        """Take the output of a run."""

    def planted(self, flip: Flip) -> None:
        """Note that a bit will be turned over on purpose."""

    def settle(self) -> None:
        """Note that what the live machine did so far may be let out next; its log is taken."""

    def saw(self, event: Event, protocol: PrimaryProtocol | BackupProtocol) -> None:
        """Take note of something that the protocol asks for, before it is done."""

    def finish(self, cause: str) -> None:
        """Note the end, and why the node had to end if its guest did not."""
