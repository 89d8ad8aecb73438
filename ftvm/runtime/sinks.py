"""Where a guest's streams go, on the side of who watches it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ftvm.machine.channels import Stream
from ftvm.replication.events import OutputAccepted
from ftvm.runtime.clock import now_ns
from ftvm.units import Nanoseconds

Sink = Callable[[bytes], None]
NO_SINKS: Mapping[Stream, Sink] = MappingProxyType({})


def drop(_: bytes) -> None:
    """Take what nobody wants."""


class Sinks:
    """Hands each stream's bytes to its sink, if it has one."""

    def __init__(self, console: Sink, others: Mapping[Stream, Sink]) -> None:
        self._sinks = {**others, Stream.CONSOLE: console}
        self.console_bytes = 0
        """What has come on the console."""
        self.written_ns = Nanoseconds(0)
        """When something came that has a sink."""

    def take(self, accepted: OutputAccepted) -> None:
        """Take what an endpoint accepted."""
        stream = Stream(accepted.channel)
        if stream is Stream.CONSOLE:
            self.console_bytes += len(accepted.data)
        if stream in self._sinks:
            self.written_ns = now_ns()
            self._sinks[stream](accepted.data)
