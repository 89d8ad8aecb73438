"""Callbacks of a few bytes of x86-64 code, for measuring without Python's share.

A callback in Python costs more than what is to be measured; these are as good
as C's, without a compiler. Calling convention: System V ABI, AMD64 supplement,
section 3.2.3 (arguments in RDI, RSI, RDX, RCX; the result in EAX).
"""

import ctypes
import mmap

_COUNT = bytes.fromhex("48ff01 c3")  # inc qword [rcx]; ret
_NOTHING = bytes.fromhex("c3")  # ret
_RETURN = b"\xb8"  # mov eax, imm32

_SLOT_BYTES = 16


class NativeCallbacks:
    """A page of executable memory; the addresses in it hold as long as it does."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | 4)
        self._used = 0

    def _place(self, code: bytes) -> int:
        start = self._used
        self._page[start : start + len(code)] = code
        self._used += _SLOT_BYTES
        return ctypes.addressof(ctypes.c_char.from_buffer(self._page)) + start

    def counter(self) -> int:
        """Address of a function that adds 1 where its fourth argument points."""
        return self._place(_COUNT)

    def nothing(self) -> int:
        """Address of a function that does nothing."""
        return self._place(_NOTHING)

    def returning(self, value: int) -> int:
        """Address of a function that returns `value`."""
        return self._place(_RETURN + value.to_bytes(4, "little") + _NOTHING)
