"""Sees what a replica's or a console's protocol does, and has it written down.

What was sent is taken from the events, before they are acted on; what came is
taken from the bytes that came, and not from what the protocol made of them.
"""

from collections.abc import Callable

from msgspec import structs

from ftvm.audit import records
from ftvm.audit.records import FORMAT, Place, Record
from ftvm.errors import ProtocolError
from ftvm.replication import events
from ftvm.replication.events import Event, Link, Send
from ftvm.replication.framing import FrameDecoder
from ftvm.replication.messages import (
    CONSOLE_MESSAGES,
    LOGGING_MESSAGES,
    Ack,
    Channel,
    ConsoleHello,
    Consumed,
    Entries,
    Exited,
    Goodbye,
    Handover,
    Hello,
    Mark,
    Message,
    Reason,
    Role,
)
from ftvm.units import InstructionCount, LogPosition, StreamOffset

Write = Callable[[Record], None]


class Tap:
    """The messages that come on each connection, beside what else is made of them."""

    def __init__(self) -> None:
        self._decoders: dict[Link, FrameDecoder] = {}

    def messages(self, link: Link, data: bytes) -> list[Message]:
        """Return the messages that are whole with `data`; what is none is not for us to judge."""
        decoder = self._decoders.get(link)
        if decoder is None:
            decoder = FrameDecoder("journal", LOGGING_MESSAGES + CONSOLE_MESSAGES)
            self._decoders[link] = decoder
        decoder.feed(data)
        whole: list[Message] = []
        try:
            while (message := decoder.next_message()) is not None:
                whole.append(message)
        except ProtocolError:
            return whole
        return whole

    def forget(self, link: Link) -> None:
        """Note that a connection is closed."""
        self._decoders.pop(link, None)


