from collections.abc import Iterator

import pytest

from ftvm.machine.devices.uart16550 import COM1, LoneUart

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7

DATA_READY, OVERRUN = 0x01, 0x02
OUT2, LOOP = 0x08, 0x10


class Port:
    """A UART with what it did to its surroundings."""

    def __init__(self) -> None:
        self.lines: list[bool] = []
        self.sent = b""
        self.uart = LoneUart(irq=self.lines.append, output=self._send)

    def _send(self, data: bytes) -> None:
        self.sent += data

    def __getitem__(self, register: int) -> int:
        return self.uart.read(COM1 + register, 1)

    def __setitem__(self, register: int, value: int) -> None:
        self.uart.write(COM1 + register, 1, value)

    @property
    def irq(self) -> bool:
        return bool(self.lines) and self.lines[-1]

    def drain(self) -> Iterator[int]:
        while self[LSR] & DATA_READY:
            yield self[RBR]


@pytest.fixture
def port() -> Port:
    return Port()


def test_after_reset(port: Port) -> None:
    # PC16550D table I
    assert [port[r] for r in (IER, IIR, LCR, MCR, LSR, MSR)] == [0, 1, 0, 0, 0x60, 0xB0]
    assert not port.lines


def test_a_written_byte_leaves_at_once(port: Port) -> None:
    for byte in b"hello":
        assert port[LSR] & 0x60 == 0x60
        port[THR] = byte
    assert port.sent == b"hello"


def test_dlab_switches_to_the_divisor_latch(port: Port) -> None:
    port[IER] = 0x05
    port[LCR] = 0x83
    port[DLL], port[DLM] = 0x34, 0x12
    assert (port[DLL], port[DLM]) == (0x34, 0x12)
    port[LCR] = 0x03
    assert port[IER] == 0x05
    assert port[RBR] == 0
    assert port.sent == b""
    port[LCR] = 0x83
    assert (port[DLL], port[DLM]) == (0x34, 0x12)


def test_registers_keep_only_the_bits_they_have(port: Port) -> None:
    port[IER], port[MCR], port[SCR], port[LCR] = 0xFF, 0xEF, 0xA5, 0x7F
    assert (port[IER], port[MCR], port[SCR], port[LCR]) == (0x0F, 0x0F, 0xA5, 0x7F)
    port[LSR] = port[MSR] = 0
    assert (port[LSR], port[MSR]) == (0x60, 0xB0)


def test_received_bytes_are_read_in_order_and_none_is_lost(port: Port) -> None:
    text = bytes(range(100))
    port.uart.receive(text[:60])
    port.uart.receive(text[60:])
    assert bytes(port.drain()) == text
    assert port[LSR] == 0x60


@pytest.mark.parametrize(("fcr", "depth"), [(0x00, 1), (0x01, 16)])
def test_what_does_not_fit_the_fifo_is_queued(port: Port, fcr: int, depth: int) -> None:
    port[FCR] = fcr
    port.uart.receive(bytes(depth + 3))
    assert port.uart.queued == 3
    port[RBR]
    assert port.uart.queued == 2
    list(port.drain())
    assert port.uart.queued == 0


def test_fifo_bits_of_iir_follow_the_enable(port: Port) -> None:
    port[FCR] = 0xC6  # without the enable bit the rest is not programmed
    assert port[IIR] == 0x01
    port[FCR] = 0xC7
    assert port[IIR] == 0xC1
    port[FCR] = 0x00
    assert port[IIR] == 0x01


