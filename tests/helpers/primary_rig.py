"""A primary under test, with short words for what happens to it."""

from typing import TypeVar

from ftvm.replication.arbitration import Won
from ftvm.replication.events import (
    Event,
    Link,
    OutputReleased,
    Send,
)
from ftvm.replication.framing import encode
from ftvm.replication.handshake import greeting
from ftvm.replication.messages import (
    CONSOLE,
    Ack,
    ConsoleHello,
    Hello,
    Message,
    Role,
)
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Identity, Settings
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds, StreamOffset

RUN = b"r" * 16
BACKUP, TERMINAL, OTHER = Link(1), Link(2), Link(3)
SETTINGS = Settings(
    heartbeat_interval_ns=Nanoseconds(100),
    heartbeats_missed_max=3,
    greeting_timeout_ns=Nanoseconds(1_000),
    stall_timeout_ns=Nanoseconds(2_000),
    store_retry_interval_ns=Nanoseconds(500),
    mark_interval_ns=Nanoseconds(0),
    log_unacknowledged_bytes_max=100,
    lag_count_max=InstructionCount(1_000),
    output_unreceived_bytes_max=50,
)
E_ = TypeVar("E_", bound=Event)


def identity(node: str, **other: object) -> Identity:
    fields = {"run": RUN, "image": b"i" * 32, "config": b"c" * 32, "engine": "engine 1", **other}
    return Identity(node, **fields)  # type: ignore[arg-type]


def at(time: int) -> Nanoseconds:
    return Nanoseconds(time)


class Primary:
    """A primary with short words for what happens to it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.protocol = PrimaryProtocol(identity("p"), settings)
        self.protocol.start()
        self.events: list[Event] = []
        self.look()

    def look(self) -> list[Event]:
        """What it asks for now."""
        self.events = []
        while (event := self.protocol.next_event()) is not None:
            self.events.append(event)
        return self.events

    def of(self, kind: type[E_]) -> list[E_]:
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self, link: Link) -> list[Message]:
        return [event.message for event in self.of(Send) if event.link == link]

    def hear(self, link: Link, *messages: Message, time: int = 0) -> None:
        self.protocol.receive(link, b"".join(map(encode, messages)), at(time))
        self.look()

    def win(self) -> None:
        generation = Generation(self.protocol.generation + 1)
        self.protocol.store_answered(Won(generation), at(0))
        self.look()

    def join(self, hello: Hello | None = None, link: Link = BACKUP) -> None:
        self.protocol.peer_connected(link, at(0))
        self.hear(link, hello or backup_hello())

    def attach(self, link: Link = TERMINAL, hello: ConsoleHello | None = None) -> None:
        self.protocol.console_connected(link, at(0))
        self.hear(link, hello or console_hello())

    def run(self, count: int, *, log: bytes = b"", output: bytes = b"", time: int = 0) -> None:
        """Execute to `count`, with log and then output made by the last instruction."""
        self.protocol.log_produced(log)
        if output:
            self.protocol.output_made(CONSOLE, InstructionCount(count), output)
        self.protocol.executed(InstructionCount(count), at(time))
        self.look()

    def acknowledge(self, count: int, position: int, executed: int = 0, time: int = 0) -> None:
        ack = Ack(InstructionCount(count), LogPosition(position), InstructionCount(executed))
        self.hear(BACKUP, ack, time=time)

    def tick(self, time: int) -> None:
        self.protocol.tick(at(time))
        self.look()

    def released(self) -> bytes:
        return b"".join(event.data for event in self.of(OutputReleased))


def backup_hello(node: str = "b", generation: int = 0, count: int = 0, **other: object) -> Hello:
    return greeting(
        identity(node, **other),
        Role.BACKUP,
        Generation(generation),
        InstructionCount(count),
        LogPosition(0),
    )


def console_hello(
    name: str = "terminal", generation: int = 0, run: bytes = RUN, have: int | None = 0
) -> ConsoleHello:
    offsets = () if have is None else ((CONSOLE, StreamOffset(have)),)
    return ConsoleHello(Role.ENDPOINT, name, run, Generation(generation), offsets)


def booted(settings: Settings = SETTINGS) -> Primary:
    """A primary with its generation that waits for a backup."""
    primary = Primary(settings)
    primary.win()
    return primary


def paired(settings: Settings = SETTINGS) -> Primary:
    """A primary with a backup."""
    primary = booted(settings)
    primary.join()
    return primary


def solo(settings: Settings = SETTINGS) -> Primary:
    """A primary that waits for no backup."""
    primary = booted(settings)
    primary.protocol.run_alone()
    primary.look()
    return primary
