"""The console endpoint: sees the guest's output exactly once, gives its input exactly once.

It keeps one connection to every node it knows and listens to the one whose
greeting says PRIMARY with the highest generation. Everything is numbered by
its place in the stream, so that what comes twice is dropped, what is missing
shows, and what differs is told as a contradiction.
"""

from collections import deque
from dataclasses import dataclass, field

from ftvm.errors import ProtocolError
from ftvm.replication.events import (
    Attached,
    Close,
    Contradiction,
    ContradictionKind,
    Dismissed,
    Event,
    GuestExited,
    Link,
    OutputAccepted,
    Send,
)
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.messages import (
    CONSOLE,
    DATA_BYTES_MAX,
    RUN_UNKNOWN,
    Channel,
    ConsoleHello,
    Consumed,
    Exited,
    Fenced,
    Goodbye,
    Heartbeat,
    Input,
    Message,
    Output,
    Reason,
    Received,
    Role,
)
from ftvm.replication.pulse import Pulse
from ftvm.replication.settings import Settings
from ftvm.replication.states import ENDPOINT_LINK, Automaton, LinkState, LinkTrigger
from ftvm.units import Generation, Nanoseconds, StreamOffset

CONFIRM_BYTES = 32 * 1024
"""So much output is confirmed at once; less, with the next input or heartbeat."""


@dataclass
class _Node:
    """One connection to a node."""

    pulse: Pulse
    decoder: FrameDecoder = field(default_factory=FrameDecoder.for_console)
    automaton: Automaton[LinkState, LinkTrigger] = field(
        default_factory=lambda: Automaton(ENDPOINT_LINK, LinkState.GREETING)
    )


class _OutputView:
    """One output stream as seen so far, with enough of its tail to check what comes again."""

    def __init__(self, tail_bytes_max: int) -> None:
        self.received: StreamOffset | None = None
        self._tail = bytearray()
        self._tail_bytes_max = tail_bytes_max

    def take(self, offset: StreamOffset, data: bytes) -> tuple[bytes, ContradictionKind | None]:
        """Return what is new in `data`, and what is wrong with it."""
        if self.received is None:
            self.received = offset
        if offset > self.received:
            return b"", ContradictionKind.OUTPUT_LOST
        tail_start = self.received - len(self._tail)
        again = data[max(tail_start - offset, 0) : self.received - offset]
        at = max(offset, tail_start) - tail_start
        if again != self._tail[at : at + len(again)]:
            return b"", ContradictionKind.OUTPUT_DIFFERS
        fresh = data[self.received - offset :]
        self.received = StreamOffset(self.received + len(fresh))
        self._tail += fresh
        del self._tail[: max(len(self._tail) - self._tail_bytes_max, 0)]
        return fresh, None


class _InputQueue:
    """One input stream from the first byte that may have to be sent again."""

    def __init__(self) -> None:
        self.start = StreamOffset(0)
        self.placed_at: StreamOffset | None = None
        """Where ours begins in the run's stream; until it is known, wherever it may."""
        self.sent = StreamOffset(0)
        self.data = bytearray()

    @property
    def end(self) -> StreamOffset:
        return StreamOffset(self.start + len(self.data))

    def forget(self, offset: StreamOffset) -> None:
        if offset > self.start:
            del self.data[: offset - self.start]
            self.start = offset