@pytest.mark.parametrize(("bits", "trigger"), [(0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
def test_trigger_level_and_timeout(port: Port, bits: int, trigger: int) -> None:
    port[FCR] = bits | 0x01
    port[MCR], port[IER] = OUT2, 0x01
    for level in range(1, 17):
        port.uart.receive(b"x")
        assert port[IIR] == (0xC4 if level >= trigger else 0xCC)
    for level in range(15, -1, -1):
        port[RBR]
        assert port.irq == (level > 0)


def test_without_fifos_one_byte_is_received_data(port: Port) -> None:
    port[MCR], port[IER] = OUT2, 0x01
    port.uart.receive(b"x")
    assert port[IIR] == 0x04
    assert port.lines == [True]
    port[RBR]
    assert port.lines == [True, False]


def test_out2_gates_the_interrupt(port: Port) -> None:
    port[IER] = 0x01
    port.uart.receive(b"x")
    assert port[IIR] == 0x04
    assert not port.lines
    port[MCR] = OUT2
    assert port.irq
    port[MCR] = 0
    assert not port.irq


def test_enabling_the_thr_empty_interrupt_raises_it(port: Port) -> None:
    port[MCR] = OUT2
    port[IER] = 0x02
    assert port.irq
    assert port[IIR] == 0x02
    assert not port.irq, "reading IIR clears it"
    assert port[IIR] == 0x01
    port[IER] = 0x02
    assert port[IIR] == 0x01, "it was enabled already"
    port[IER] = 0x00
    port[IER] = 0x02
    assert port[IIR] == 0x02


def test_each_write_to_thr_raises_thr_empty_anew(port: Port) -> None:
    port[MCR], port[IER] = OUT2, 0x02
    port[IIR]
    port[THR] = ord("a")
    assert port.irq
    # An edge-triggered controller must see an edge though nobody read IIR.
    port.lines.clear()
    port[THR] = ord("b")
    assert port.lines == [False, True]


def test_iir_reports_the_highest_priority_and_clears_only_thr_empty(port: Port) -> None:
    port[MCR] = LOOP | OUT2
    port[THR] = port[THR] = 1  # the second overruns
    port[MCR] = LOOP | OUT2 | 0x01  # DSR changes
    port[IER] = 0x0F
    assert port[IIR] == port[IIR] == 0x06
    assert port[LSR] & OVERRUN
    assert port[IIR] == port[IIR] == 0x04
    port[RBR]
    assert port[IIR] == 0x02
    assert port[IIR] == port[IIR] == 0x00
    port[MSR]
    assert port[IIR] == 0x01
    assert not port.irq


def test_loopback_brings_bytes_back_and_lets_none_out(port: Port) -> None:
    port[MCR] = LOOP
    port[THR] = 0xAE
    assert port[LSR] == 0x61
    assert port[RBR] == 0xAE
    assert port.sent == b""


def test_loopback_shows_a_fifo_of_16_bytes(port: Port) -> None:
    port[FCR], port[MCR] = 0x07, LOOP
    for byte in range(20):
        port[THR] = byte
    assert port[LSR] & OVERRUN
    assert not port[LSR] & OVERRUN, "reading LSR clears it"
    assert list(port.drain()) == list(range(16))


def test_without_fifos_an_overrun_overwrites(port: Port) -> None:
    port[MCR] = LOOP
    port[THR], port[THR] = 1, 2
    assert list(port.drain()) == [2]


def test_loopback_brings_modem_outputs_back_as_inputs(port: Port) -> None:
    # PC16550D §8.8 bit 4: DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to DCD
    port[MCR] = LOOP
    port[MSR]
    for mcr, msr in ((0x01, 0x22), (0x02, 0x11 | 0x02), (0x04, 0x40 | 0x01), (0x08, 0x80 | 0x0C)):
        port[MCR] = LOOP | mcr
        assert port[MSR] == msr
        assert port[MSR] == msr & 0xF0, "reading MSR clears the changes"


def test_modem_status_interrupt(port: Port) -> None:
    port[IER], port[MCR] = 0x08, OUT2
    assert not port.irq
    port[MCR] = LOOP | OUT2
    assert port.irq
    port[MSR]
    assert not port.irq


def test_fifo_reset_drops_what_was_looped_back(port: Port) -> None:
    port[FCR], port[MCR] = 0x01, LOOP
    port[THR] = 1
    port[FCR] = 0x03
    assert port[LSR] == 0x60


@pytest.mark.parametrize("fifo", [0x00, 0xC7])
def test_input_that_came_before_the_guest_set_up_its_port_is_not_lost(
    port: Port, fifo: int
) -> None:
    port.uart.receive(b"iiiq")
    port[IER] = 0
    port[LCR], port[DLL], port[DLM], port[LCR] = 0x80, 1, 0, 0x03
    port[FCR] = fifo
    port[MCR] = 0x1E
    port[THR] = 0xAE  # the self-test of many small kernels
    assert port[RBR] == 0xAE
    assert port[LSR] == 0x60
    port[MCR], port[IER] = 0x0B, 0x01
    assert port.irq
    assert bytes(port.drain()) == b"iiiq"
    assert not port.irq


def test_host_input_waits_while_looped_back(port: Port) -> None:
    port[MCR] = LOOP
    port.uart.receive(b"x")
    assert port[LSR] == 0x60
    assert port.uart.queued == 1
    port[MCR] = 0
    assert port[RBR] == ord("x")
