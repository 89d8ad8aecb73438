"""The state of the engine's CPU behind the binding's back."""

import ctypes

import unicorn

EFLAGS_LAZY = 0xCD5  # the results of arithmetic, and DF

# What the binding does not tell, by its offset in this engine (see engine.h)
UC_CPU, CPU_ENV = 440, 296
ECX, ESP, CC_OP, CC_OP_EFLAGS = 8, 32, 168, 1
EIP, EFLAGS, HFLAGS, SEGMENTS = 128, 136, 176, 184
CR0, CR3, CR4 = 424, 448, 456
ERROR_CODE, EXCEPTION_IS_INT, EXCEPTION_NEXT_EIP = 5384, 5388, 5392
SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP = 4800, 4808, 4816
TSC_AUX, OLD_EXCEPTION = 4896, 5496


class Environment:
    """The engine's CPU state behind the binding's back."""

    def __init__(self, uc: unicorn.Uc) -> None:
        cpu = ctypes.c_uint64.from_address(uc._uch.value + UC_CPU).value
        self._at = ctypes.c_uint64.from_address(cpu + CPU_ENV).value

    def get(self, offset: int) -> int:
        return ctypes.c_uint32.from_address(self._at + offset).value

    def put(self, offset: int, value: int) -> None:
        ctypes.c_uint32.from_address(self._at + offset).value = value & 0xFFFFFFFF

    def put_eflags(self, value: int) -> None:
        """Set the bits that are not lazily computed."""
        self.put(EFLAGS, self.get(EFLAGS) & EFLAGS_LAZY | value & ~EFLAGS_LAZY)

    def segment(self, number: int) -> tuple[int, int, int, int]:
        """Return selector, base, limit and attributes."""
        at = SEGMENTS + 24 * number
        return self.get(at), self.get(at + 8), self.get(at + 16), self.get(at + 20)

    def put_segment(self, number: int, selector: int, descriptor: tuple[int, int, int]) -> None:
        at = SEGMENTS + 24 * number
        for offset, value in zip((0, 8, 16, 20), (selector, *descriptor), strict=True):
            self.put(at + offset, value)
