"""The I/O port space: which device answers which port.

The guest's `in` and `out` arrive here, but for those that the core answers by itself
(controllers.c), which a guest does all day. A byte access is one dictionary look-up
and one call of the device.
"""

from collections.abc import Callable
from typing import Protocol

from ftvm.errors import StateError
from ftvm.units import Nanoseconds

PORT_COUNT = 0x10000  # Intel SDM vol. 1 §19.3: 64 K byte-wide ports


class Device(Protocol):
    """Something that answers I/O ports. It knows only what it was handed."""

    @property
    def name(self) -> str:
        """Unique in a machine: "com1", "pic"."""
        ...

    @property
    def ports(self) -> tuple[range, ...]:
        """The I/O ports it answers, fixed from construction on."""
        ...

    def read(self, port: int, size: int) -> int:
        """Answer a read of `size` (1, 2 or 4) bytes at the absolute `port`."""
        ...

    def write(self, port: int, size: int, value: int) -> None:
        """Take a write of `size` (1, 2 or 4) bytes at the absolute `port`."""
        ...

    def state(self) -> object:
        """Return everything that it will behave by, as a frozen dataclass of plain data."""
        ...

    def restore(self, state: object) -> None:
        """Take over `state`; raises StateError, and stays as it was, if that is not legal.

        Moves no interrupt line of other devices: the interrupt controller's
        own state has the level of every line.
        """
        ...


class TimedDevice(Device, Protocol):
    """A device that does something when guest time has reached a point."""

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time at which it next wants `advance`, None for never."""
        ...

    def advance(self, now: Nanoseconds) -> None:
        """Catch up: guest time has reached `now`."""
        ...


class PortBus:
    """Hands each port access to the device that claimed the port.

    Ports that nobody claimed read all ones and take writes without effect, as
    on a PC. A wide access becomes byte accesses in rising order of port, as
    the ISA bus does it for 8-bit devices (Intel SDM vol. 1 §19.3 for the
    order of bytes), except for the widths that the device takes whole.
    """

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        # Bound methods, because looking `read` up on each access costs a fifth of it.
        self._readers: dict[int, Callable[[int, int], int]] = {}
        self._writers: dict[int, Callable[[int, int, int], None]] = {}
        self._whole: set[tuple[int, int]] = set()
        self._owners: dict[int, str] = {}

    def attach(self, device: Device, *, whole: tuple[int, ...] = ()) -> None:
        """Give `device` its ports; accesses of `whole` bytes reach it unsplit.

        Raises ValueError if the name or a port is taken, or a port does not exist.
        """
        if device.name in self._devices:
            raise ValueError(f"a device named {device.name} is attached already")
        ports = [port for span in device.ports for port in span]
        for port in ports:
            if not 0 <= port < PORT_COUNT:
                raise ValueError(f"{device.name} claims port {port:#x}, which does not exist")
            if port in self._owners:
                raise ValueError(f"{device.name} claims port {port:#x} of {self._owners[port]}")
        if len(set(ports)) != len(ports):
            raise ValueError(f"{device.name} claims a port twice")
        self._devices[device.name] = device
        for port in ports:
            self._owners[port] = device.name
            self._readers[port] = device.read
            self._writers[port] = device.write
            self._whole.update((port, size) for size in whole)

    @property
    def claimed(self) -> dict[int, str]:
        """Every claimed port and the name of the device that answers it, by port."""
        return dict(sorted(self._owners.items()))

    def read(self, port: int, size: int) -> int:
        """Return what `size` bytes at `port` read."""
        if size == 1:
            try:
                reader = self._readers[port]
            except KeyError:
                return 0xFF
            return reader(port, 1)
        if (port, size) in self._whole:
            return self._readers[port](port, size)
        value = 0
        for index in range(size):
            value |= self.read(port + index, 1) << 8 * index
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value` to `port`."""
        if size == 1:
            try:
                writer = self._writers[port]
            except KeyError:
                return
            writer(port, 1, value)
            return
        if (port, size) in self._whole:
            self._writers[port](port, size, value)
            return
        for index in range(size):
            self.write(port + index, 1, value >> 8 * index & 0xFF)

    def state(self) -> tuple[tuple[str, object], ...]:
        """Return each device's name and state, in the order of names."""
        return tuple((name, self._devices[name].state()) for name in sorted(self._devices))

    def restore(self, states: tuple[tuple[str, object], ...]) -> None:
        """Restore every device; raises StateError with all of them as they were."""
        names = [name for name, _ in states]
        if names != sorted(self._devices):
            raise StateError(
                f"bus: state is of {', '.join(names)}, not of {', '.join(sorted(self._devices))}"
            )
        before = self.state()
        try:
            for name, state in states:
                self._devices[name].restore(state)
        except StateError:
            for name, state in before:
                self._devices[name].restore(state)
            raise