class ReplicaWitness:
    """Writes the journal of one replica's life."""

    def __init__(self, node: str, role: str, run: str, write: Write) -> None:
        self._write = write
        self._tap = Tap()
        self._live_generation = 0
        self._peer: Link | None = None
        self._came: dict[Link, Place] = {}
        """The newest acknowledgement that came on each connection."""
        self._relied_on: Place | None = None
        self._held = 0
        self._marked: Place | None = None
        self._acknowledged: Place | None = None
        self._leaving: records.Released | None = None
        """Output that may leave, and has not: what follows at once is written together."""
        self._write(records.Begun(format=FORMAT, node=node, role=role, run=run))

    # --- what came ---

    def received(self, link: Link, data: bytes) -> None:
        """Note bytes from a connection."""
        for message in self._tap.messages(link, data):
            self._came_in(link, message)

    def _came_in(self, link: Link, message: Message) -> None:
        match message:
            case Hello(role=Role.PRIMARY, node=node, run=run, generation=generation):
                self._held = message.position
                self._write(records.Greeted(run=run.hex(), primary=node, generation=generation))
            case Handover():
                self._held = message.position
                self._marked = Place(message.count, message.position)
                self._write(
                    records.TakenOver(
                        at=Place(message.count, message.position),
                        outputs=message.outputs,
                        inputs=message.inputs,
                    )
                )
            case Entries(position, data):
                if position <= self._held:
                    self._held = max(self._held, position + len(data))
            case Mark(count, position):
                self._marked = Place(count, position)
            case Ack(count, position, _):
                self._came[link] = Place(count, position)
            case Goodbye(Reason.USER_ACTION) if link != self._peer:
                self._write(records.Left())

    def closed(self, link: Link) -> None:
        """Note that a connection is gone."""
        self._tap.forget(link)
        self._came.pop(link, None)

    # --- what is done ---

    def taken(
        self, channel: Channel, offset: StreamOffset, size: int,
        count: InstructionCount, position: LogPosition,
    ) -> None:  # fmt: skip
        """Note that the guest has taken input from `offset` on, and the log has it."""
        at = Place(count, position)
        self._write(records.Taken(channel=channel, offset=offset, size=size, at=at))

    def before(self, event: Event) -> None:
        """Note what is about to be done."""
        if isinstance(event, events.OutputReleased):
            self._release(event)
            return
        if self._leaving is not None:
            self._rely()
            self._write(self._leaving)
            self._leaving = None
        match event:
            case Send(link, Exited()) if link == self._peer:
                pass  # which nobody outside sees
            case Send(_, message):
                self._goes_out(message)
            case events.GenerationWon(generation):
                if generation != self._live_generation:
                    self._write(records.Won(generation=generation))
            case events.GoLive(generation, count, position, inputs):
                self._live_generation = generation
                at = Place(count, position)
                self._write(records.Live(generation=generation, at=at, inputs=inputs))
            case events.PeerJoined(link, node, generation):
                self._peer, self._relied_on = link, None
                self._write(records.Paired(peer=node, generation=generation))
            case events.PeerLost(cause):
                self._write(records.Lost(cause=cause.value))
            case events.ConsoleAttached(_, node):
                self._write(records.Attached(console=node))
            case events.Close(link):
                self.closed(link)
            case events.Halt(cause, detail):
                self._write(records.Ended(why=f"{cause.value}: {detail}"))
            case events.Ended(reason):
                self._write(records.Ended(why=reason.name.lower().replace("_", " ")))

    def _release(self, event: events.OutputReleased) -> None:
        mark = event.acknowledged
        released = records.Released(
            channel=event.channel,
            generation=event.generation,
            offset=event.offset,
            data=event.data.decode("latin-1"),
            made=Place(event.count, event.position),
            acknowledged=None if mark is None else Place(mark.count, mark.position),
        )
        before = self._leaving
        if before is not None:
            if _is_continued(before, released):
                data = before.data + released.data
                released = structs.replace(released, offset=before.offset, data=data)
            else:
                self._rely()
                self._write(before)
        self._leaving = released

    def _goes_out(self, message: Message) -> None:
        match message:
            case Ack(count, position, _):
                mark = Place(count, position)
                if mark != self._acknowledged:
                    self._acknowledged = mark
                    self._write(records.AckSent(mark=mark, came=self._marked, held=self._held))
            case Handover():
                self._write(
                    records.HandedOver(
                        at=Place(message.count, message.position),
                        outputs=message.outputs,
                        inputs=message.inputs,
                    )
                )
            case Consumed(channel, offset) if offset:
                self._rely()
                self._write(records.InputAcknowledged(channel=channel, offset=offset))
            case Exited(generation, status, count, digest):
                self._rely()
                self._write(
                    records.ExitTold(
                        generation=generation, status=status, count=count, digest=digest.hex()
                    )
                )

    def _rely(self) -> None:
        """Write what the backup has acknowledged, if that is news."""
        came = None if self._peer is None else self._came.get(self._peer)
        if came is not None and came != self._relied_on:
            self._relied_on = came
            self._write(records.AckReceived(mark=came))


def _is_continued(before: records.Released, released: records.Released) -> bool:
    return (
        before.channel == released.channel
        and before.generation == released.generation
        and before.acknowledged == released.acknowledged
        and before.offset + len(before.data) == released.offset
    )


class ConsoleWitness:
    """Writes the journal of one console."""

    def __init__(self, name: str, run: str, write: Write) -> None:
        self._write = write
        self._tap = Tap()
        self._run = run
        self._write(records.Begun(format=FORMAT, node=name, role=records.CONSOLE_ROLE, run=run))

    def received(self, link: Link, data: bytes) -> None:
        """Note bytes from a node."""
        for message in self._tap.messages(link, data):
            if isinstance(message, ConsoleHello) and message.role is Role.PRIMARY:
                self._run = message.run.hex()
            if isinstance(message, Consumed) and message.offset:
                self._write(records.Forgot(channel=message.channel, offset=message.offset))

    def closed(self, link: Link) -> None:
        """Note that a connection is gone."""
        self._tap.forget(link)

    def before(self, event: Event) -> None:
        """Note what is about to be done."""
        match event:
            case events.Attached(_, node, generation):
                self._write(records.Followed(node=node, generation=generation, run=self._run))
            case events.OutputAccepted(channel, generation, offset, data):
                self._write(
                    records.Accepted(
                        channel=channel,
                        generation=generation,
                        offset=offset,
                        data=data.decode("latin-1"),
                    )
                )
            case events.GuestExited(status, count, digest):
                self._write(records.ExitHeard(status=status, count=count, digest=digest.hex()))
            case events.Contradiction(kind, detail):
                self._write(records.Contradicted(kind=kind.value, detail=detail))
            case events.Close(link):
                self.closed(link)
