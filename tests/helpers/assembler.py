"""A very small assembler: what the tests' bare-metal guests need, and labels.

Encodings are those of the Intel SDM vol. 2. Operand size is 32 bits; whatever
else a test wants, it gives as `raw` bytes with a comment.
"""

from typing import Self

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)

# Conditions of Jcc, by the low four bits of the opcode (SDM vol. 2D §B.1.4.7)
CONDITIONS = (
    "o",
    "no",
    "b",
    "ae",
    "e",
    "ne",
    "be",
    "a",
    "s",
    "ns",
    "p",
    "np",
    "l",
    "ge",
    "le",
    "g",
)

# The eight operations that share an encoding, by their number in it
ALU = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")


def le32(value: int) -> bytes:
    """Return `value` modulo 2^32 as four bytes."""
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def absolute(register: int, address: int) -> bytes:
    """Return ModR/M and displacement of the operand pair `register`, [address]."""
    return bytes((register << 3 | 5,)) + le32(address)


def direct(register: int, other: int) -> bytes:
    """Return ModR/M of two registers, `register` in the reg field."""
    return bytes((0xC0 | register << 3 | other,))


class Assembler:
    """Bytes that begin at `origin`; every method appends and returns the assembler."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self._code = bytearray()
        self._labels: dict[str, int] = {}
        self._uses: list[tuple[int, str]] = []

    @property
    def here(self) -> int:
        """The address of the next byte."""
        return self.origin + len(self._code)

    def address(self, label: str) -> int:
        """The address of a label that is defined."""
        return self._labels[label]

    def bytes(self) -> bytes:
        """Return the code, with every relative jump resolved."""
        code = bytearray(self._code)
        for at, label in self._uses:
            behind = self.origin + at + 4
            code[at : at + 4] = le32(self._labels[label] - behind)
        return bytes(code)

    def raw(self, *values: int) -> Self:
        self._code += bytes(values)
        return self

    def add_bytes(self, code: bytes) -> Self:
        self._code += code
        return self

    def label(self, name: str) -> Self:
        self._labels[name] = self.here
        return self

    def org(self, address: int) -> Self:
        """Fill with NOP up to `address`."""
        self._code += b"\x90" * (address - self.here)
        return self

    def _jump(self, opcode: bytes, label: str) -> Self:
        self._code += opcode
        self._uses.append((len(self._code), label))
        return self.add_bytes(bytes(4))

    def jmp(self, label: str) -> Self:
        return self._jump(b"\xe9", label)

    def call(self, label: str) -> Self:
        return self._jump(b"\xe8", label)

    def j(self, condition: str, label: str) -> Self:
        return self._jump(bytes((0x0F, 0x80 + CONDITIONS.index(condition))), label)

    def mov(self, register: int, value: int) -> Self:
        return self.raw(0xB8 + register).add_bytes(le32(value))

    def mov_register(self, register: int, other: int) -> Self:
        return self.raw(0x89).add_bytes(direct(other, register))

    def load(self, register: int, address: int) -> Self:
        return self.raw(0x8B).add_bytes(absolute(register, address))

    def store(self, address: int, register: int) -> Self:
        return self.raw(0x89).add_bytes(absolute(register, address))

    def store_value(self, address: int, value: int) -> Self:
        return self.raw(0xC7).add_bytes(absolute(0, address) + le32(value))

    def store_byte(self, address: int, value: int) -> Self:
        return self.raw(0xC6).add_bytes(absolute(0, address)).raw(value & 0xFF)

    def alu(self, operation: str, register: int, value: int) -> Self:
        return self.raw(0x81).add_bytes(direct(ALU.index(operation), register) + le32(value))

    def inc(self, register: int) -> Self:
        return self.raw(0x40 + register)

    def dec(self, register: int) -> Self:
        return self.raw(0x48 + register)

    def inc_memory(self, address: int) -> Self:
        return self.raw(0xFF).add_bytes(absolute(0, address))

    def push(self, register: int) -> Self:
        return self.raw(0x50 + register)

    def pop(self, register: int) -> Self:
        return self.raw(0x58 + register)

    def push_value(self, value: int) -> Self:
        return self.raw(0x68).add_bytes(le32(value))

    def out(self, port: int, value: int) -> Self:
        """Write a byte; changes EAX, and EDX for a port above 0xff."""
        self.raw(0xB0, value & 0xFF)
        if port < 0x100:
            return self.raw(0xE6, port)
        return self.mov(EDX, port).raw(0xEE)

    def in_byte(self, port: int) -> Self:
        """Read a byte into AL; changes EDX for a port above 0xff."""
        if port < 0x100:
            return self.raw(0xE4, port)
        return self.mov(EDX, port).raw(0xEC)

    def mov_cr(self, number: int, register: int) -> Self:
        return self.raw(0x0F, 0x22).add_bytes(direct(number, register))

    def mov_from_cr(self, register: int, number: int) -> Self:
        return self.raw(0x0F, 0x20).add_bytes(direct(number, register))

    def mov_dr(self, number: int, register: int) -> Self:
        return self.raw(0x0F, 0x23).add_bytes(direct(number, register))

    def ltr(self, selector: int) -> Self:
        """Load the task register; changes EAX."""
        return self.mov(EAX, selector).raw(0x0F, 0x00, 0xD8)

    def nop(self) -> Self:
        return self.raw(0x90)

    def ret(self) -> Self:
        return self.raw(0xC3)

    def iret(self) -> Self:
        return self.raw(0xCF)

    def cli(self) -> Self:
        return self.raw(0xFA)

    def sti(self) -> Self:
        return self.raw(0xFB)

    def hlt(self) -> Self:
        return self.raw(0xF4)

    def ud2(self) -> Self:
        return self.raw(0x0F, 0x0B)

    def rdtsc(self) -> Self:
        return self.raw(0x0F, 0x31)

    def rdrand(self, register: int) -> Self:
        return self.raw(0x0F, 0xC7).add_bytes(direct(6, register))
