"""The stock engine: Unicorn as its package comes, with its own Python binding.

`python -m ftvm.bench.stock [--hook] IMAGE OPTIONS` boots an image; standard output
is its console. The engine has no devices; ours answer its port hooks. It has no
interrupts either, so only guests that need none can run.
"""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import unicorn
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from ftvm.bench.machine_code import NativeCallbacks
from ftvm.bench.rivals import MEMORY_MB
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan
from ftvm.machine.bus import PortBus
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.pic8259 import LonePicPair
from ftvm.machine.devices.pit8254 import LonePit
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.uart16550 import LoneUart
from ftvm.units import Nanoseconds

engine_package: Any = unicorn  # whose types are not complete
NOWHERE = 0xFFFFFFFF  # an address to stop at that no guest comes to
MEMORY_BYTES = MEMORY_MB << 20
_EPOCH_S = 1_000_000_000


def main() -> int:
    """Boot the image and run it until it writes to the exit port; returns what it wrote."""
    *hook, image_name, options = sys.argv[1:]
    image = Path(image_name)
    plan = load(image.read_bytes(), MEMORY_BYTES, options, image.stem)
    engine = _boot(plan)
    exits: list[int] = []

    def leave(value: int) -> None:
        exits.append(value)
        engine.emu_stop()

    bus = _devices(leave)
    engine.hook_add(
        unicorn.UC_HOOK_INSN,
        lambda _uc, port, size, _data: bus.read(port, size),
        None,
        1,
        0,
        x86.UC_X86_INS_IN,
    )
    engine.hook_add(
        unicorn.UC_HOOK_INSN,
        lambda _uc, port, size, value, _data: bus.write(port, size, value),
        None,
        1,
        0,
        x86.UC_X86_INS_OUT,
    )
    callbacks, counted = NativeCallbacks(), ctypes.c_uint64(0)
    if hook:
        _hook_every_instruction(engine, callbacks.counter(), counted)
    engine.emu_start(plan.registers.eip, NOWHERE)
    return exits[0]


def _boot(plan: BootPlan) -> Any:
    engine = engine_package.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.ctl_set_cpu_model(x86.UC_CPU_X86_QEMU32)
    engine.mem_map(0, MEMORY_BYTES)
    for address, data in plan.segments:
        engine.mem_write(address, data)
    # The engine starts with flat segments, as Multiboot wants them.
    engine.reg_write(x86.UC_X86_REG_EAX, plan.registers.eax)
    engine.reg_write(x86.UC_X86_REG_EBX, plan.registers.ebx)
    engine.reg_write(x86.UC_X86_REG_EFLAGS, plan.registers.eflags)
    return engine


def _print(data: bytes) -> None:
    os.write(1, data)


def _devices(leave: Any) -> PortBus:
    def clock() -> Nanoseconds:
        return Nanoseconds(time.monotonic_ns())

    bus = PortBus()
    pic = LonePicPair(intr=lambda _level: None)
    uart = LoneUart(irq=pic.irq(4), output=_print)
    pit = LonePit(irq=pic.irq(0), clock=clock)
    cmos = Cmos(irq=pic.irq(8), clock=clock, epoch_s=_EPOCH_S, memory_bytes=MEMORY_BYTES)
    for device in (pic, uart, pit, cmos, DebugExit(exit=leave), PostPort()):
        bus.attach(device)
    return bus


def _hook_every_instruction(engine: Any, callback: int, counter: ctypes.c_uint64) -> None:
    hook = ctypes.c_size_t()
    error = uclib.uc_hook_add(
        engine._uch,
        ctypes.byref(hook),
        unicorn.UC_HOOK_CODE,
        ctypes.c_void_p(callback),
        ctypes.byref(counter),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),
    )
    if error != unicorn.UC_ERR_OK:
        raise engine_package.UcError(error)


if __name__ == "__main__":
    sys.exit(main())
