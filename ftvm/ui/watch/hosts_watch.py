"""`ftvm watch`: the screen of a guest that hosts serve, or lines that tell the same."""

import signal
from collections.abc import Sequence

from ftvm.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_SIGNALLED, LostGuestError
from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.ends import End, unpack_end
from ftvm.runtime.remote_console import RemoteConsole
from ftvm.runtime.security import Security
from ftvm.runtime.sinks import NO_SINKS
from ftvm.ui.console import Output
from ftvm.ui.notices import Notices
from ftvm.ui.signals import Signals
from ftvm.ui.watch import deeds
from ftvm.ui.watch.deeds import Deed
from ftvm.ui.watch.display import STDIN, Display, read_typed
from ftvm.ui.watch.hosts_lookout import HostsLookout
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.plain import PlainLines
from ftvm.ui.watch.screen import Screen
from ftvm.units import Nanoseconds

PATIENCE_NS = Nanoseconds(30_000_000_000)
"""As long as `ftvm console` has."""
_TICK_NS = Nanoseconds(50_000_000)
_NOW = Nanoseconds(0)


class HostsWatch:
    """One look at a pair elsewhere. It changes nothing, unless somebody types to the guest."""

    def __init__(self, addresses: Sequence[Address], security: Security) -> None:
        self._addresses = addresses
        self._security = security
        self._model = PairModel(", ".join(map(str, addresses)), now_ns(), owned=False)
        self._lookout = HostsLookout(addresses, security, self._model)
        self._signals = Signals()
        self._notices = Notices()
        self._console: RemoteConsole | None = None
        self._keys = b""
        self._typed = bytearray()

    # --- lines ---

    def tell(self, *, as_json: bool) -> int:
        """Write lines until a signal comes, the guest ends or nobody answers any more."""
        output = Output(self._signals, self._notices)
        lines = PlainLines(self._model, output.write, as_json=as_json)
        with self._signals:
            self._lookout.transport.watch(self._signals.descriptor, self._signals.drain)
            output.watch_reader(self._lookout.transport)
            while True:
                self._lookout.poll(_TICK_NS)
                lines.flush()
                if output.reader_left:
                    return EXIT_BROKEN_PIPE
                if output.failure is not None:
                    raise output.failure
                if (status := self._verdict()) is not None:
                    return status

    def _verdict(self) -> int | None:
        """Return the exit status if it is over."""
        if self._signals.caught is not None:
            return EXIT_SIGNALLED + self._signals.caught
        if self._model.state == "ended":
            return 0
        if now_ns() - self._lookout.answered_ns < PATIENCE_NS:
            return None
        why = "; ".join(self._lookout.troubles) or "no answer"
        self._notices.error(f"no host has answered for {PATIENCE_NS // 1_000_000_000} s: {why}")
        return LostGuestError.exit_status

    # --- the screen ---

    def show(self) -> int:
        """Show the screen until the user leaves."""
        screen = Screen(self._model, _explain, self._typed.extend)
        screen.view.can_type = False
        with self._signals, Display() as display:
            transport = self._lookout.transport
            transport.watch(self._signals.descriptor, self._signals.drain)
            transport.watch(STDIN, self._read)
            while not screen.wants_to_leave:
                if self._signals.caught is not None:
                    return EXIT_SIGNALLED + self._signals.caught
                if screen.interrupted:
                    return EXIT_INTERRUPTED
                self._lookout.poll(_TICK_NS)
                if self._keys:
                    keys, self._keys = self._keys, b""
                    screen.take(keys)
                self._tend_console(screen)
                try:
                    screen.draw(display)
                except OSError:  # the terminal has hung up
                    return EXIT_SIGNALLED + signal.SIGHUP
        if self._console is not None:
            self._console.leave()
        return 0

    def _tend_console(self, screen: Screen) -> None:
        """Attach when somebody begins to type, and not before: there is one console at a time."""
        if screen.view.typing and self._console is None:
            self._console = RemoteConsole(
                self._addresses, self._security, screen.grid.feed, NO_SINKS
            )
            descriptor = self._console.transport.descriptor
            self._lookout.transport.watch(descriptor, self._poll_console)
            screen.view.can_type = True
        console = self._console
        if console is None:
            return
        if self._typed and (room := console.room()):
            console.write(bytes(self._typed[:room]))
            del self._typed[:room]
        self._poll_console()
        if console.dismissed is not None or console.exited is not None:
            self._lookout.transport.unwatch(console.transport.descriptor)
            console.transport.part()
            self._console = None
            screen.view.typing = screen.view.can_type = False
            if console.exited is not None:
                kind, status = unpack_end(console.exited.status)
                how = f"{kind.label}, status {status}" if kind is End.EXIT else kind.label
                self._model.ended(f"{how}, at instruction {console.exited.count:,}", now_ns())
            elif console.dismissed is not None:
                screen.notify(console.dismissed)

    def _poll_console(self) -> None:
        if self._console is not None:
            self._console.poll(_NOW)

    def _read(self) -> None:
        self._keys += read_typed()


def _explain(_: Deed) -> str:
    return deeds.ELSEWHERE
