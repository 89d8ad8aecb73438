"""What primary and backup have in common: the console, the guest's pace, and events to fetch."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator

from ftvm.replication.console import ConsoleService
from ftvm.replication.events import Event, Link, Send
from ftvm.replication.flow import Flow, Wait
from ftvm.replication.settings import Identity, Settings
from ftvm.units import InstructionCount, LogPosition, Nanoseconds


class Party(ABC):
    """One half of a pair, as whoever runs it sees it."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        console: ConsoleService,
        events: deque[Event],
        count: InstructionCount,
        position: LogPosition,
    ) -> None:
        """Begin with a machine at (count, position); `events` are those not yet fetched."""
        self.identity = identity
        """Who we are; a backup that was sent its machine has the run and image from its primary."""
        self._settings = settings
        self._events = events
        self.console = console
        self.count, self.position = count, position
        self.flow = Flow(settings)

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether nothing that is handed in has any effect any more."""

    @property
    @abstractmethod
    def wait(self) -> Wait | None:
        """Why the guest must not run now, or None if it may."""

    @property
    def runnable(self) -> bool:
        """Whether the guest may run now."""
        return self.wait is None

    @property
    def held_bytes(self) -> int:
        """Output that waits for the backup's acknowledgement, or of a backup, that it keeps."""
        return sum(stream.held_bytes for stream in self.console.outputs.values())

    @property
    @abstractmethod
    def awaits_peer(self) -> bool:
        """Whether the other half has something to say any moment that somebody waits for."""

    @property
    def unconfirmed_bytes(self) -> int:
        """Output that the guest has made and the endpoint is not known to have."""
        return sum(stream.unconfirmed_bytes for stream in self.console.outputs.values())

    def next_event(self) -> Event | None:
        """Return the next thing to do, or None."""
        return self._events.popleft() if self._events else None

    def deadline(self) -> Nanoseconds | None:
        """When to call `tick` next, at the latest; None for never."""
        if self.over:
            return None
        times = (self.console.deadline(), *self._deadlines())
        return min((time for time in times if time is not None), default=None)

    def console_connected(self, link: Link, now: Nanoseconds) -> None:
        """Take a connection on the console channel; it is served by a primary alone."""
        if not self.over:
            self.console.connected(link, now)

    def receive(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        """Take bytes from any connection; those of a connection that is gone are ignored."""
        if self.over:
            return
        if self.console.owns(link):
            self.console.receive(link, data, now)
            self._look_at_console()
        else:
            self._hear(link, data, now)

    def beats(self, now: Nanoseconds) -> Iterator[Send]:
        """Yield the heartbeats that are due, past the other events: for long work between two.

        Nobody is judged, because nobody was listened to.
        """
        if not self.over:
            yield from self.console.beats(now)
            yield from self._beats(now)

    @abstractmethod
    def _beats(self, now: Nanoseconds) -> Iterator[Send]:
        """Yield those to the other half."""

    def closed(self, link: Link) -> None:
        """Note that a connection is gone; one that loses the other half acts at once."""
        if not self.over:
            self.console.closed(link)
            self._hung_up(link)

    @abstractmethod
    def _deadlines(self) -> Iterable[Nanoseconds | None]:
        """When something falls due, other than the console's."""

    @abstractmethod
    def _hear(self, link: Link, data: bytes, now: Nanoseconds) -> None:
        """Take bytes that are not the console's."""

    @abstractmethod
    def _hung_up(self, link: Link) -> None:
        """Note that a connection is gone, if it was one of the logging channel's."""

    @abstractmethod
    def _look_at_console(self) -> None:
        """Act on what the console has said."""