class ConsoleEndpoint:
    """One console of one run."""

    def __init__(
        self,
        name: str,
        run: bytes = RUN_UNKNOWN,
        channels: tuple[Channel, ...] = (CONSOLE,),
        input_bytes_max: int = 16 * 1024,
        tail_bytes_max: int = 2 << 20,
        settings: Settings | None = None,
    ) -> None:
        """Begin with no connection.

        With a `run`, the endpoint is there from the run's beginning and counts
        from 0; without, it joins wherever it finds the run. `name` must differ
        from that of any other console, lest one drive the other out in silence.
        `input_bytes_max` must be less than the nodes'
        `Settings.input_unconsumed_bytes_max`, `tail_bytes_max` more than their
        `output_unreceived_bytes_max`; of `settings` only the heartbeats matter.
        """
        self._settings = settings or Settings()
        self._name = name
        self._run = run
        self._input_bytes_max = input_bytes_max
        self._events: deque[Event] = deque()
        self._links: dict[Link, _Node] = {}
        self._attached: Link | None = None
        self._primary = ""
        self._exited: Exited | None = None
        self._owed: dict[Channel, StreamOffset] = {}
        """Output to be confirmed, to the primary that sent it."""
        self._owed_bytes = 0
        self._outputs = {channel: _OutputView(tail_bytes_max) for channel in channels}
        self._inputs = {channel: _InputQueue() for channel in channels}
        if run != RUN_UNKNOWN:
            for view in self._outputs.values():
                view.received = StreamOffset(0)
            for queue in self._inputs.values():
                queue.placed_at = StreamOffset(0)
        self.generation = Generation(0)

    # --- what the caller may ask ---------------------------------------------------

    @property
    def attached(self) -> Link | None:
        """The connection to the primary, if there is one."""
        return self._attached

    @property
    def watching(self) -> bool:
        """Whether any node that has greeted is connected."""
        return any(n.automaton.state is not LinkState.GREETING for n in self._links.values())

    @property
    def exited(self) -> bool:
        """Whether the guest's end has been told."""
        return self._exited is not None

    def room(self, channel: Channel = CONSOLE) -> int:
        """Bytes of input that `write` takes now."""
        return self._input_bytes_max - len(self._inputs[channel].data)

    def received(self, channel: Channel = CONSOLE) -> StreamOffset:
        """Output accepted so far."""
        return self._outputs[channel].received or StreamOffset(0)

    def forgotten(self, channel: Channel = CONSOLE) -> StreamOffset:
        """Input that is safe in the guest."""
        return self._inputs[channel].start

    def unsettled(self, channel: Channel = CONSOLE) -> int:
        """Bytes of input that are not safe in the guest yet."""
        return len(self._inputs[channel].data)

    def next_event(self) -> Event | None:
        """Return the next thing to do or to know, or None."""
        return self._events.popleft() if self._events else None

    # --- connections and input -------------------------------------------------------

    def connected(self, link: Link, now: Nanoseconds) -> None:
        """Greet a node, of whatever role."""
        self._links[link] = _Node(Pulse(self._settings, now))
        offsets = tuple(
            (channel, view.received)
            for channel, view in sorted(self._outputs.items())
            if view.received is not None
        )
        hello = ConsoleHello(Role.ENDPOINT, self._name, self._run, self.generation, offsets)
        self._events.append(Send(link, hello))

    def closed(self, link: Link) -> None:
        """Note that a connection is gone; input is kept for the next primary."""
        self._links.pop(link, None)
        if self._attached == link:
            self._attached = None
            self._owed.clear()

    def receive(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        """Take bytes from a node; those of a connection that is gone are ignored."""
        node = self._links.get(link)
        if node is None:
            return
        node.pulse.heard(now)
        node.decoder.feed(data)
        try:
            while link in self._links and (message := node.decoder.next_message()) is not None:
                self._take(link, node, message)
        except ProtocolError as error:
            self._drop(link, str(error))

    def deadline(self) -> Nanoseconds | None:
        """When to call `tick` next, at the latest; None for never."""
        return min((node.pulse.deadline() for node in self._links.values()), default=None)

    def tick(self, now: Nanoseconds) -> None:
        """Say that we are here, and leave a node that says nothing any more."""
        for link, node in list(self._links.items()):
            if node.pulse.silent(now):
                self._drop(link, "heartbeats missed")
            elif node.pulse.beat_due(now):
                if link == self._attached:
                    self._confirm()
                self._events.append(Send(link, node.pulse.beat()))

    def write(self, data: bytes, channel: Channel = CONSOLE) -> None:
        """Give bytes to the guest, at most `room()`; kept until the guest has them for good."""
        if len(data) > self.room(channel):
            raise ValueError(f"{len(data)} bytes of input where there is room for less")
        self._inputs[channel].data += data
        self._send_input(channel)

    def leave(self) -> None:
        """Tell the primary that nobody waits for the guest's output any more."""
        if self._attached is not None:
            self._confirm()  # or who attaches next is shown it again
            self._send(Goodbye(Reason.USER_ACTION, 0, "console left"))
            self._drop(self._attached, "left")

    # --- inside --------------------------------------------------------------------------

    def _take(self, link: Link, node: _Node, message: Message) -> None:
        if isinstance(message, Heartbeat):
            node.pulse.felt(message)
            return
        if isinstance(message, ConsoleHello):
            self._take_hello(link, node, message)
            return
        greeted = node.automaton.state is not LinkState.GREETING
        if isinstance(message, Goodbye):
            if message.reason is Reason.REPLACED and greeted:
                self._events.append(Dismissed(message.detail))
            self._drop(link, message.detail or "node left")
            return
        if not greeted:
            raise ProtocolError(f"{type(message).__name__} before a greeting")
        if node.automaton.state is not LinkState.ATTACHED:
            raise ProtocolError(f"{type(message).__name__} from a backup")
        match message:
            case Output():
                self._take_output(message)
            case Consumed(channel, offset):
                queue = self._inputs.get(channel)
                if queue is None or offset > queue.end:
                    raise ProtocolError(f"input consumed to {offset}, which was not sent")
                queue.forget(offset)
            case Exited():
                self._take_exit(message)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for a console to receive")

    def _take_hello(self, link: Link, node: _Node, hello: ConsoleHello) -> None:
        unknown = RUN_UNKNOWN in (self._run, hello.run)
        if hello.run != self._run and not unknown:
            raise ProtocolError(f"node {hello.node} belongs to run {hello.run.hex()}")
        if hello.role is Role.BACKUP:
            self._fire(node, LinkTrigger.BACKUP_GREETS)
            return
        if hello.role is not Role.PRIMARY or hello.generation == 0:
            raise ProtocolError(
                f"a node greets as {hello.role.name.lower()} of generation {hello.generation}"
            )
        if hello.generation < self.generation:
            self._fire(node, LinkTrigger.OLD_PRIMARY_GREETS)
            self._fence(link, f"generation {hello.generation} of {hello.node} is over")
            return
        if hello.generation == self.generation and hello.node != self._primary:
            detail = f"{self._primary} and {hello.node} both have generation {hello.generation}"
            self._contradict(link, ContradictionKind.TWO_PRIMARIES, detail)
            return
        self._fire(node, LinkTrigger.PRIMARY_GREETS)
        if self._attached is not None and self._attached != link:
            old = self._links[self._attached]
            old.automaton.fire(LinkTrigger.SUPERSEDED)
            self._fence_or_drop(hello)
        self._attached = link
        self._primary, self.generation, self._run = hello.node, hello.generation, hello.run
        self._events.append(Attached(link, hello.node, hello.generation))
        self._resume_input(link, dict(hello.offsets))

    def _resume_input(self, link: Link, offsets: dict[Channel, StreamOffset]) -> None:
        for channel, queue in self._inputs.items():
            next_wanted = offsets.get(channel, StreamOffset(0))
            if queue.placed_at is None or next_wanted < queue.placed_at == queue.start:
                # A console before us is gone with input of its own that no guest will see now.
                queue.start = queue.placed_at = next_wanted
            if not queue.start <= next_wanted <= queue.end:
                detail = (
                    f"node wants input {channel} from {next_wanted}, there is"
                    f" {queue.start} to {queue.end}"
                )
                self._contradict(link, ContradictionKind.INPUT_LOST, detail)
                return
            queue.sent = next_wanted
            self._send_input(channel)

    def _take_output(self, output: Output) -> None:
        view = self._outputs.get(output.channel)
        if view is None or output.generation != self.generation or not output.data:
            raise ProtocolError(
                f"output {output.channel} of generation {output.generation},"
                f" {len(output.data)} bytes"
            )
        assert self._attached is not None
        before = view.received
        fresh, wrong = view.take(output.offset, output.data)
        if wrong is not None:
            detail = (
                f"{len(output.data)} bytes of output {output.channel} from offset"
                f" {output.offset} of generation {output.generation}, having {before}"
            )
            self._contradict(self._attached, wrong, detail)
            return
        end = StreamOffset(output.offset + len(output.data))
        if fresh:
            start = StreamOffset(end - len(fresh))
            self._events.append(OutputAccepted(output.channel, output.generation, start, fresh))
        self._owed[output.channel] = end
        self._owed_bytes += len(output.data)
        if self._owed_bytes >= CONFIRM_BYTES:
            self._confirm()

    def _confirm(self) -> None:
        """Say what has been received. Nobody waits for that, but the primary may keep no more
        than so much, so it goes along with something else while it is little."""
        for channel, end in self._owed.items():
            self._send(Received(channel, end))
        self._owed.clear()
        self._owed_bytes = 0

    def _take_exit(self, exited: Exited) -> None:
        assert self._attached is not None
        if exited.generation != self.generation:
            raise ProtocolError(f"exit of generation {exited.generation}")
        told = self._exited
        if told is None:
            self._exited = exited
            self._events.append(GuestExited(exited.status, exited.count, exited.digest))
        elif (told.status, told.count, told.digest) != (
            exited.status, exited.count, exited.digest
        ):  # fmt: skip
            detail = f"status {told.status} at {told.count}, then {exited.status} at {exited.count}"
            self._contradict(self._attached, ContradictionKind.EXIT_DIFFERS, detail)
            return
        self._send(Goodbye(Reason.GUEST_ENDED, exited.status, ""))

    def _send_input(self, channel: Channel) -> None:
        queue = self._inputs[channel]
        if queue.sent < queue.end:
            self._confirm()
        while self._attached is not None and queue.sent < queue.end:
            start = max(queue.sent, queue.start)
            at = start - queue.start
            data = bytes(queue.data[at : at + DATA_BYTES_MAX])
            self._send(Input(channel, StreamOffset(start), data))
            queue.sent = StreamOffset(start + len(data))

    def _fire(self, node: _Node, trigger: LinkTrigger) -> None:
        if not node.automaton.allows(trigger):
            raise ProtocolError(f"{trigger} while {node.automaton.state}")
        node.automaton.fire(trigger)

    def _fence_or_drop(self, hello: ConsoleHello) -> None:
        """Leave the primary that we were attached to, for the one that greets."""
        assert self._attached is not None
        if hello.generation > self.generation:
            self.generation = hello.generation
            self._fence(self._attached, f"generation {hello.generation} is {hello.node}'s")
        else:
            self._drop(self._attached, "same node on a newer connection")

    def _fence(self, link: Link, why: str) -> None:
        self._events.append(Send(link, Fenced(self.generation)))
        self._drop(link, why)

    def _contradict(self, link: Link, kind: ContradictionKind, detail: str) -> None:
        self._events.append(Contradiction(kind, detail))
        self._drop(link, kind.value)

    def _send(self, message: Message) -> None:
        if self._attached is not None:
            self._events.append(Send(self._attached, message))

    def _drop(self, link: Link, why: str) -> None:
        self.closed(link)
        self._events.append(Close(link, why))
