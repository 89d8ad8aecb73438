"""The node's side of the console channel, for a backup and for a primary alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ftvm.errors import ProtocolError
from ftvm.replication.events import (
    Close,
    ConsoleAttached,
    Event,
    InputArrived,
    Link,
    OutputReleased,
    Send,
)
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.messages import (
    DATA_BYTES_MAX,
    DETAIL,
    RUN_UNKNOWN,
    Channel,
    ConsoleHello,
    Consumed,
    Exited,
    Fenced,
    Goodbye,
    Heartbeat,
    Input,
    Mark,
    Message,
    Output,
    Reason,
    Received,
    Role,
)
from ftvm.replication.pulse import Pulse
from ftvm.replication.settings import Identity, Settings
from ftvm.replication.streams import Condition, InputStream, OutputStream
from ftvm.units import Generation, Nanoseconds, StreamOffset


@dataclass
class _Console:
    """One connection from an endpoint."""

    greet_until: Nanoseconds
    name: str = ""
    decoder: FrameDecoder = field(default_factory=FrameDecoder.for_console)
    pulse: Pulse | None = None
    """From its greeting on."""
    exit_sent: bool = False
    have: dict[Channel, StreamOffset] = field(default_factory=dict)
    """Output the endpoint said it had when it greeted."""
    sent: dict[Channel, StreamOffset] = field(default_factory=dict)
    """Output sent on this connection; empty until this node is primary."""


class ConsoleService:
    """Serves at most one endpoint at a time: the one that greeted last.

    The owner moves the streams (what is released, what is consumed) and calls
    `flush`; what the endpoint says moves the streams too, and shows in
    `exit_confirmed` and `superseded_by`, which the owner looks at.
    """

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        channels: tuple[Channel, ...],
        emit: Callable[[Event], None],
    ) -> None:
        """Begin as a backup's service, with empty streams for `channels`."""
        self._identity = identity
        self._settings = settings
        self._emit = emit
        self._links: dict[Link, _Console] = {}
        self._attached: Link | None = None
        self._exit: Exited | None = None
        self.role = Role.BACKUP
        self.generation = Generation(0)
        self.run = identity.run
        self.exit_confirmed = False
        self.superseded_by: Generation | None = None
        self.outputs = {
            channel: OutputStream(settings.output_unreceived_bytes_max) for channel in channels
        }
        self.inputs = {
            channel: InputStream(settings.input_unconsumed_bytes_max) for channel in channels
        }

    @property
    def exit_settled(self) -> bool:
        """Whether the guest has ended and nobody has to be told any more."""
        if self._exit is None:
            return False
        return self.exit_confirmed or not any(stream.wanted for stream in self.outputs.values())

    @property
    def output_full(self) -> bool:
        """Whether the guest must wait until the endpoint has taken some output."""
        for stream in self.outputs.values():  # noqa: SIM110  # asked at every turn, and any() shows
            if stream.full:
                return True
        return False

    @property
    def holds_output(self) -> bool:
        """Whether output waits to be let go of."""
        for stream in self.outputs.values():  # noqa: SIM110  # as above
            if stream.held:
                return True
        return False

    @property
    def attached(self) -> bool:
        """Whether an endpoint is there."""
        return self._attached is not None

    def connected(self, link: Link, now: Nanoseconds) -> None:
        """Take a new connection; the endpoint speaks first, and in time."""
        greet_until = Nanoseconds(now + self._settings.greeting_timeout_ns)
        self._links[link] = _Console(greet_until)

    def owns(self, link: Link) -> bool:
        """Whether `link` is one of the console connections."""
        return link in self._links

    def closed(self, link: Link) -> None:
        """Forget a connection that is gone."""
        self._links.pop(link, None)
        if self._attached == link:
            self._attached = None

    def deadline(self) -> Nanoseconds | None:
        """When `tick` has something to do."""
        times = [
            console.greet_until if console.pulse is None else console.pulse.deadline()
            for console in self._links.values()
        ]
        return min(times, default=None)

    def tick(self, now: Nanoseconds) -> None:
        """Drop who has not greeted in time, or says nothing any more; say that we are here."""
        for link, console in list(self._links.items()):
            pulse = console.pulse
            if pulse is None:
                if now >= console.greet_until:
                    self._drop(link, "no greeting in time")
            elif pulse.silent(now):
                self._drop(link, "heartbeats missed")
            elif pulse.beat_due(now):
                self._emit(Send(link, pulse.beat()))

    def beats(self, now: Nanoseconds) -> Iterator[Send]:
        """Yield the heartbeats that are due."""
        for link, console in self._links.items():
            if console.pulse is not None and console.pulse.beat_due(now):
                yield Send(link, console.pulse.beat())

    def receive(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        """Take bytes from an endpoint; whatever is wrong with them ends that connection only."""
        console = self._links[link]
        if console.pulse is not None:
            console.pulse.heard(now)
        console.decoder.feed(data)
        try:
            while link in self._links and (message := console.decoder.next_message()) is not None:
                self._take(link, console, message, now)
        except ProtocolError as error:
            self._drop(link, str(error))

    def announce(self, role: Role, generation: Generation) -> None:
        """Tell the endpoint who we are now."""
        self.role, self.generation = role, generation
        if self._attached is not None:
            self._greet(self._attached)

    def flush(self) -> None:
        """Send the endpoint what is released and not yet sent, then the guest's end."""
        if self._attached is None or self.role is not Role.PRIMARY:
            return
        console = self._links[self._attached]
        for channel, stream in self.outputs.items():
            while console.sent[channel] < stream.released:
                start = console.sent[channel]
                end = StreamOffset(min(start + DATA_BYTES_MAX, stream.released))
                self._send(Output(self.generation, channel, start, stream.read(start, end)))
                console.sent[channel] = end
        if self._exit is not None and not console.exit_sent:
            console.exit_sent = True
            exited = self._exit
            self._send(Exited(self.generation, exited.status, exited.count, exited.digest))

    def settle(self, may_leave: Condition, acknowledged: Mark | None) -> None:
        """Let go of the output that may leave, and note the input that is safe, by now.

        ``acknowledged`` is the newest mark that was, None if all may leave.
        """
        for channel, stream in self.outputs.items():
            if not stream.held:
                continue
            for piece in stream.release(may_leave):
                data = stream.read(piece.start, piece.end)
                self._emit(
                    OutputReleased(
                        channel, self.generation, piece.start, data, piece.count, piece.position,
                        acknowledged,
                    )
                )  # fmt: skip
        for channel, stream_in in self.inputs.items():
            if stream_in.pending and stream_in.settle(may_leave):
                self.consumed(channel)

    def consumed(self, channel: Channel) -> None:
        """Tell the endpoint what it may forget."""
        if self._attached is not None and self.role is Role.PRIMARY:
            self._send(Consumed(channel, self.inputs[channel].safe))

    def exited(self, exited: Exited) -> None:
        """Note the guest's end; all of its output has been released."""
        self._exit = exited

    def goodbye(self, reason: Reason, status: int, detail: str) -> None:
        """Take leave of the endpoint."""
        if self._attached is not None:
            self._send(Goodbye(reason, status, DETAIL.fit(detail)))

    def _take(self, link: Link, console: _Console, message: Message, now: Nanoseconds) -> None:
        if console.pulse is None:
            if not isinstance(message, ConsoleHello):
                raise ProtocolError(f"{type(message).__name__} before a greeting")
            self._take_hello(link, console, message)
            console.pulse = Pulse(self._settings, now)
            return
        match message:
            case Received(channel, offset):
                if offset > console.sent.get(channel, -1):
                    raise ProtocolError(
                        f"output {channel} confirmed to {offset}, which was not sent"
                    )
                self.outputs[channel].confirm(offset)
            case Input(channel, offset, data):
                self._take_input(channel, offset, data)
            case Heartbeat():
                console.pulse.felt(message)
            case Goodbye(Reason.GUEST_ENDED) if console.exit_sent:
                self.exit_confirmed = True
            case Goodbye(Reason.USER_ACTION):
                for stream in self.outputs.values():
                    stream.wanted = False
                self._drop(link, "console left")
            case Fenced(generation) if self.role is Role.PRIMARY:
                self._note_newer(generation)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for a node to receive now")

    def _take_hello(self, link: Link, console: _Console, hello: ConsoleHello) -> None:
        if hello.role is not Role.ENDPOINT:
            raise ProtocolError(f"a console greets as {hello.role.name.lower()}")
        if hello.run not in (self.run, RUN_UNKNOWN) and self.run != RUN_UNKNOWN:
            raise ProtocolError(f"console of run {hello.run.hex()}, this is {self.run.hex()}")
        if not hello.node:
            raise ProtocolError("a console greets without a name")
        if self._attached is not None:
            why = f"console {hello.node} took over"
            if hello.node != self._links[self._attached].name:
                self._send(Goodbye(Reason.REPLACED, 0, why))
            self._drop(self._attached, why)
        console.name = hello.node
        console.have = {c: offset for c, offset in hello.offsets if c in self.outputs}
        self._attached = link
        self._emit(ConsoleAttached(link, hello.node))
        if self.role is Role.PRIMARY:
            self._note_newer(hello.generation)
        self._greet(link)

    def _greet(self, link: Link) -> None:
        console = self._links[link]
        offsets = tuple((channel, self.inputs[channel].accepted) for channel in sorted(self.inputs))
        self._send(ConsoleHello(self.role, self._identity.node, self.run, self.generation, offsets))
        if self.role is not Role.PRIMARY:
            return
        for channel, stream in self.outputs.items():
            # Not beyond `released`: an endpoint that has more than was ever
            # released must see our version of it, and will notice.
            have = max(console.have.get(channel, stream.start), stream.start)
            have = min(have, stream.released)
            console.sent.setdefault(channel, have)
            stream.wanted = True
            stream.confirm(have)
        for channel in self.inputs:
            self.consumed(channel)
        self.flush()

    def _take_input(self, channel: Channel, offset: StreamOffset, data: bytes) -> None:
        if self.role is not Role.PRIMARY or channel not in self.inputs or not data:
            raise ProtocolError(f"input for channel {channel}, which takes none here")
        fresh = self.inputs[channel].accept(offset, data)
        if fresh:
            start = StreamOffset(offset + len(data) - len(fresh))
            self._emit(InputArrived(channel, start, fresh))

    def _note_newer(self, generation: Generation) -> None:
        if generation > self.generation:
            self.superseded_by = generation

    def _send(self, message: Message) -> None:
        if self._attached is not None:
            self._emit(Send(self._attached, message))

    def _drop(self, link: Link, why: str) -> None:
        self.closed(link)
        self._emit(Close(link, why))
