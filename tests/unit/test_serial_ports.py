"""The four serial ports of a machine: their interrupt lines, and what they put out."""

from port_program import COM1, COM2, COM3, COM4, out_byte, program, say

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import Mode, Reason
from ftvm.machine.devices.pic8259 import PicState
from ftvm.machine.machine import Machine, MachineConfig, Output

CONFIG = MachineConfig(memory_bytes=4 << 20, epoch_s=1_700_000_000)
IER, MCR = 1, 4
OUT2, RECEIVED = 0x08, 0x01
INPUTS = {Stream.CONSOLE: 4, Stream.COM2: 3, Stream.COM3: 4, Stream.COM4: 3}
BASES = (COM1, COM2, COM3, COM4)


def machine_of(*code: bytes) -> Machine:
    machine = Machine(CONFIG)
    machine.boot(load(program(*code), CONFIG.memory_bytes, "", "guest"))
    return machine


def repeated(times: int, body: bytes) -> bytes:
    """mov ecx, times; body; dec ecx; jnz body"""
    back = -(len(body) + 7)
    loop = b"\x49\x0f\x85" + back.to_bytes(4, "little", signed=True)
    return b"\xb9" + times.to_bytes(4, "little") + body + loop


def lines_up(machine: Machine) -> set[int]:
    pic = dict(machine.bus.state())["pic"]
    assert isinstance(pic, PicState)
    return {line for line in range(8) if pic.master.lines >> line & 1}


def run_to_halt(machine: Machine) -> tuple[list[Output], set[Reason]]:
    outputs, reasons = [], set()
    while not machine.cpu.halted_for_good:
        reasons.add(machine.run())
        outputs += machine.take_outputs()
    return outputs, reasons


def replayed(*code: bytes) -> tuple[list[Output], set[Reason]]:
    """Record a run of `code`, and return what its replay puts out and why that came back."""
    first, again = machine_of(*code), machine_of(*code)
    first.record()
    outputs, _ = run_to_halt(first)
    again.replay()
    again.cpu.set_mark(first.count)
    outputs_again, reasons = run_to_halt(again)
    assert again.state_digest() == first.state_digest()
    for stream in INPUTS:
        assert text_of(outputs_again, stream) == text_of(outputs, stream)
    return outputs_again, reasons


def text_of(outputs: list[Output], stream: Stream) -> bytes:
    return b"".join(output.data for output in outputs if output.channel is stream)


def test_each_port_has_the_line_of_its_number() -> None:
    for stream, base in zip(INPUTS, BASES, strict=True):
        machine = Machine(CONFIG)
        machine.bus.write(base + MCR, 1, OUT2)
        machine.bus.write(base + IER, 1, RECEIVED)
        machine.input(b"x", stream)
        assert lines_up(machine) == {INPUTS[stream]}
        assert machine.bus.read(base, 1) == ord("x")
        assert lines_up(machine) == set()


def test_a_shared_line_is_up_while_either_port_wants_it() -> None:
    machine = Machine(CONFIG)
    for base in (COM1, COM3):
        machine.bus.write(base + MCR, 1, OUT2)
        machine.bus.write(base + IER, 1, RECEIVED)
    machine.input(b"a", Stream.CONSOLE)
    machine.input(b"b", Stream.COM3)
    machine.bus.read(COM1, 1)
    assert lines_up(machine) == {4}
    machine.bus.read(COM3, 1)
    assert lines_up(machine) == set()


def test_a_piece_is_bytes_of_one_port_by_the_count_of_the_last() -> None:
    machine = machine_of(say(COM1, b"one"), say(COM2, b"two"), say(COM1, b"three"))
    outputs, _ = run_to_halt(machine)
    # Three instructions a byte, of which the last is not counted yet.
    assert outputs == [
        Output(8, Stream.CONSOLE, b"one"),
        Output(17, Stream.COM2, b"two"),
        Output(32, Stream.CONSOLE, b"three"),
    ]


def test_a_write_of_two_bytes_puts_out_one() -> None:
    # mov edx, COM1; mov ax, 0x0341; out dx, ax: the divisor's upper half is IER
    machine = machine_of(b"\xba\xf8\x03\x00\x00\x66\xb8\x41\x03\x66\xef")
    outputs, _ = run_to_halt(machine)
    assert text_of(outputs, Stream.CONSOLE) == b"A"
    assert machine.bus.read(COM1 + IER, 1) == 0x03


def test_a_replay_comes_back_to_have_much_output_taken_and_loses_none() -> None:
    rounds = 50_000
    body = out_byte(COM1, ord("a")) + out_byte(COM1, ord("b"))
    outputs, reasons = replayed(repeated(rounds, body))
    assert text_of(outputs, Stream.CONSOLE) == b"ab" * rounds
    assert Reason.ATTENTION in reasons


def test_many_short_pieces_are_taken_in_time_too() -> None:
    rounds = 5000
    body = out_byte(COM1, ord("a")) + out_byte(COM4, ord("b"))
    outputs, reasons = replayed(repeated(rounds, body))
    assert [output.channel for output in outputs] == [Stream.CONSOLE, Stream.COM4] * rounds
    assert [output.data for output in outputs] == [b"a", b"b"] * rounds
    assert Reason.ATTENTION in reasons


def test_a_string_of_bytes_is_put_out_whole() -> None:
    # mov esi, 1 MiB; mov edx, COM2; mov ecx, 200000; rep outsb
    length = 200_000
    code = b"\xbe\x00\x00\x10\x00\xba\xf8\x02\x00\x00"
    code += b"\xb9" + length.to_bytes(4, "little") + b"\xf3\x6e"
    memory = bytes(machine_of(code).cpu.memory[1 << 20 : (1 << 20) + length])
    outputs, reasons = replayed(code)
    assert text_of(outputs, Stream.COM2) == memory
    assert Reason.ATTENTION in reasons


def test_a_live_guest_comes_back_soon_with_what_it_put_out() -> None:
    # An endless loop behind a word; no deadline is given.
    machine = machine_of(say(COM3, b"word"), b"\xeb\xfe")
    machine.go_live(Mode.SOLO)
    assert machine.run() is Reason.DEADLINE
    assert text_of(machine.take_outputs(), Stream.COM3) == b"word"
