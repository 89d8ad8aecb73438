"""Interrupt controllers without a machine: their INTR and their clock are the test's."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ftvm.machine.cpu import ffi, lib
from ftvm.machine.interrupts import Interrupts
from ftvm.units import Nanoseconds

_callbacks: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()


class WiredInterrupts(Interrupts):
    """The three controllers, and what the processor does with them."""

    def __init__(
        self,
        *,
        intr: Callable[[bool], None],
        clock: Callable[[], Nanoseconds],
    ) -> None:
        native = ffi.new("Interrupts *")
        lib.interrupts_reset(native)
        wires = (
            ffi.callback("void(void *, bool)", lambda _, level: intr(level)),
            ffi.callback("uint64_t(void *)", lambda _: clock()),
        )
        native.wires.intr, native.wires.clock = wires
        _callbacks[native] = wires
        super().__init__(native)

    def acknowledge(self) -> int:
        return int(lib.interrupts_acknowledge(self._native))

    def read(self, address: int, size: int) -> int:
        return int(lib.interrupts_read(self._native, address, size))

    def write(self, address: int, size: int, value: int) -> None:
        lib.interrupts_write(self._native, address, size, value)
