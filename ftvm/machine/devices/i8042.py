"""The keyboard controller of a PC: an Intel 8042 with the PS/2's second port.

Commands and bits are those of the IBM PC AT Technical Reference ("Keyboard
Controller") and the IBM PS/2 Hardware Interface Technical Reference ("Keyboard
and Auxiliary Device Controller"); the keyboard's answers are in the latter's
"Keyboards (101- and 102-Key)".

    port 0x60  data   output buffer, from a device or the controller
    port 0x64  status, and commands to the controller

A keyboard hangs on the first port; nothing hangs on the second. The controller's
output port drives the A20 gate and the reset line.

Keys come from the host as bytes of scan code set 1 (scan_codes.py) and wait, as
long as it takes, until the keyboard may send: one byte in a millisecond, as its
clock has it, while scanning and the interface are enabled and the output buffer
is empty. So a guest that empties the buffer finds it empty, and no key is lost.
The keyboard sends set 2 or 1; who chooses set 3 gets set 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ftvm.errors import StateError
from ftvm.machine.devices.fields import Byte, GuestTime, Length, Range, checked
from ftvm.machine.devices.scan_codes import SET_2_TO_1, to_set_2
from ftvm.units import Nanoseconds

DATA = 0x60
COMMAND = 0x64

# Status register
OUTPUT_FULL = 0x01
SYSTEM_FLAG = 0x04
WAS_COMMAND = 0x08
NOT_LOCKED = 0x10
FROM_AUXILIARY = 0x20
TIMEOUT = 0x40

# Controller command byte
KEYBOARD_INTERRUPT = 0x01
AUXILIARY_INTERRUPT = 0x02
CONTROL_SYSTEM_FLAG = 0x04
KEYBOARD_DISABLED = 0x10
AUXILIARY_DISABLED = 0x20
TRANSLATE = 0x40
RESET_CONTROL = KEYBOARD_INTERRUPT | CONTROL_SYSTEM_FLAG | AUXILIARY_DISABLED | TRANSLATE

# Controller commands; 0x20 to 0x3f and 0x60 to 0x7f name a byte of its memory.
READ_MEMORY, WRITE_MEMORY = 0x20, 0x60
DISABLE_AUXILIARY, ENABLE_AUXILIARY, TEST_AUXILIARY = 0xA7, 0xA8, 0xA9
SELF_TEST, TEST_KEYBOARD = 0xAA, 0xAB
DISABLE_KEYBOARD, ENABLE_KEYBOARD = 0xAD, 0xAE
READ_INPUT_PORT, READ_OUTPUT_PORT, WRITE_OUTPUT_PORT = 0xC0, 0xD0, 0xD1
WRITE_KEYBOARD_BUFFER, WRITE_AUXILIARY_BUFFER, WRITE_AUXILIARY = 0xD2, 0xD3, 0xD4
READ_TEST_INPUTS = 0xE0
PULSE_OUTPUT = 0xF0  # low four bits: lines that are not pulsed
TAKES_DATA = frozenset(
    (
        WRITE_OUTPUT_PORT,
        WRITE_KEYBOARD_BUFFER,
        WRITE_AUXILIARY_BUFFER,
        WRITE_AUXILIARY,
        *range(WRITE_MEMORY, WRITE_MEMORY + 0x20),
    )
)

SELF_TEST_PASSED, INTERFACE_GOOD = 0x55, 0x00
INPUT_PORT = 0xB0  # keyboard not locked, colour display, no manufacturing jumper

# Output port
LINE_NOT_RESET = 0x01
LINE_A20 = 0x02
RESET_OUTPUT_PORT = 0xCF

# Keyboard
ACKNOWLEDGE, RESEND, ECHO = 0xFA, 0xFE, 0xEE
BASIC_ASSURANCE_PASSED = 0xAA
KEYBOARD_ID = (0xAB, 0x83)
KEYBOARD_ID_TRANSLATED = (0xAB, 0x41)
SCAN_CODES_TRANSLATED = {1: 0x43, 2: 0x41, 3: 0x3F}
SET_LEDS, SET_SCAN_CODES, SET_RATE = 0xED, 0xF0, 0xF3
READ_ID, KEYBOARD_RESET, KEYBOARD_RESEND = 0xF2, 0xFF, 0xFE
KEYBOARD_TAKES_DATA = frozenset((SET_LEDS, SET_SCAN_CODES, SET_RATE))
KEYBOARD_COMMANDS_FROM = 0xED
ENABLE_SCANNING, DISABLE_SCANNING, SET_DEFAULTS = 0xF4, 0xF5, 0xF6
KEYBOARD_BYTE_NS = 1_000_000  # eleven bits at 10 to 16.7 kHz

MEMORY_BYTES = 32
QUEUE_BYTES_MAX = 64  # further answers are lost, as from a device that is not read


@dataclass(frozen=True, slots=True)
class I8042State:
    """The controller's memory and lines, and what waits to be read.

    ``queue`` holds pairs of status bits and data; the first is what the
    output buffer has. ``line`` are the keys that the keyboard has yet to send,
    the first of them not before guest time ``sends_ns``.
    """

    memory: Annotated[bytes, Length(MEMORY_BYTES, MEMORY_BYTES)]
    output_port: Byte
    command: Annotated[int, Range(0, 0xFF)] | None  # waits for its data
    keyboard_command: Annotated[int, Range(0, 0xFF)] | None
    scan_codes: Annotated[int, Range(1, 3)]
    last: Byte  # what port 0x60 shows when nothing is new
    was_command: bool
    queue: Annotated[bytes, Length(0, 2 * QUEUE_BYTES_MAX)]
    scanning: bool
    line: Annotated[bytes, Length(0, 1 << 32)]
    sends_ns: GuestTime


class I8042:
    """The controller; `keyboard_irq` is IRQ1, `auxiliary_irq` IRQ12.

    `a20` gets the A20 gate's level and `reset` is called when the guest
    pulls the reset line.
    """

    def __init__(
        self,
        *,
        keyboard_irq: Callable[[bool], None],
        auxiliary_irq: Callable[[bool], None],
        a20: Callable[[bool], None],
        reset: Callable[[], None],
    ) -> None:
        self.name = "i8042"
        self.ports: tuple[range, ...] = (range(DATA, DATA + 1), range(COMMAND, COMMAND + 1))
        self._irqs = (keyboard_irq, auxiliary_irq)
        self._a20 = a20
        self._reset = reset
        self._asserted = [False, False]
        self._memory = bytearray((RESET_CONTROL, *bytes(MEMORY_BYTES - 1)))
        self._output_port = RESET_OUTPUT_PORT
        self._command: int | None = None
        self._keyboard_command: int | None = None
        self._scan_codes = 2
        self._last = 0
        self._was_command = False
        self._queue = bytearray()
        self._scanning = True
        self._line = bytearray()
        self._sends_ns = 0

    def press(self, codes: bytes) -> None:
        """Take keys that are pressed and let go, in scan codes of set 1."""
        self._line += codes

    @property
    def queued(self) -> int:
        """How many bytes of keys the keyboard has yet to send."""
        return len(self._line)

    def deadline(self) -> Nanoseconds | None:
        """Return the guest time at which the keyboard sends next, None if it cannot."""
        can_send = self._scanning and not self._queue and not self._control & KEYBOARD_DISABLED
        return Nanoseconds(self._sends_ns) if self._line and can_send else None

    def advance(self, now: Nanoseconds) -> None:
        """Let the keyboard send, if it may and it is time."""
        due = self.deadline()
        if due is None or now < due:
            return
        self._answer(*self._sent(self._line.pop(0)))
        self._sends_ns = now + KEYBOARD_BYTE_NS
        self._update()

    def _sent(self, code: int) -> bytes:
        """Return what arrives in the output buffer for a byte of set 1."""
        if self._control & TRANSLATE:
            return bytes((SET_2_TO_1[code] if self._scan_codes == 1 else code,))
        return bytes((code,)) if self._scan_codes == 1 else to_set_2(code)

    @property
    def _control(self) -> int:
        return self._memory[0]

    def read(self, port: int, size: int) -> int:
        """Return the status, or take the byte that waits."""
        if port == COMMAND:
            return self._status()
        if self._queue:
            self._last = self._queue[1]
            del self._queue[:2]
            for line in (0, 1):  # the buffer was empty for a moment: an edge for what follows
                self._drive(line, False)
            self._update()
        return self._last

    def write(self, port: int, size: int, value: int) -> None:
        """Take a command, or data for one or for the keyboard."""
        value &= 0xFF
        self._was_command = port == COMMAND
        if port == COMMAND:
            self._obey(value)
        elif self._command is not None:
            command, self._command = self._command, None
            self._obey_with(command, value)
        else:
            self._tell_keyboard(value)
        self._update()

    def state(self) -> I8042State:
        """Return everything."""
        return I8042State(
            memory=bytes(self._memory),
            output_port=self._output_port,
            command=self._command,
            keyboard_command=self._keyboard_command,
            scan_codes=self._scan_codes,
            last=self._last,
            was_command=self._was_command,
            queue=bytes(self._queue),
            scanning=self._scanning,
            line=bytes(self._line),
            sends_ns=self._sends_ns,
        )

    def restore(self, state: object) -> None:
        """Take over `state`, a legal I8042State."""
        new = checked(self.name, state, I8042State)
        if len(new.queue) % 2:
            raise StateError(f"{self.name}: queue has half a byte and its status bits")
        if any(status & ~(FROM_AUXILIARY | TIMEOUT) for status in new.queue[::2]):
            raise StateError(f"{self.name}: queue has status bits that no byte can have")
        self._memory[:] = new.memory
        self._output_port = new.output_port
        self._command = new.command
        self._keyboard_command = new.keyboard_command
        self._scan_codes = new.scan_codes
        self._last = new.last
        self._was_command = new.was_command
        self._queue[:] = new.queue
        self._scanning = new.scanning
        self._line[:] = new.line
        self._sends_ns = new.sends_ns
        self._asserted = [self._interrupt(0), self._interrupt(1)]

    def _status(self) -> int:
        value = NOT_LOCKED | (self._control & CONTROL_SYSTEM_FLAG)
        if self._was_command:
            value |= WAS_COMMAND
        if self._queue:
            value |= OUTPUT_FULL | self._queue[0]
        return value

    def _answer(self, *values: int, status: int = 0) -> None:
        for value in values:
            if len(self._queue) < 2 * QUEUE_BYTES_MAX:
                self._queue += bytes((status, value))

    def _obey(self, command: int) -> None:
        memory = self._memory
        if command in TAKES_DATA:
            self._command = command
        elif READ_MEMORY <= command < READ_MEMORY + MEMORY_BYTES:
            self._answer(memory[command - READ_MEMORY])
        elif command in (DISABLE_AUXILIARY, ENABLE_AUXILIARY):
            self._set_control(AUXILIARY_DISABLED, command == DISABLE_AUXILIARY)
        elif command in (DISABLE_KEYBOARD, ENABLE_KEYBOARD):
            self._set_control(KEYBOARD_DISABLED, command == DISABLE_KEYBOARD)
        elif command == SELF_TEST:
            memory[0] |= CONTROL_SYSTEM_FLAG
            self._answer(SELF_TEST_PASSED)
        elif command in (TEST_AUXILIARY, TEST_KEYBOARD):
            self._answer(INTERFACE_GOOD)
        elif command == READ_INPUT_PORT:
            self._answer(INPUT_PORT)
        elif command == READ_OUTPUT_PORT:
            self._answer(self._output_port)
        elif command == READ_TEST_INPUTS:
            self._answer(0)
        elif command >= PULSE_OUTPUT and not command & LINE_NOT_RESET:
            self._reset()

    def _set_control(self, bit: int, on: bool) -> None:
        self._memory[0] = self._control | bit if on else self._control & ~bit

    def _obey_with(self, command: int, value: int) -> None:
        if WRITE_MEMORY <= command < WRITE_MEMORY + MEMORY_BYTES:
            self._memory[command - WRITE_MEMORY] = value
        elif command == WRITE_OUTPUT_PORT:
            self._write_output_port(value)
        elif command == WRITE_KEYBOARD_BUFFER:
            self._answer(value)
        elif command == WRITE_AUXILIARY_BUFFER:
            self._answer(value, status=FROM_AUXILIARY)
        else:  # WRITE_AUXILIARY: nobody answers
            self._answer(RESEND, status=FROM_AUXILIARY | TIMEOUT)

    def _write_output_port(self, value: int) -> None:
        before, self._output_port = self._output_port, value
        if (before ^ value) & LINE_A20:
            self._a20(bool(value & LINE_A20))
        if not value & LINE_NOT_RESET:
            self._reset()

    def follow_a20(self, level: bool) -> None:
        """The A20 gate was moved from elsewhere (port 0x92): the output port shows it."""
        self._output_port = self._output_port & ~LINE_A20 | (LINE_A20 if level else 0)

    def _tell_keyboard(self, value: int) -> None:
        self._set_control(KEYBOARD_DISABLED, False)  # sending to it enables its interface
        command, self._keyboard_command = self._keyboard_command, None
        if command is not None and value < KEYBOARD_COMMANDS_FROM:
            self._answer(ACKNOWLEDGE)
            if command == SET_SCAN_CODES and value == 0:
                number = self._scan_codes
                is_translated = self._control & TRANSLATE
                self._answer(SCAN_CODES_TRANSLATED[number] if is_translated else number)
            elif command == SET_SCAN_CODES and value <= 3:
                self._scan_codes = value
        elif value in KEYBOARD_TAKES_DATA:
            self._keyboard_command = value
            self._answer(ACKNOWLEDGE)
        elif value == ECHO:
            self._answer(ECHO)
        elif value == READ_ID:
            translated = self._control & TRANSLATE
            identity = KEYBOARD_ID_TRANSLATED if translated else KEYBOARD_ID
            self._answer(ACKNOWLEDGE, *identity)
        elif value == KEYBOARD_RESET:
            self._scan_codes, self._scanning = 2, True
            self._answer(ACKNOWLEDGE, BASIC_ASSURANCE_PASSED)
        elif value == KEYBOARD_RESEND:
            self._answer(self._last)
        elif value > READ_ID:  # enable, disable, defaults, kinds of keys
            if value in (ENABLE_SCANNING, DISABLE_SCANNING, SET_DEFAULTS):
                self._scanning = value != DISABLE_SCANNING
            self._answer(ACKNOWLEDGE)
        else:
            self._answer(RESEND)

    def _interrupt(self, line: int) -> bool:
        if not self._queue:
            return False
        from_auxiliary = bool(self._queue[0] & FROM_AUXILIARY)
        enabled = self._control & (AUXILIARY_INTERRUPT if line else KEYBOARD_INTERRUPT)
        return bool(enabled) and from_auxiliary == bool(line)

    def _drive(self, line: int, level: bool) -> None:
        if level != self._asserted[line]:
            self._asserted[line] = level
            self._irqs[line](level)

    def _update(self) -> None:
        for line in (0, 1):
            self._drive(line, self._interrupt(line))
