"""The stock engine: Unicorn as its package comes, with its own Python binding.

It has no devices; ours answer its port hooks. It has no interrupts either, so
only guests that need none can run.
"""

import ctypes
import time
from pathlib import Path
from typing import Any

import unicorn
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from benchmarks.engines import EPOCH_S, MEMORY_BYTES, Run
from benchmarks.guests import Workload
from benchmarks.machine_code import NativeCallbacks
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.boot.plan import BootPlan
from ftvm.machine.bus import PortBus
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.debug_exit import DebugExit
from ftvm.machine.devices.pic8259 import PicPair
from ftvm.machine.devices.pit8254 import Pit8254
from ftvm.machine.devices.post import PostPort
from ftvm.machine.devices.uart16550 import Uart16550
from ftvm.units import Nanoseconds

engine_package: Any = unicorn  # whose types are not complete
NOWHERE = 0xFFFFFFFF  # an address to stop at that no guest comes to


class StockEngine:
    """Unicorn, with a hook on every instruction that counts it if `hooked`.

    The hook is machine code, so what is measured is the engine's cost of a
    hook, not Python's.
    """

    def __init__(self, name: str, *, hooked: bool) -> None:
        self.name = name
        self._hooked = hooked

    def can_run(self, workload: Workload) -> bool:
        """Only what needs neither interrupts nor exceptions."""
        return workload.stock

    def run(self, image: Path, options: str) -> Run:
        """Boot the image and run it until it writes to the exit port."""
        plan = load(image.read_bytes(), MEMORY_BYTES, options, image.stem)
        engine = _boot(plan)
        output = bytearray()
        exits: list[int] = []
        counted = ctypes.c_uint64(0)
        steps_at_exit = []

        def leave(value: int) -> None:
            exits.append(value)
            steps_at_exit.append(counted.value)
            engine.emu_stop()

        bus = _devices(output, leave)
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
        callbacks = NativeCallbacks()
        if self._hooked:
            _hook_every_instruction(engine, callbacks.counter(), counted)
        start = time.process_time()
        engine.emu_start(plan.registers.eip, NOWHERE)
        seconds = time.process_time() - start
        return Run(
            seconds=seconds,
            output=bytes(output),
            exit_value=exits[0] if exits else None,
            steps=steps_at_exit[0] if self._hooked and exits else None,
        )


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


def _devices(output: bytearray, leave: Any) -> PortBus:
    def clock() -> Nanoseconds:
        return Nanoseconds(time.monotonic_ns())

    bus = PortBus()
    pic = PicPair(intr=lambda _level: None)
    uart = Uart16550(irq=pic.irq(4), output=output.extend)
    pit = Pit8254(irq=pic.irq(0), clock=clock)
    cmos = Cmos(irq=pic.irq(8), clock=clock, epoch_s=EPOCH_S, memory_bytes=MEMORY_BYTES)
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
