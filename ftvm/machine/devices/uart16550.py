"""The serial port: National Semiconductor PC16550D.

Register numbers, bits and tables are those of the PC16550D data sheet
(June 1995), section 8. What a machine without a wire does differently:

- There is no baud clock. A byte written is out at once, so the transmitter is
  always empty; data below the receiver's trigger level count as timed out at
  once, so that no received byte ever waits for a clock.
- Host input waits on the line, as if the sender were exactly as fast as the
  guest reads: the receiver FIFO is the head of that line. Hence no overrun, and
  neither FIFO reset nor loopback loses what the guest has not read: input that
  is piped in before the guest sets up its port is still there afterwards.
- Only looped-back bytes are in the receiver themselves; those can overrun.
- Word length, parity and break are kept in LCR and change nothing.
- The modem is always there: CTS, DSR and DCD on, RI off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, Length, Mask, Range, checked

COM1 = 0x3F8  # IBM PC AT Technical Reference, I/O map: serial port 1
PORT_COUNT = 8

# Register offsets, PC16550D table II; two share a number by direction or DLAB.
DATA = 0  # RBR, THR; DLL when DLAB
IER = 1  # DLM when DLAB
IIR_FCR = 2
LCR = 3
MCR = 4
LSR = 5
MSR = 6
SCR = 7

# Interrupt enable, §8.7
IER_RECEIVED = 0x01
IER_THR_EMPTY = 0x02
IER_LINE_STATUS = 0x04
IER_MODEM_STATUS = 0x08
IER_BITS = 0x0F

# Interrupt identification, table IV, in falling priority
IIR_LINE_STATUS = 0x06
IIR_RECEIVED = 0x04
IIR_TIMEOUT = 0x0C
IIR_THR_EMPTY = 0x02
IIR_MODEM_STATUS = 0x00
IIR_NONE = 0x01
IIR_FIFOS_ON = 0xC0

# FIFO control, §8.5
FCR_ENABLE = 0x01
FCR_CLEAR_RECEIVER = 0x02
FCR_TRIGGER = 0xC0
TRIGGER_LEVELS = (1, 4, 8, 14)
FIFO_BYTES = 16

LCR_DLAB = 0x80  # §8.1

# Modem control, §8.8
MCR_OUT2 = 0x08
MCR_LOOP = 0x10
MCR_BITS = 0x1F

# Line status, §8.4
LSR_DATA_READY = 0x01
LSR_OVERRUN = 0x02
LSR_TRANSMITTER_EMPTY = 0x60  # THRE and TEMT

# Modem status, §8.9: levels in the high half, changes since the last read in the low
MSR_CTS_DSR_DCD = 0xB0
MSR_RI = 0x40
MSR_RI_FELL = 0x04

RESET_DIVISOR = 12  # 9600 Bd from 1.8432 MHz, table III; reset leaves it undefined

_BYTES = tuple(bytes((value,)) for value in range(256))


@dataclass(frozen=True, slots=True)
class UartState:
    """The registers, what is looped back and unread, what waits on the line."""

    ier: Annotated[int, Mask(IER_BITS)]
    fcr: Annotated[int, Mask(FCR_TRIGGER | FCR_ENABLE)]
    lcr: Byte
    mcr: Annotated[int, Mask(MCR_BITS)]
    scr: Byte
    divisor: Annotated[int, Range(0, 0xFFFF)]
    modem_changes: Annotated[int, Mask(0x0F)]
    overrun: bool
    thr_empty_pending: bool
    looped: Annotated[bytes, Length(0, FIFO_BYTES)]
    line: Annotated[bytes, Length(0, 1 << 32)]


class Uart16550:
    """One 16550A at `port` ... `port` + 7.

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
        self.name = name
        self.ports: tuple[range, ...] = (range(port, port + PORT_COUNT),)
        self._base = port
        self._irq = irq
        self._output = output
        self._asserted = False
        # Reset values: table I.
        self._ier = 0
        self._fcr = 0
        self._lcr = 0
        self._mcr = 0
        self._scr = 0
        self._divisor = RESET_DIVISOR
        self._modem_changes = 0
        self._thr_empty_pending = False
        self._looped = bytearray()
        self._line = bytearray()
        self._lsr = LSR_TRANSMITTER_EMPTY
        # Whether a write to DATA does nothing but leave, as it does for a console that polls.
        self._plain_output = True

    def receive(self, data: bytes) -> None:
        """Take `data` from the host; none of it is ever dropped."""
        self._line += data
        self._update()

    @property
    def asserted(self) -> bool:
        """The level of the interrupt output."""
        return self._asserted

    @property
    def queued(self) -> int:
        """How many received bytes wait outside the FIFO, unseen by the guest."""
        if self._mcr & MCR_LOOP:
            return len(self._line)
        return max(0, len(self._line) - (self._depth() - len(self._looped)))

    def read(self, port: int, size: int) -> int:
        """Return the byte register at `port`."""
        offset = port - self._base
        if offset == LSR:
            value = self._lsr
            if value & LSR_OVERRUN:
                self._lsr = value & ~LSR_OVERRUN
                self._update()
            return value
        if offset == DATA:
            return self._divisor & 0xFF if self._lcr & LCR_DLAB else self._read_data()
        if offset == IER:
            return self._divisor >> 8 if self._lcr & LCR_DLAB else self._ier
        if offset == IIR_FCR:
            return self._identify()
        if offset == LCR:
            return self._lcr
        if offset == MCR:
            return self._mcr
        if offset == MSR:
            value = self._modem_levels() | self._modem_changes
            self._modem_changes = 0
            self._update()
            return value
        return self._scr

    def write(self, port: int, size: int, value: int) -> None:
        """Write the byte register at `port`; LSR and MSR are read only."""
        offset = port - self._base
        value &= 0xFF
        if offset == DATA:
            if self._plain_output:
                self._output(_BYTES[value])
            elif self._lcr & LCR_DLAB:
                self._divisor = self._divisor & 0xFF00 | value
            else:
                self._transmit(value)
            return
        if offset == IER:
            if self._lcr & LCR_DLAB:
                self._divisor = self._divisor & 0xFF | value << 8
            else:
                self._enable(value & IER_BITS)
        elif offset == IIR_FCR:
            self._control_fifos(value)
        elif offset == LCR:
            self._lcr = value
        elif offset == MCR:
            self._control_modem(value & MCR_BITS)
        elif offset == SCR:
            self._scr = value
        self._plain_output = self._is_plain_output()

    def state(self) -> UartState:
        """Return registers and buffers."""
        return UartState(
            ier=self._ier,
            fcr=self._fcr,
            lcr=self._lcr,
            mcr=self._mcr,
            scr=self._scr,
            divisor=self._divisor,
            modem_changes=self._modem_changes,
            overrun=bool(self._lsr & LSR_OVERRUN),
            thr_empty_pending=self._thr_empty_pending,
            looped=bytes(self._looped),
            line=bytes(self._line),
        )

    def restore(self, state: object) -> None:
        """Take over `state`, a legal UartState."""
        new = checked(self.name, state, UartState)
        if new.thr_empty_pending and not new.ier & IER_THR_EMPTY:
            raise StateError(f"{self.name}: thr_empty_pending is set, but ier does not enable it")
        if len(new.looped) > 1 and not new.fcr & FCR_ENABLE:
            raise StateError(f"{self.name}: looped has more than RBR holds with FIFOs off")
        self._ier = new.ier
        self._fcr = new.fcr
        self._lcr = new.lcr
        self._mcr = new.mcr
        self._scr = new.scr
        self._divisor = new.divisor
        self._modem_changes = new.modem_changes
        self._thr_empty_pending = new.thr_empty_pending
        self._looped[:] = new.looped
        self._line[:] = new.line
        self._lsr = LSR_TRANSMITTER_EMPTY | (LSR_OVERRUN if new.overrun else 0)
        if self._readable():
            self._lsr |= LSR_DATA_READY
        self._asserted = self._interrupts()
        self._plain_output = self._is_plain_output()

    def _is_plain_output(self) -> bool:
        return not (self._lcr & LCR_DLAB or self._mcr & MCR_LOOP or self._ier & IER_THR_EMPTY)

    def _transmit(self, value: int) -> None:
        if self._mcr & MCR_LOOP:
            self._loop_back(value)
        else:
            self._output(_BYTES[value])
        if self._ier & IER_THR_EMPTY:
            # The write clears the interrupt and the empty THR sets it again
            # (table IV): an edge-triggered controller must see both.
            if self._thr_empty_pending:
                self._thr_empty_pending = False
                self._update()
            self._thr_empty_pending = True
            self._update()
        elif self._mcr & MCR_LOOP:
            self._update()

    def _loop_back(self, value: int) -> None:
        if len(self._looped) < self._depth():
            self._looped.append(value)
            return
        # §8.4 bit 1: a full FIFO keeps what it has, a full RBR is overwritten.
        self._lsr |= LSR_OVERRUN
        if not self._fcr & FCR_ENABLE:
            self._looped[:] = _BYTES[value]

    def _read_data(self) -> int:
        if self._looped:
            value = self._looped.pop(0)
        elif self._line and not self._mcr & MCR_LOOP:
            value = self._line.pop(0)
        else:
            return 0
        self._update()
        return value

    def _enable(self, value: int) -> None:
        # Enabling the interrupt while THR is empty raises it; leaving it enabled does not.
        if value & ~self._ier & IER_THR_EMPTY:
            self._thr_empty_pending = True
        elif not value & IER_THR_EMPTY:
            self._thr_empty_pending = False
        self._ier = value
        self._update()

    def _identify(self) -> int:
        cause = self._cause()
        if cause == IIR_THR_EMPTY:
            self._thr_empty_pending = False
            self._update()
        return cause | IIR_FIFOS_ON if self._fcr & FCR_ENABLE else cause

    def _control_fifos(self, value: int) -> None:
        # §8.5: a change of the enable bit clears the FIFOs; without the enable
        # bit no other bit is programmed.
        if not value & FCR_ENABLE:
            value = 0
        if (value ^ self._fcr) & FCR_ENABLE or value & FCR_CLEAR_RECEIVER:
            self._looped.clear()
        self._fcr = value & (FCR_TRIGGER | FCR_ENABLE)
        self._update()

    def _control_modem(self, value: int) -> None:
        before = self._modem_levels()
        self._mcr = value
        after = self._modem_levels()
        self._modem_changes |= (before ^ after) >> 4 & ~MSR_RI_FELL
        if before & ~after & MSR_RI:
            self._modem_changes |= MSR_RI_FELL
        self._update()

    def _modem_levels(self) -> int:
        if not self._mcr & MCR_LOOP:
            return MSR_CTS_DSR_DCD
        # §8.8 bit 4: RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD.
        mcr = self._mcr
        return (mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x04) << 4 | (mcr & 0x08) << 4

    def _depth(self) -> int:
        return FIFO_BYTES if self._fcr & FCR_ENABLE else 1

    def _readable(self) -> int:
        """Bytes that the guest could read if its FIFO had no end."""
        return len(self._looped) + (0 if self._mcr & MCR_LOOP else len(self._line))

    def _cause(self) -> int:
        ier = self._ier
        if ier & IER_LINE_STATUS and self._lsr & LSR_OVERRUN:
            return IIR_LINE_STATUS
        if ier & IER_RECEIVED and (level := self._readable()):
            fcr = self._fcr
            if fcr & FCR_ENABLE and level < TRIGGER_LEVELS[fcr >> 6]:
                return IIR_TIMEOUT
            return IIR_RECEIVED
        if self._thr_empty_pending:
            return IIR_THR_EMPTY
        if ier & IER_MODEM_STATUS and self._modem_changes:
            return IIR_MODEM_STATUS
        return IIR_NONE

    def _interrupts(self) -> bool:
        return bool(self._mcr & MCR_OUT2) and self._cause() != IIR_NONE

    def _update(self) -> None:
        """Bring data-ready bit and interrupt output in line with the rest."""
        if self._readable():
            self._lsr |= LSR_DATA_READY
        else:
            self._lsr &= ~LSR_DATA_READY
        asserted = self._interrupts()
        if asserted != self._asserted:
            self._asserted = asserted
            self._irq(asserted)
