"""One transfer of the primary's state to a new backup, as both protocols see it.

The pieces are the machine's (ftvm/machine/transfer.py), and opaque here; this is
how many may be on their way, and what goes along that no machine knows of: the
output that was made and that nobody is known to have seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from ftvm.errors import ProtocolError
from ftvm.replication.messages import (
    DATA_BYTES_MAX,
    Channel,
    Complete,
    Handover,
    Kept,
    Message,
    State,
    Taken,
)
from ftvm.replication.streams import InputStream, OutputStream
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, StreamOffset


class Protection:
    """The primary's side: pieces sent and taken, up to the backup's word that it is complete."""

    def __init__(self, pieces_max: int, send: Callable[[Message], None], now: Nanoseconds) -> None:
        """Begin with nothing sent; at most `pieces_max` are on their way at any time."""
        self._pieces_max = pieces_max
        self._send = send
        self._sent = self._taken = 0
        self._progress_at = now
        self._handover: Handover | None = None
        self._digest = b""

    @property
    def handed_over(self) -> bool:
        """Whether all was sent, so that the backup lives on the log from here on."""
        return self._handover is not None

    @property
    def room(self) -> int:
        """How many pieces may be sent now."""
        return 0 if self.handed_over else max(self._pieces_max - (self._sent - self._taken), 0)

    def send(self, piece: bytes, now: Nanoseconds) -> None:
        """Send the next piece."""
        self._send(State(piece))
        self._sent += 1
        self._progress_at = now

    def take(self, taken: Taken, now: Nanoseconds) -> None:
        """Take the backup's word for what it has; ProtocolError if that cannot be true."""
        if not self._taken < taken.pieces <= self._sent:
            raise ProtocolError(
                f"{taken.pieces} pieces taken after {self._taken}, {self._sent} were sent"
            )
        self._taken = taken.pieces
        self._progress_at = now

    def hand_over(self, handover: Handover, digest: bytes, now: Nanoseconds) -> None:
        """Note that all was sent, and the digest that the backup's machine must have."""
        self._handover, self._digest = handover, digest
        self._progress_at = now

    def complete(self, complete: Complete) -> None:
        """Take the backup's word that it is our equal; ProtocolError if it is not."""
        if self._handover is None or complete.count != self._handover.count:
            raise ProtocolError(f"complete at {complete.count}, where no machine was handed over")
        if complete.digest != self._digest:
            raise ProtocolError(f"complete at {complete.count} with another digest than ours")

    def asked_at(self) -> Nanoseconds | None:
        """Since when a backup that has something to do has not moved; None if it has nothing."""
        if self._sent == self._taken and not self.handed_over:
            return None
        return self._progress_at


def kept_outputs(outputs: Mapping[Channel, OutputStream]) -> Iterator[Kept]:
    """Yield what a new backup needs of each output stream."""
    for channel, stream in outputs.items():
        for at in range(stream.start, stream.produced, DATA_BYTES_MAX):
            end = min(at + DATA_BYTES_MAX, stream.produced)
            start = StreamOffset(at)
            yield Kept(channel, start, stream.read(start, StreamOffset(end)))


def handover(
    count: InstructionCount,
    position: LogPosition,
    outputs: Mapping[Channel, OutputStream],
    inputs: Mapping[Channel, InputStream],
) -> Handover:
    """Return the word that ends a transfer."""
    return Handover(
        count,
        position,
        tuple((channel, stream.produced) for channel, stream in sorted(outputs.items())),
        tuple((channel, stream.consumed) for channel, stream in sorted(inputs.items())),
    )


class Inheritance:
    """The backup's side: the streams as the primary left them."""

    def __init__(
        self, outputs: Mapping[Channel, OutputStream], inputs: Mapping[Channel, InputStream]
    ) -> None:
        """Begin with empty streams."""
        self._outputs, self._inputs = outputs, inputs
        self._kept: dict[Channel, tuple[StreamOffset, bytearray]] = {}

    def keep(self, kept: Kept) -> None:
        """Take a stretch of output; ProtocolError if it does not follow the one before."""
        if kept.channel not in self._outputs or not kept.data:
            raise ProtocolError(f"{len(kept.data)} bytes of output kept for {kept.channel}")
        start, data = self._kept.setdefault(kept.channel, (kept.offset, bytearray()))
        if kept.offset != start + len(data):
            raise ProtocolError(f"output kept from {kept.offset}, {start + len(data)} is next")
        data += kept.data

    def enter(self, given: Handover) -> None:
        """Let all streams begin; ProtocolError if that does not fit what was kept."""
        produced, consumed = dict(given.outputs), dict(given.inputs)
        if _keys(produced) != _keys(self._outputs) or _keys(consumed) != _keys(self._inputs):
            raise ProtocolError(f"handover of channels {_keys(produced)} and {_keys(consumed)}")
        for channel, stream in self._outputs.items():
            start, data = self._kept.get(channel, (produced[channel], bytearray()))
            if start + len(data) != produced[channel]:
                raise ProtocolError(
                    f"output {channel} to {produced[channel]}, kept to {start + len(data)}"
                )
            stream.begin(start)
            if data:
                stream.produce(given.count, given.position, bytes(data))
        for channel, stream_in in self._inputs.items():
            stream_in.begin(consumed[channel])


def _keys(channels: Iterable[Channel]) -> list[Channel]:
    return sorted(channels)
