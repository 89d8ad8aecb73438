"""A guest of a few bytes of machine code on the bare C core.

No Python answers its ports and interrupts, so that what is measured is the
core alone.
"""

import time
from typing import Any

from ftvm.bench.machine_code import NativeCallbacks
from ftvm.bench.watch import CannotRunError
from ftvm.machine.cpu import FOREVER, NEVER, Mode, Reason, ffi, lib
from ftvm.machine.machine import FLAT_HFLAGS

MEMORY_BYTES = 16 << 20
VECTOR = 0x20
_CODE, _STACK, _IDT, _HANDLER, _GDT = 0x1000, 0x8000, 0x2000, 0x3000, 0x4000
_LOG_BYTES = 4 << 20

# Intel SDM vol. 2: the bytes of instructions.
RDTSC = b"\x0f\x31"
RDRAND_EAX = b"\x0f\xc7\xf0"
IN_AL_DX = b"\xec"
NOP = b"\x90"
_MOV_DX = b"\x66\xba"
_MOV_ECX = b"\xb9"
_DEC_ECX_JNZ = b"\x49\x0f\x85"
_HLT = b"\xf4"
_INC_EBX_IRET = b"\x43\xcf"

LINE_STATUS_PORT = 0x3FD
CONTROL_PORT = 0x92
"""Of a device in Python, as the first is of one in C; neither read has an effect."""
UNROLLED = 16


def loop(body: bytes, rounds: int, port: int = LINE_STATUS_PORT) -> bytes:
    """Return a program that executes `body` 16 times, and that `rounds` times.

    DX holds the number of the port. At the end it halts, with interrupts on.
    """
    inside = body * UNROLLED
    back = -(len(inside) + len(_DEC_ECX_JNZ) + 4)
    start = _MOV_DX + port.to_bytes(2, "little")
    start += _MOV_ECX + rounds.to_bytes(4, "little")
    return start + inside + _DEC_ECX_JNZ + back.to_bytes(4, "little", signed=True) + _HLT


def load(core: Any, program: bytes) -> None:
    """Put the program into a core's memory, and its CPU before the first instruction."""
    # null, flat code, flat data (Intel SDM vol. 3A section 3.4.5); an interrupt gate (6.11)
    gdt = bytes(8) + bytes.fromhex("ffff0000009bcf00 ffff00000093cf00")
    gate = _HANDLER.to_bytes(2, "little") + bytes.fromhex("0800008e0000")
    for address, data in (
        (_CODE, program),
        (_GDT, gdt),
        (_IDT + 8 * VECTOR, gate),
        (_HANDLER, _INC_EBX_IRET),
    ):
        ffi.memmove(lib.core_memory(core) + address, data, len(data))
        lib.core_memory_written(core, address, len(data))
    registers = ffi.new("CoreCpu *")
    lib.core_get_cpu(core, registers)
    registers.eip, registers.eflags, registers.hflags = _CODE, 0x202, FLAT_HFLAGS
    registers.cr[0] = 0x11
    registers.gpr[4] = _STACK
    registers.idt.base, registers.idt.limit = _IDT, 0x7FF
    registers.gdt.base, registers.gdt.limit = _GDT, len(gdt) - 1
    for index, segment in enumerate(registers.segments):
        segment.selector = 8 if index == 1 else 16
        segment.limit = 0xFFFFFFFF
        segment.flags = 0xCF9B00 if index == 1 else 0xCF9300
    lib.core_set_cpu(core, registers)


class BareMachine:
    """A core whose ports read 0 and whose interrupts have one vector."""

    def __init__(self, program: bytes, mode: Mode = Mode.SOLO) -> None:
        self._native = NativeCallbacks()
        callbacks = ffi.new("CoreCallbacks *")
        callbacks.port_read = self._function("uint32_t(*)(void *, uint32_t, uint32_t)", 0)
        callbacks.port_write = self._function("void(*)(void *, uint32_t, uint32_t, uint32_t)", 0)
        callbacks.acknowledge = self._function("int(*)(void *)", VECTOR)
        error = ffi.new("char[]", 200)
        core = lib.core_new(MEMORY_BYTES, ffi.NULL, callbacks[0], error, len(error))
        if not core:
            raise CannotRunError(ffi.string(error).decode())
        self.core = ffi.gc(core, lib.core_free)
        self._drained = ffi.new("uint8_t[]", _LOG_BYTES)
        self._log = bytearray()
        load(self.core, program)
        lib.core_set_mode(self.core, mode)

    def _function(self, kind: str, value: int) -> Any:
        return ffi.cast(kind, self._native.returning(value))

    def run_to_halt(self) -> float:
        """Run to the program's end, draining the log if it is full; return CPU seconds."""
        start = time.process_time()
        while True:
            reason = lib.core_run(self.core, FOREVER, NEVER)
            if reason == Reason.HALTED:
                return time.process_time() - start
            if reason != Reason.LOG_FULL:
                raise CannotRunError(f"a bare machine stopped by {Reason(reason).name}")
            self._drain()

    def take_log(self) -> bytes:
        """Return what was recorded so far."""
        self._drain()
        return bytes(self._log)

    def _drain(self) -> None:
        taken = lib.core_log_take(self.core, self._drained, _LOG_BYTES)
        self._log += ffi.buffer(self._drained, taken)

    def replay(self, log: bytes, steps: int) -> float:
        """Replay a recorded log, at most 4 MiB, up to count `steps`; return CPU seconds."""
        lib.core_set_mode(self.core, Mode.REPLAY)
        if lib.core_log_put(self.core, log, len(log)) != len(log):
            raise CannotRunError("the log is too long for one replay")
        lib.core_set_mark(self.core, steps)
        start = time.process_time()
        reason = lib.core_run(self.core, steps, NEVER)
        seconds = time.process_time() - start
        if reason != Reason.TARGET:
            raise CannotRunError(f"a bare replay: {ffi.string(lib.core_error(self.core))!r}")
        return seconds
