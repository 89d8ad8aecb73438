"""What a guest is sent on its other serial ports, out of files."""

from collections.abc import Mapping

from ftvm.machine.channels import Stream
from ftvm.ui.console import Input
from ftvm.ui.keyboard import Streams


class _SerialLine:
    """A line as `Input` wants it, to one of the serial ports."""

    def __init__(self, streams: Streams, stream: Stream) -> None:
        self._streams = streams
        self._stream = stream
        self.transport = streams.transport

    def room(self) -> int:
        return self._streams.room(self._stream)

    def write(self, data: bytes) -> None:
        self._streams.write(data, self._stream)


class StreamInputs:
    """Gives the guest what is in the files, each as fast as the guest takes it."""

    def __init__(self, streams: Streams, descriptors: Mapping[Stream, int]) -> None:
        self._inputs = [
            Input(_SerialLine(streams, stream), descriptor)
            for stream, descriptor in descriptors.items()
        ]

    @property
    def ready(self) -> bool:
        """Whether there is something to read without a wait."""
        return any(one.ready for one in self._inputs)

    @property
    def used_up(self) -> bool:
        """Whether all have been read to their end."""
        return all(one.ended_ns is not None for one in self._inputs)

    def tend(self) -> None:
        """Read if that does not wait; begin or stop to watch as there is room for more."""
        for one in self._inputs:
            one.tend()
