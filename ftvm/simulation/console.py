"""The client: types a script, and writes down all it sees."""

from typing import TYPE_CHECKING

from ftvm.replication.endpoint import ConsoleEndpoint
from ftvm.replication.events import (
    Attached,
    Close,
    Contradiction,
    GuestExited,
    Link,
    OutputAccepted,
    Send,
)
from ftvm.simulation.network import MILLISECOND
from ftvm.simulation.node import Node
from ftvm.units import Nanoseconds

if TYPE_CHECKING:
    from ftvm.simulation.world import World

_DIALS_MAX = 300
_REDIAL_AFTER = 8 * MILLISECOND


class Console:
    """One console for the whole run, with a connection to each node that lives."""

    name = "console"

    def __init__(self, world: "World", endpoint: ConsoleEndpoint, script: bytes) -> None:
        self.world, self.endpoint, self.script = world, endpoint, script
        self.view = bytearray()
        self.typed = bytearray()
        self.generations: list[int] = []
        self.contradictions: list[Contradiction] = []
        self.exit: GuestExited | None = None
        self._nodes: dict[Link, Node] = {}
        self._dials = 0
        self._clock = world.draw_clock()

    @property
    def now(self) -> Nanoseconds:
        """The console's own clock."""
        return self._clock(self.world.clock.now)

    def turn(self) -> None:
        """Look at the clock, again and again."""
        self.endpoint.tick(self.now)
        self._act()
        self.world.clock.after(self.world.random.uniform(1, 4) * MILLISECOND, self.turn)

    def dial(self, node: Node) -> None:
        """Connect to a node, if there is anybody."""
        if not node.running or self._dials > _DIALS_MAX:
            return
        self._dials += 1
        link = self.world.network.connect(self, node)
        self._nodes[link] = node
        node.protocol.console_connected(link, node.now)
        self.endpoint.connected(link, self.now)
        self._act()

    def type_some(self) -> None:
        """Type a few keys, and more later."""
        random, world = self.world.random, self.world
        keys = len(self.script) - (world.clock.now < world.quits_at)
        if self.exit is None and len(self.typed) < len(self.script):
            size = min(random.randint(1, 4), self.endpoint.room(), keys - len(self.typed))
            data = self.script[len(self.typed) : len(self.typed) + size]
            self.typed += data
            if data:
                world.tell(self.name, f"types {data.decode()!r}")
            self.endpoint.write(data)
            self._act()
            world.clock.after(random.uniform(1, 30) * MILLISECOND, self.type_some)

    def on_bytes(self, link: Link, data: bytes) -> None:
        """Hand in what arrived."""
        self.endpoint.receive(link, data, self.now)
        self._act()

    def on_closed(self, link: Link) -> None:
        """Hand in that a connection is gone."""
        self.endpoint.closed(link)
        self._lost(link)

    def _lost(self, link: Link) -> None:
        node = self._nodes.pop(link, None)
        if node is not None and not self.contradictions:
            self.world.clock.after(_REDIAL_AFTER, lambda: self.dial(node))

    def _act(self) -> None:
        world = self.world
        while (event := self.endpoint.next_event()) is not None:
            world.tell_event(self.name, event)
            match event:
                case Send(link):
                    world.network.send(self.name, link, event.data)
                case Close(link):
                    world.network.close(self.name, link)
                    self._lost(link)
                case OutputAccepted(_, generation, offset, data):
                    assert offset == len(self.view)
                    self.view += data
                    self.generations.append(generation)
                    world.see(self.name, data)
                case Attached(_, _, generation):
                    self.generations.append(generation)
                case GuestExited():
                    self.exit = event
                case Contradiction():
                    self.contradictions.append(event)
