"""The guest's streams as a node keeps them: outputs until confirmed, inputs until consumed."""

from collections import deque
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ftvm.errors import ProtocolError
from ftvm.units import InstructionCount, LogPosition, StreamOffset

Condition = Callable[[InstructionCount, LogPosition], bool]
"""Whether what happened at an instruction, with its causes in the log before a position, ..."""


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a stream that became what it is at one place of the run."""

    start: StreamOffset
    end: StreamOffset
    count: InstructionCount
    position: LogPosition


class OutputStream:
    """One output stream, from the first byte that somebody may still need.

    ::

        dropped  |  released, unconfirmed  |  held  |
                 start                 released   produced

    The same object serves a backup, where nothing is released until it goes
    live, and where the confirmed offset may be ahead of what its machine has
    produced so far.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Begin an empty stream that keeps `limit_bytes` of what nobody has asked for."""
        self.start = StreamOffset(0)
        self.released = StreamOffset(0)
        self.confirmed = StreamOffset(0)
        self.wanted = False
        """Whether an endpoint counts on what it has not confirmed."""
        self.held: deque[Piece] = deque()
        """What has not been let go of, or not made for good yet."""
        self._limit_bytes = limit_bytes
        self._data = bytearray()

    @property
    def produced(self) -> StreamOffset:
        """Everything the guest has put out."""
        return StreamOffset(self.start + len(self._data))

    @property
    def held_bytes(self) -> int:
        """Output that waits for the backup."""
        return self.produced - self.released

    @property
    def unconfirmed_bytes(self) -> int:
        """Output that the endpoint is not known to have."""
        return max(self.produced - self.confirmed, 0)

    @property
    def full(self) -> bool:
        """Whether the guest must wait for the endpoint."""
        return self.wanted and len(self._data) >= self._limit_bytes

    def begin(self, start: StreamOffset) -> None:
        """Let an empty stream begin at `start`: what came before is nobody's any more."""
        if self._data or self.start:
            raise ValueError(f"output from {start} in a stream that has begun")
        self.start = self.released = start

    def produce(self, count: InstructionCount, position: LogPosition, data: bytes) -> None:
        """Add output made at `count` with all causes in the log before `position`."""
        start = self.produced
        self._data += data
        self.held.append(Piece(start, self.produced, count, position))
        self._trim()

    def reached(self, count: InstructionCount) -> None:
        """Note that the machine stands at `count`: nothing was made later than that."""
        late = []
        while self.held and self.held[-1].count > count:
            late.append(replace(self.held.pop(), count=count))
        self.held.extend(reversed(late))

    def release(self, may_leave: Condition) -> list[Piece]:
        """Let go of what may leave, in order; return what was let go."""
        pieces = []
        while self.held and may_leave(self.held[0].count, self.held[0].position):
            piece = self.held.popleft()
            if piece.start < self.start:
                piece = replace(piece, start=self.start)
            pieces.append(piece)
            self.released = piece.end
        return pieces

    def confirm(self, offset: StreamOffset) -> None:
        """Note that the endpoint has everything before `offset`."""
        self.confirmed = max(self.confirmed, offset)
        self._trim()

    def read(self, start: StreamOffset, end: StreamOffset) -> bytes:
        """Return the bytes from `start` (or the oldest kept) to `end`."""
        return bytes(self._data[max(start - self.start, 0) : end - self.start])

    def _trim(self) -> None:
        start: int = min(self.confirmed, self.produced)
        if not self.wanted:
            start = max(start, self.produced - self._limit_bytes)
        if start > self.start:
            del self._data[: start - self.start]
            self.start = StreamOffset(start)
            self.released = max(self.released, self.start)
            while self.held and self.held[0].end <= self.start:
                self.held.popleft()


class InputStream:
    """One input stream as the guest's node sees it.

    `accepted` was handed to the caller, `consumed` was taken by the machine
    and logged, `safe` is consumed and covered by an acknowledged mark.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Begin an empty stream with at most `limit_bytes` between endpoint and machine."""
        self.accepted = StreamOffset(0)
        self.consumed = StreamOffset(0)
        self.safe = StreamOffset(0)
        self._limit_bytes = limit_bytes
        self.pending: deque[Piece] = deque()
        """What is consumed and not safe."""

    def accept(self, offset: StreamOffset, data: bytes) -> bytes:
        """Return what is new in `data`; ProtocolError if bytes are missing before it."""
        if offset > self.accepted:
            raise ProtocolError(f"input from offset {offset} where {self.accepted} is next")
        fresh = data[self.accepted - offset :]
        if self.accepted + len(fresh) - self.safe > self._limit_bytes:
            raise ProtocolError(f"more than {self._limit_bytes} bytes of input unconsumed")
        self.accepted = StreamOffset(self.accepted + len(fresh))
        return fresh

    def begin(self, start: StreamOffset) -> None:
        """Let the stream begin at `start`: the machine has taken everything before."""
        self.accepted = self.consumed = self.safe = start

    def consume(self, offset: StreamOffset, count: InstructionCount, position: LogPosition) -> None:
        """Note that the machine has taken everything before `offset`, and where in the run."""
        if offset < self.consumed:
            raise ValueError(f"input consumed to {offset} after {self.consumed}")
        self.pending.append(Piece(self.consumed, offset, count, position))
        self.consumed = offset
        self.accepted = max(self.accepted, offset)

    def settle(self, is_safe: Condition) -> bool:
        """Make safe what `is_safe` says; return whether that was anything new."""
        before = self.safe
        while self.pending and is_safe(self.pending[0].count, self.pending[0].position):
            self.safe = self.pending.popleft().end
        return self.safe > before
