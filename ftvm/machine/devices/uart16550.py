"""The serial port: National Semiconductor PC16550D.

What it does is in uart16550.c; here is what its state may be, what waits on its
line, and its ports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ftvm.errors import StateError
from ftvm.machine.cpu import ffi, lib
from ftvm.machine.devices.fields import Byte, Length, Mask, Range, checked

COM1 = 0x3F8  # IBM PC AT Technical Reference, I/O map: serial port 1
PORT_COUNT = 8
# What of the registers can be set: PC16550D table II.
IER_BITS = 0x0F
IER_THR_EMPTY = 0x02
FCR_BITS = 0xC1
FCR_ENABLE = 0x01
MCR_BITS = 0x1F
_PLAIN = (
    *("ier", "fcr", "lcr", "mcr", "scr", "divisor"),
    *("modem_changes", "overrun", "thr_empty_pending"),
)


@dataclass(frozen=True, slots=True)
class UartState:
    """The registers, what is looped back and unread, what waits on the line."""

    ier: Annotated[int, Mask(IER_BITS)]
    fcr: Annotated[int, Mask(FCR_BITS)]
    lcr: Byte
    mcr: Annotated[int, Mask(MCR_BITS)]
    scr: Byte
    divisor: Annotated[int, Range(0, 0xFFFF)]
    modem_changes: Annotated[int, Mask(0x0F)]
    overrun: bool
    thr_empty_pending: bool
    looped: Annotated[bytes, Length(0, lib.UART_FIFO_BYTES)]
    line: Annotated[bytes, Length(0, 1 << 32)]


class Uart16550:
    """One 16550A at `port` ... `port` + 7, a `Uart *` of api.h, whose wires are set."""

    def __init__(self, native: Any, *, name: str = "com1", port: int = COM1) -> None:
        self.name = name
        self.ports: tuple[range, ...] = (range(port, port + PORT_COUNT),)
        self._base = port
        self._native = native
        lib.uart_reset(native)
        self._set_line(b"")

    def receive(self, data: bytes) -> None:
        """Take `data` from the host; none of it is ever dropped."""
        self._set_line(self._line + data)

    @property
    def queued(self) -> int:
        """How many received bytes wait outside the FIFO, unseen by the guest."""
        return int(lib.uart_queued(self._native))

    def read(self, port: int, size: int) -> int:
        """Return the byte register at `port`."""
        return int(lib.uart_read(self._native, port - self._base))

    def write(self, port: int, size: int, value: int) -> None:
        """Write the byte register at `port`; LSR and MSR are read only."""
        lib.uart_write(self._native, port - self._base, value & 0xFF)

    def state(self) -> UartState:
        """Return registers and buffers."""
        uart = self._native
        plain: dict[str, Any] = {name: getattr(uart, name) for name in _PLAIN}
        looped = bytes(ffi.buffer(uart.looped, uart.looped_bytes))
        return UartState(**plain, looped=looped, line=self._line)

    def restore(self, state: object) -> None:
        """Take over `state`, a legal UartState."""
        new = checked(self.name, state, UartState)
        if new.thr_empty_pending and not new.ier & IER_THR_EMPTY:
            raise StateError(f"{self.name}: thr_empty_pending is set, but ier does not enable it")
        if len(new.looped) > 1 and not new.fcr & FCR_ENABLE:
            raise StateError(f"{self.name}: looped has more than RBR holds with FIFOs off")
        uart = self._native
        for name in _PLAIN:
            setattr(uart, name, getattr(new, name))
        uart.looped_bytes = len(new.looped)
        ffi.buffer(uart.looped)[: len(new.looped)] = new.looped
        self._kept = ffi.from_buffer("uint8_t[]", new.line)
        uart.line, uart.line_bytes = self._kept, len(new.line)
        lib.uart_settle(uart)

    @property
    def _line(self) -> bytes:
        """What waits on the line."""
        return bytes(ffi.buffer(self._native.line, self._native.line_bytes))

    def _set_line(self, data: bytes) -> None:
        kept = ffi.from_buffer("uint8_t[]", data)
        lib.uart_receive(self._native, kept, len(data))
        self._kept = kept  # the guest reads out of it


class LoneUart(Uart16550):
    """A UART without a machine.

    `irq` gets the level of the interrupt output, as gated by OUT2 on a PC;
    `output` each byte that leaves.
    """

    def __init__(
        self,
        *,
        irq: Callable[[bool], None],
        output: Callable[[bytes], None],
        name: str = "com1",
        port: int = COM1,
    ) -> None:
        native = ffi.new("Uart *")
        self._wires = (
            ffi.callback("void(void *, bool)", lambda _, level: irq(level)),
            ffi.callback("void(void *, uint8_t)", lambda _, byte: output(bytes((byte,)))),
        )
        native.wires.irq, native.wires.output = self._wires
        super().__init__(native, name=name, port=port)
